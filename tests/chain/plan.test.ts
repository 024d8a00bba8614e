import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import { chainMemory, planChain, planStage } from "../../src/chain/plan.ts";
import { isInStage, spansOf, stageParts } from "../../src/chain/stage-layout.ts";
import { ISOLATE_WASM_BYTES, planMemory } from "../../src/engine/memory.ts";
import { imageBytes, type ModelLayout, placeTensors } from "../../src/format/layout.ts";
import { parseManifest } from "../../src/format/manifest.ts";
import { bundledModel } from "../../src/node/index.ts";
import { CutModel } from "./local-chain.ts";

/** A Llama of so many layers whose weights nobody has to have. */
function llama(layers: number, change: object = {}): ModelLayout {
  const recipe = recipeOf(
    new ConfigFields(
      {
        model_type: "llama",
        hidden_size: 576,
        intermediate_size: 1536,
        num_hidden_layers: layers,
        num_attention_heads: 9,
        num_key_value_heads: 3,
        vocab_size: 49152,
        max_position_embeddings: 2048,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: true,
        ...change,
      },
      "config.",
    ),
  );
  return { recipe, tensors: placeTensors(recipe).tensors };
}

describe("a plan", () => {
  test("has every weight once, but for the rotary frequencies, and the bytes of planMemory", () => {
    const model = llama(30);
    expect(() => planMemory(model, { context: 1024, memoryLimit: 100e6 })).toThrow("100.0 MB are allowed");
    const plan = planChain(model, { context: 1024 });
    const stages = chainMemory(model, plan);
    expect(stages).toHaveLength(2);
    for (const { bytes } of stages) expect(bytes).toBeLessThanOrEqual(ISOLATE_WASM_BYTES);
    const rotary = model.tensors[0]!.bytes;
    expect(stages.reduce((sum, { weights }) => sum + weights, 0)).toBe(imageBytes(model) + rotary);
    for (const stage of stages) {
      expect(stage.weights + stage.cache + stage.scratch).toBe(stage.bytes);
      expect(planStage(model, stage, plan).bytes).toBe(stage.bytes);
    }
  });

  test("cuts so that the largest stage is as small as can be", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 5 }), (layers, isolates) => {
        fc.pre(isolates <= layers + 1);
        const model = llama(layers, { vocab_size: 2000 });
        const options = { isolates, context: 64, kvBlocks: 4 };
        const largestOf = (cuts: number[]) =>
          Math.max(...chainMemory(model, { ...planChain(model, options), cuts }).map(({ bytes }) => bytes));
        const all = (stage: number, from: number): number[][] =>
          stage === isolates
            ? [[]]
            : Array.from({ length: layers - from }, (_, i) => from + i).flatMap((cut) =>
                all(stage + 1, cut + 1).map((cuts) => [cut, ...cuts]),
              );
        const best = Math.min(...all(1, 0).map(largestOf));
        expect(largestOf([...planChain(model, options).cuts])).toBe(best);
      }),
      { numRuns: 15 },
    );
  });

  test("takes as many blocks as the fullest isolate has room for", () => {
    const model = llama(30);
    const plan = planChain(model, { context: 2048, isolates: 2 });
    expect(plan.kv_blocks).toBeGreaterThan(128);
    expect(plan.kv_blocks).toBeLessThan(8 * 128);
    const more = { ...plan, kv_blocks: plan.kv_blocks + 1 };
    const largest = (one: typeof plan) => Math.max(...chainMemory(model, one).map(({ bytes }) => bytes));
    expect(largest(plan)).toBeLessThanOrEqual(ISOLATE_WASM_BYTES);
    expect(planChain(model, { ...{ context: 2048, isolates: 2 }, kvBlocks: 200 }).kv_blocks).toBe(200);
    expect(() => planChain(model, { context: 2048, isolates: 2, kvBlocks: more.kv_blocks })).toThrow("MB");
  });

  test("that cannot fit says by how much, and what would", () => {
    expect(() => planChain(llama(30), { isolates: 1, context: 1024 })).toThrow(
      /over 1 isolate the largest stage needs 15\d\.\d MB of WebAssembly memory at a context of 1024 tokens, 4\d\.\d MB more than the 107\.0 MB .*: 2 isolates, or four bits/,
    );
    expect(() => planChain(llama(30), { isolates: 2, context: 2048, memoryLimit: 76e6 })).toThrow(
      /3 isolates, or a context of \d+ tokens, or four bits/,
    );
    // The embedding alone is too large, however many there are.
    expect(() => planChain(llama(3, { vocab_size: 250_000 }))).toThrow(
      /over 4 isolates .* what would help: four bits instead of eight/,
    );
    const sizes = { vocab_size: 156_000, hidden_size: 576 };
    expect(() => planChain(llama(3, sizes), { context: 64, memoryLimit: 95e6 })).toThrow(
      /what would help: . sequences at once/,
    );
  });

  test.each([
    [{ isolates: 0 }, "isolates"],
    [{ isolates: 1.5 }, "isolates"],
    [{ isolates: 5 }, "can be cut into 4 stages at most"],
    [{ context: 0 }, "context"],
    [{ context: 2049 }, "context"],
    [{ maxSequences: 0 }, "maxSequences"],
  ])("%j is refused", (options, message) => {
    expect(() => planChain(llama(3), options)).toThrow(message);
  });
});

