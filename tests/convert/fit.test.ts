import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BLOCK_POSITIONS } from "../../assembly/abi.ts";
import { convert } from "../../src/convert/convert.ts";
import type { ConvertOptions } from "../../src/convert/convert-options.ts";
import { cheapestSavings } from "../../src/convert/quantize/fit-kinds.ts";
import { Quantizer } from "../../src/convert/quantize/quantizer.ts";
import { roundToEightBits } from "../../src/convert/quantize/rounding.ts";
import { type Image, KindLosses, readTensor } from "../../src/convert/verify/kind-losses.ts";
import { writeImage } from "../../src/convert/write/image.ts";
import { planMemory } from "../../src/engine/memory.ts";
import type { WeightKind } from "../../src/format/kinds.ts";
import type { Manifest } from "../../src/format/manifest.ts";
import { openModel } from "../../src/node/index.ts";
import { cli } from "../cli/run.ts";
import { withDirectory } from "../numerics/harness.ts";
import { integers } from "../reference/random.ts";
import { weightsOf } from "./checkpoints.ts";

const SOURCE = "tests/fixtures/odd-gpt2";

describe("the cheapest savings", () => {
  const saving = (name: string, bytes: number, loss: number) => ({ name, bytes, loss });

  test("are those with the least loss for each byte", () => {
    const savings = [saving("a", 10, 5), saving("b", 20, 4), saving("c", 10, 1)];
    expect(cheapestSavings(savings, 0)).toEqual(new Set());
    expect(cheapestSavings(savings, 10)).toEqual(new Set(["c"]));
    expect(cheapestSavings(savings, 11)).toEqual(new Set(["b"]));
    expect(cheapestSavings(savings, 40)).toEqual(new Set(["a", "b", "c"]));
  });

  test("leave out what a later one makes needless", () => {
    expect(cheapestSavings([saving("small", 1, 0.01), saving("large", 100, 10)], 50)).toEqual(
      new Set(["large"]),
    );
  });

  test("are none when all together are not enough", () => {
    expect(cheapestSavings([saving("a", 10, 1)], 11)).toBeUndefined();
  });
});

describe("the loss of a tensor in four bits", async () => {
  const weights = await weightsOf(SOURCE);
  const { recipe } = weights;
  const quantizer = await Quantizer.create();

  async function image(directory: string, isSmall: (name: string) => boolean): Promise<Image> {
    const kindOf = ({ name, form }: { name: string; form: string }): WeightKind =>
      form === "vector" ? "float32" : isSmall(name) ? "four-bit" : "int8-steps";
    const written = await writeImage(directory, weights, {
      rounding: {
        kindOf,
        async round(tensor, matrix, first, count) {
          if (kindOf(tensor) !== "four-bit") return roundToEightBits("int8-steps", matrix, first, count);
          const rows = await matrix.read(first, count);
          return { kind: "four-bit", ...quantizer.quantizeFourBit(rows, count, matrix.columns) };
        },
      },
    });
    return { recipe, ...written };
  }

  test("is the loss of a model that has it so, to the bit, wherever the tensor is", async () => {
    const windows = [1, 2].map((seed) => integers(recipe.maxPositions, 0, recipe.vocabSize - 1, seed));
    await withDirectory(async (finestDirectory) => {
      const finest = await image(finestDirectory, () => false);
      const losses = await KindLosses.create(finestDirectory, finest, windows, 1 << 20);
      expect(await losses.ofImage(finestDirectory, finest)).toBeCloseTo(0, 6);
      for (const [i, { name, form, layer }] of recipe.tensors.entries()) {
        if (form === "vector") continue;
        await withDirectory(async (directory) => {
          const other = await image(directory, (one) => one === name);
          const tensor = other.tensors[i]!;
          const loss = losses.ofTensor(tensor, await readTensor(directory, other, tensor), layer);
          expect([name, loss]).toEqual([name, await losses.ofImage(directory, other)]);
          expect(loss).toBeGreaterThan(0);
        });
      }
      // What stood in for others is gone again.
      expect(await losses.ofImage(finestDirectory, finest)).toBeCloseTo(0, 6);
    });
  });
});

describe("a checkpoint that is to fit", () => {
  const CONTEXT = 32;
  const memoryOf = (manifest: Manifest) =>
    planMemory(manifest, { context: CONTEXT, kvBlocks: CONTEXT / BLOCK_POSITIONS }).bytes;
  const kindsIn = ({ tensors }: Manifest) => new Set(tensors.map(({ kind }) => kind));

  async function fitted(directory: string, options: Partial<ConvertOptions>) {
    const notes: string[] = [];
    const manifest = await convert({
      source: SOURCE,
      out: join(directory, "out"),
      context: CONTEXT,
      onWarning: (note) => notes.push(note),
      ...options,
      force: true,
    });
    return { manifest, note: notes.join("\n") };
  }

  test("has all in eight bits where there is room, and says what it cost where there is not", async () => {
    await withDirectory(async (directory) => {
      const large = await fitted(directory, { fit: 100e6 });
      expect(kindsIn(large.manifest)).toEqual(new Set(["int8-steps", "float32"]));
      expect(large.note).toContain("no matrix had to be made smaller");

      const fit = memoryOf(large.manifest) - 65536;
      const small = await fitted(directory, { fit });
      expect(kindsIn(small.manifest)).toEqual(new Set(["int8-steps", "four-bit", "float32"]));
      expect(memoryOf(small.manifest)).toBeLessThanOrEqual(fit);
      expect(small.note).toMatch(/\d+ of \d+ matrices in eight bits were rounded to four, .* 0\.\d{4} nats/);
      for (const left of ["finest", "coarsest"]) expect(existsSync(join(directory, "out", left))).toBe(false);
      const model = await openModel(join(directory, "out"));
      expect((await model.complete([1, 2, 3], { maxTokens: 4, ignoreEos: true })).ids).toHaveLength(4);
      model.dispose();
      expect((await fitted(directory, { fit })).manifest.parts).toEqual(small.manifest.parts);
    });
  });

  test.each<[Partial<ConvertOptions>, RegExp]>([
    [{ fit: 70_000 }, /cannot fit 0\.1 MB: .* needs \d+\.\d MB at a context of 32 tokens/],
    [{ fit: 100e6, bits: 4 }, /leave bits out/],
    [{ fit: 100e6, context: 0 }, /context must be an integer from 1 to/],
    [{ fit: 100e6, context: 1e9 }, /context must be an integer from 1 to/],
    [{ fit: Number.NaN }, /fit must be a number of bytes/],
    [{ fit: undefined as unknown as number }, /a context is planned for with fit only/],
  ])("is refused with %o, and nothing is written", async (options, message) => {
    await withDirectory(async (directory) => {
      await expect(fitted(directory, options)).rejects.toMatchObject({
        code: "invalid_option",
        message: expect.stringMatching(message),
      });
      expect(existsSync(join(directory, "out"))).toBe(false);
    });
  });

  test("comes from the command line", async () => {
    await withDirectory(async (directory) => {
      const run = (fit: string) =>
        cli(["convert", SOURCE, "--out", join(directory, "out"), "--fit", fit, "--context", "32"]);
      expect((await run("a lot")).stderr).toContain("It must be a size such as 100MB");
      expect((await run("10 kB")).stderr).toMatch(/cannot fit 0\.0 MB/);
      expect((await run("100MB")).stderr).toMatch(/WebAssembly memory at a context of 32 tokens/);
    });
  });
});
