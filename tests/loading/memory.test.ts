import { describe, expect, test } from "vitest";
import { REGION_SAMPLER } from "../../assembly/regions.ts";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import { inspectModel } from "../../src/cli/inspect.ts";
import { placeTensors } from "../../src/format/layout.ts";
import { ISOLATE_WASM_BYTES, loadManifest, type ModelLayout, planMemory } from "../../src/index.ts";
import { bundledModel, directorySource, openModel } from "../../src/node/index.ts";

/** GPT-2's sizes; DistilGPT-2 has 6 layers, GPT-2 12. */
function gpt2(layers: number): ModelLayout {
  const config = { model_type: "gpt2", n_embd: 768, n_head: 12, n_layer: layers };
  const recipe = recipeOf(new ConfigFields(config));
  return { recipe, tensors: placeTensors(recipe).tensors };
}

const ISOLATE = { memoryLimit: ISOLATE_WASM_BYTES };

describe("what fits an isolate", () => {
  test("DistilGPT-2 at its full context, in at most 100 MB", () => {
    expect(planMemory(gpt2(6), { context: 1024, kvBlocks: 64 }).bytes).toBeLessThanOrEqual(100e6);
    const plan = planMemory(gpt2(6), ISOLATE);
    expect(plan.context).toBe(1024);
    expect(plan.bytes).toBeLessThanOrEqual(ISOLATE_WASM_BYTES);
    expect(plan.kvBlocks).toBeGreaterThanOrEqual(plan.blocksPerSequence);
    // No block more would have fitted, in whole pages.
    const end = plan.offsets[REGION_SAMPLER]! + plan.sizes[REGION_SAMPLER]! + 6 * plan.kvBlockBytes;
    expect(Math.ceil(end / 65536) * 65536).toBeGreaterThan(ISOLATE_WASM_BYTES);
  });

  test("eight layers at a shorter context, the longest that fits", () => {
    const plan = planMemory(gpt2(8), ISOLATE);
    expect(plan.context).toBeGreaterThanOrEqual(128);
    expect(plan.context).toBeLessThan(1024);
    expect(plan.bytes).toBeLessThanOrEqual(ISOLATE_WASM_BYTES);
    expect(() => planMemory(gpt2(8), { ...ISOLATE, context: plan.context + 1 })).toThrow(
      /choose a shorter context or a smaller model, or raise memoryLimit/,
    );
    expect(planMemory(gpt2(8), { ...ISOLATE, context: plan.context })).toEqual(plan);
  });

  test("GPT-2 with 124 M parameters is refused with what it needs and what to do", () => {
    const refusal =
      /the model needs 13\d\.\d MB .* 128 tokens, 12\d\.\d MB of them for its weights, but 107\.0 MB are allowed: use a smaller model/;
    expect(() => planMemory(gpt2(12), ISOLATE)).toThrow(refusal);
    expect(planMemory(gpt2(12)).context).toBe(1024);
  });

  test("fewer blocks where they are asked for, and no more than all sequences need", () => {
    expect(planMemory(gpt2(6), { ...ISOLATE, kvBlocks: 64 }).kvBlocks).toBe(64);
    expect(planMemory(gpt2(6), { maxSequences: 2 }).kvBlocks).toBe(128);
    expect(() => planMemory(gpt2(6), { ...ISOLATE, kvBlocks: 1000 })).toThrow(/needs 2\d\d\.\d MB/);
  });

  test.each([0, 1.5, -1, Number.NaN])("kvBlocks %s is refused", (kvBlocks) => {
    expect(() => planMemory(gpt2(6), { kvBlocks })).toThrow(/kvBlocks must be an integer/);
  });

  test("for every limit: regions in order, none shares a byte, all within the limit", () => {
    for (let memoryLimit = 89e6; memoryLimit < 200e6; memoryLimit += 1_234_567) {
      const plan = planMemory(gpt2(6), { memoryLimit });
      let end = 65536;
      plan.offsets.forEach((offset, region) => {
        expect(offset).toBeGreaterThanOrEqual(end);
        expect(offset % 64).toBe(0);
        end = offset + plan.sizes[region]!;
      });
      expect(plan.bytes).toBeGreaterThanOrEqual(end);
      expect(plan.bytes % 65536).toBe(0);
      expect(plan.bytes).toBeLessThanOrEqual(memoryLimit);
    }
  });
});

describe("the numbers that are told are those that are measured", () => {
  test("predicted and real linear memory are equal", async () => {
    const manifest = await loadManifest(directorySource(bundledModel()));
    for (const options of [{}, ISOLATE, { context: 100, maxSequences: 3 }, { kvBlocks: 40 }]) {
      const model = await openModel(bundledModel(), options);
      expect(model.memoryBytes).toBe(planMemory(manifest, options).bytes);
      model.dispose();
    }
  });

  test("inspect tells the Worker's plan, or that there is none", async () => {
    const manifest = await loadManifest(directorySource(bundledModel()));
    const plan = planMemory(manifest, ISOLATE);
    const { isolate, memory } = inspectModel(manifest);
    expect(isolate).toMatchObject({ context: plan.context, kvBlocks: plan.kvBlocks, bytes: plan.bytes });
    expect(memory.at(-1)).toMatchObject({ context: 512, fitsIsolate: true });
    const large = inspectModel({ ...manifest, ...gpt2(12) });
    expect(large.isolate).toBeNull();
    expect(large.isolateContext).toBe(0);
    expect(large.memory.every(({ fitsIsolate }) => !fitsIsolate)).toBe(true);
  });
});