describe("the parts", () => {
  test("are cut at layers, and a stage has its own and no others", async () => {
    const cut = await CutModel.cut(
      bundledModel(),
      { cuts: [0, 3], context: 128, max_sequences: 2, kv_blocks: 16 },
      300_000,
    );
    try {
      const spans = spansOf(cut.manifest.chain!, 4);
      const seen: string[] = [];
      for (const { index } of spans) {
        const files = (await readdir(cut.directory(index + 1))).filter((file) => file.startsWith("weights"));
        const parts = stageParts(cut.manifest, spans, index);
        expect(files.sort()).toEqual(parts.map(({ file }) => file).sort());
        seen.push(...files);
        const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
        const needed = cut.manifest.recipe.tensors
          .map((tensor, i) => (isInStage(tensor, spans[index]!) ? cut.manifest.tensors[i]!.bytes : 0))
          .reduce((sum, one) => sum + one, 0);
        expect(bytes).toBe(needed);
      }
      expect(seen.sort()).toEqual(cut.manifest.parts.map(({ file }) => file).sort());
    } finally {
      await cut.remove();
    }
  });

  test("of a model that is cut elsewhere are refused", async () => {
    const manifest = parseManifest(JSON.parse(await readFile(join(bundledModel(), "model.json"), "utf8")));
    expect(() => stageParts(manifest, spansOf({ cuts: [2] }, 4), 0)).toThrow(
      "weights.00.bin: holds weights of more than one stage",
    );
  });
});

describe("model.json", () => {
  const load = async () => JSON.parse(await readFile(join(bundledModel(), "model.json"), "utf8"));
  const chain = { cuts: [0, 2], context: 512, max_sequences: 8, kv_blocks: 256 };

  test("keeps a plan", async () => {
    expect(parseManifest({ ...(await load()), chain }).chain).toEqual(chain);
    expect(parseManifest(await load()).chain).toBeUndefined();
  });

  test.each([
    [{ cuts: [2, 2] }, "chain.cuts[1]"],
    [{ cuts: [4] }, "chain.cuts[0]"],
    [{ cuts: [-1] }, "chain.cuts[0]"],
    [{ cuts: 3 }, "chain.cuts must be a list"],
    [{ context: 0 }, "chain.context"],
    [{ max_sequences: "8" }, "chain.max_sequences"],
    [{ kv_blocks: undefined }, "chain.kv_blocks"],
  ])("with %j is refused", async (change, message) => {
    const file = { ...(await load()), chain: { ...chain, ...change } };
    expect(() => parseManifest(file)).toThrow(message);
  });
});
