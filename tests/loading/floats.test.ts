import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sectionsOf } from "../../src/format/layout.ts";
import { type Manifest, parseManifest } from "../../src/format/manifest.ts";
import { loadModel, type Model } from "../../src/index.ts";
import { bundledModel, engineModule } from "../../src/node/index.ts";
import { FakeSource } from "./directory.ts";

const read = (file: string) => new Uint8Array(readFileSync(join(bundledModel(), file)));
const raw = JSON.parse(new TextDecoder().decode(read("model.json")));
const manifest: Manifest = parseManifest(raw);
const image = read("weights.00.bin");

/** The float32 sections of the image, and where they are. */
const sections = manifest.recipe.tensors.flatMap((tensor, i) => {
  const { kind, offset } = manifest.tensors[i]!;
  return sectionsOf(tensor, kind)
    .sections.filter(({ name }) => tensor.form === "vector" || name !== "values")
    .map((section) => ({
      what: `${section.name} of ${tensor.name}`,
      at: offset + section.offset,
      count: section.bytes / 4,
    }));
});

/** The bundled model with other numbers and with the hash of what it holds, as whoever makes one would do. */
async function load(change: (floats: Float32Array) => void): Promise<Model> {
  const bytes = image.slice();
  change(new Float32Array(bytes.buffer));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const parts = [{ file: "weights.00.bin", bytes: bytes.length, sha256 }];
  const files = new Map([
    ["model.json", new TextEncoder().encode(JSON.stringify({ ...raw, parts }))],
    ["weights.00.bin", bytes],
    ["tokenizer.bin", read("tokenizer.bin")],
  ]);
  return loadModel({ module: await engineModule(), source: new FakeSource(files, 1 << 20), maxSequences: 2 });
}

describe("float32 weights that are no finite numbers", () => {
  const chosen = ["positions", "blocks.0.inputNorm", "blocks.3.mlpInput", "embedding"].flatMap((name) =>
    sections.filter(({ what }) => what.endsWith(` of ${name}`)),
  );
  test.each(chosen)("in the $what are refused at load", async ({ what, at, count }) => {
    for (const [index, value] of [
      [0, Number.NaN],
      [count - 1, Number.POSITIVE_INFINITY],
      [count >> 1, Number.NEGATIVE_INFINITY],
    ] as const)
      await expect(load((floats) => void (floats[at / 4 + index] = value))).rejects.toMatchObject({
        code: "invalid_model",
        message: `the ${what} hold NaN or infinite numbers; convert the checkpoint again`,
      });
  });
});

describe("the largest and smallest float32 weights", () => {
  test.each([3.4e38, -3.4e38, 1e-40])("%f load and never give a token that is none", async (value) => {
    for (const part of ["finalNorm", "embedding", "queryKeyValue", "mlpInput", "attentionOutput"]) {
      const model = await load((floats) => {
        for (const { what, at, count } of sections)
          if (what.includes(part)) floats.fill(value, at / 4, at / 4 + count);
      });
      for (const options of [{ temperature: 0 }, { topP: 0.5, seed: 1 }, { topK: 3, minP: 0.1, seed: 2 }]) {
        const { ids } = await model.complete("Once upon a time", { maxTokens: 4, ...options });
        for (const id of ids) expect(id >= 0 && id < manifest.recipe.vocabSize).toBe(true);
      }
      model.dispose();
    }
  });
});
