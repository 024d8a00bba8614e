import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { openModel } from "../../src/node/index.ts";
import { withDirectory } from "../numerics/harness.ts";

interface Described {
  name: string;
  kind: string;
  amplitude?: number;
}

/** Converts a file with weights in groups, changes the tensors of model.json, and opens the model. */
async function open(file: string, change: (tensors: Described[]) => void): Promise<void> {
  await withDirectory(async (directory) => {
    const out = join(directory, "model");
    await convert({ source: `tests/fixtures/gguf/${file}`, out });
    const path = join(out, "model.json");
    const manifest = JSON.parse(readFileSync(path, "utf8")) as { tensors: Described[] };
    change(manifest.tensors);
    writeFileSync(path, JSON.stringify(manifest));
    (await openModel(out)).dispose();
  });
}

describe.each([
  ["four-bit", "bpe-Q4_1.gguf"],
  ["int8-steps", "sentencepiece-Q8_0.gguf"],
])("the amplitude of a matrix in %s", (kind, file) => {
  const first = (tensors: Described[]) => tensors.find((tensor) => tensor.kind === kind)!;

  test("loads as the converter writes it", async () => {
    await open(file, (tensors) => expect(first(tensors).amplitude).toBeGreaterThan(0));
  });

  test("is refused where it is larger than the weights allow", async () => {
    let name = "";
    const opened = open(file, (tensors) => {
      const tensor = first(tensors);
      name = tensor.name;
      tensor.amplitude = 32_767;
    });
    await expect(opened).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/^the amplitude of .* is 32767, and its weights allow \d+; convert/),
    });
    await expect(opened).rejects.toThrow(name);
  });

  test.each([0, -1, 32_768, 1.5, "7", undefined])("of %o is none", async (amplitude) => {
    const opened = open(file, (tensors) => void (first(tensors).amplitude = amplitude as number));
    await expect(opened).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining("amplitude"),
    });
  });
});
