import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import type { ConvertOptions } from "../../src/convert/convert-options.ts";
import { openModel } from "../../src/node/index.ts";
import { cli } from "../cli/run.ts";
import { withDirectory } from "../numerics/harness.ts";

const SOURCE = "tests/fixtures/odd-gpt2";

describe("a checkpoint in four bits", () => {
  test("has its blocks in four, what is outside of them in eight, and the same bytes each time", async () => {
    await withDirectory(async (directory) => {
      const steps = new Set<string>();
      const make = (out: string) =>
        convert({
          source: SOURCE,
          out: join(directory, out),
          name: "odd",
          bits: 4,
          onProgress: (step) => steps.add(step),
        });
      const manifest = await make("one");
      for (const [i, { form, layer, name }] of manifest.recipe.tensors.entries()) {
        const kind = form === "vector" ? "float32" : layer === undefined ? "int8-steps" : "four-bit";
        expect([name, manifest.tensors[i]?.kind]).toEqual([name, kind]);
      }
      expect([...steps]).toEqual(expect.arrayContaining(["writing a text to calibrate with", "calibrating"]));
      expect(existsSync(join(directory, "one", "eight-bit"))).toBe(false);
      const model = await openModel(join(directory, "one"));
      expect((await model.complete([1, 2, 3], { maxTokens: 4, ignoreEos: true })).ids).toHaveLength(4);
      model.dispose();
      expect((await make("two")).parts).toEqual(manifest.parts);
      expect(readFileSync(join(directory, "one", "README.md"), "utf8")).toContain("four bits");
    });
  });

  test("loses more than eight bits do, and little", async () => {
    await withDirectory(async (directory) => {
      const measured = async (bits: 4 | 8) =>
        (await convert({ source: SOURCE, out: join(directory, `b${bits}`), bits, verify: true })).fidelity!;
      const [four, eight] = [await measured(4), await measured(8)];
      expect(four.kl_mean).toBeGreaterThan(eight.kl_mean);
      expect(four.kl_mean).toBeLessThan(0.2);
    });
  });

  test.each<[Partial<ConvertOptions>, RegExp]>([
    [{ bits: 3 as 4 }, /bits must be 4 or 8, not 3/],
    [{ bits: Number.NaN as 4 }, /bits must be 4 or 8, not NaN/],
    [{ calibrate: { name: "a.txt", text: "A" } }, /with four bits only/],
    [{ bits: 4, calibrate: { name: "a.txt", text: "A" } }, /no tokenizer that could read a\.txt/],
  ])("is refused with %o", async (options, message) => {
    await withDirectory(async (directory) => {
      const out = join(directory, "out");
      await expect(convert({ source: SOURCE, out, ...options })).rejects.toMatchObject({
        code: "invalid_option",
        message: expect.stringMatching(message),
      });
      expect(existsSync(out)).toBe(false);
    });
  });

  test("is made of a GGUF file's five and six bits, too; its four-bit codes stay", async () => {
    await withDirectory(async (directory) => {
      const kinds = async (file: string) => {
        const source = join("tests/fixtures/gguf", file);
        const { recipe, tensors } = await convert({ source, out: join(directory, file), bits: 4 });
        return new Set(
          recipe.tensors.flatMap(({ layer, form }, i) =>
            form === "matrix" ? [`${layer === undefined ? "outside" : "blocks"}: ${tensors[i]!.kind}`] : [],
          ),
        );
      };
      const expected = new Set(["outside: int8-steps", "blocks: four-bit"]);
      expect(await kinds("bpe-Q6_K.gguf")).toEqual(expected);
      expect(await kinds("bpe-Q5_0.gguf")).toEqual(expected);
      const converted = async (bits: 4 | 8) =>
        (
          await convert({
            source: "tests/fixtures/gguf/bpe-Q4_1.gguf",
            out: join(directory, `Q4_1-${bits}`),
            bits,
          })
        ).parts;
      expect(await converted(4)).toEqual(await converted(8));
    });
  });

  test("needs less memory: what only fits it in four bits is refused in eight, and not in four", async () => {
    await withDirectory(async (directory) => {
      // As large as Llama 2 with 7 thousand million parameters; there are no weights, which is told later.
      const source = join(directory, "source");
      mkdirSync(source);
      writeFileSync(join(source, "config.json"), '{"model_type":"llama"}');
      const error = (bits: 4 | 8) =>
        convert({ source, out: join(directory, "out"), bits }).then(
          () => "",
          ({ message }: Error) => message,
        );
      expect(await error(8)).toMatch(/of WebAssembly memory at a context of 128 tokens/);
      expect(await error(4)).toMatch(/has no weights: looked for/);
      expect(await error(4)).not.toMatch(/WebAssembly memory/);
    });
  });

  test("comes from the command line", async () => {
    await withDirectory(async (directory) => {
      const { code, stderr } = await cli(["convert", SOURCE, "--out", join(directory, "out"), "--bits", "3"]);
      expect([code, stderr]).toEqual([2, expect.stringContaining("bits must be 4 or 8")]);
    });
  });
});
