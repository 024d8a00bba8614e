import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { GroupedRows } from "../../src/convert/formats/gguf-groups.ts";
import { equalized } from "../../src/convert/quantize/equalize.ts";
import type { Matrix, Weights } from "../../src/convert/weights.ts";
import { integers } from "../reference/random.ts";
import { roundedWeights, temporaryDirectory, weightsOf } from "./checkpoints.ts";
import { engineLogprobs, meanError, referenceLogprobs } from "./logprobs.ts";
import {
  OTHER_CHECKPOINTS,
  RANDOM_CHECKPOINTS,
  type RandomCheckpoint,
  writeRandomCheckpoint,
} from "./random-checkpoint.ts";

const temporary = temporaryDirectory();
const ids = integers(64, 0, 100, 9);

async function written(name: string, checkpoint: RandomCheckpoint) {
  const directory = join(temporary, name);
  writeRandomCheckpoint(directory, checkpoint);
  return weightsOf(directory);
}

describe("the function stays the same", () => {
  test.each(Object.entries({ ...RANDOM_CHECKPOINTS, ...OTHER_CHECKPOINTS }))(
    "%s",
    async (name, checkpoint) => {
      const weights = await written(name, checkpoint);
      const after = equalized(weights);
      const expected = await referenceLogprobs(weights, ids);
      const found = await referenceLogprobs(after, ids);
      const norm = await after.vector("blocks.0.inputNorm");
      expect(norm).not.toEqual(await weights.vector("blocks.0.inputNorm"));
      await weights.close();
      // Thirty layers of float32 weights, each rounded once more.
      expect(meanError(found, expected)).toBeLessThan(3e-6);
    },
  );

  test("a model with LayerNorm is left as it is", async () => {
    const weights = await weightsOf(join(import.meta.dirname, "../fixtures/variants/gpt2-sharded"));
    expect(equalized(weights)).toBe(weights);
    await weights.close();
  });

  test("rows of zeros and channels that are switched off stay finite", async () => {
    const weights = await written("zeros", {
      ...RANDOM_CHECKPOINTS["qwen2, nine heads of 16 over three"]!,
      change(name, values) {
        if (name.endsWith("k_proj.weight") || name.endsWith("k_proj.bias")) values.fill(0);
        if (name.endsWith("up_proj.weight")) values.fill(0, 0, 144 * 4);
        if (name.endsWith("down_proj.weight")) for (let i = 0; i < values.length; i += 160) values[i] = 0;
        if (name.endsWith("input_layernorm.weight")) values[3] = 0;
      },
    });
    const found = await referenceLogprobs(equalized(weights), ids);
    expect(meanError(found, await referenceLogprobs(weights, ids))).toBeLessThan(3e-6);
    await weights.close();
  });
});

describe("codes that a file has in groups", () => {
  /** A matrix of 32 columns as codes from 0 to 15, one group a row. */
  function inGroups(matrix: Matrix): Matrix {
    const grouped = async (first: number, count: number): Promise<GroupedRows> => {
      const values = await matrix.read(first, count);
      const rows = Array.from({ length: count }, (_, row) => values.subarray(row * 32, (row + 1) * 32));
      const minima = Float32Array.from(rows, (row) => Math.min(...row));
      const steps = Float32Array.from(rows, (row, i) => (Math.max(...row) - minima[i]!) / 15);
      const codes = Uint8Array.from(values, (value, i) =>
        Math.round((value - minima[i >> 5]!) / steps[i >> 5]!),
      );
      return { bits: 4, rows: count, columns: 32, steps, minima, codes };
    };
    return {
      ...matrix,
      grouped,
      read: async (first, count) => decoded(await grouped(first, count)),
    };
  }
  const decoded = ({ codes, steps, minima }: GroupedRows) =>
    Float32Array.from(codes, (code, i) => steps[i >> 5]! * code + minima[i >> 5]!);

  test("stay the same codes; queries and keys change their steps, and the function stays", async () => {
    const base = await written("groups", RANDOM_CHECKPOINTS["llama, thirty layers"]!);
    const weights: Weights = {
      ...base,
      dtypes: () => ["Q4_1"],
      matrix: async (name) => {
        const matrix = await base.matrix(name);
        return matrix.columns === 32 ? inGroups(matrix) : matrix;
      },
    };
    const after = equalized(weights);
    const [before, found] = [
      await weights.matrix("blocks.2.queryKeyValue"),
      await after.matrix("blocks.2.queryKeyValue"),
    ];
    const [own, scaled] = [await before.grouped!(5, 40), await found.grouped!(5, 40)];
    expect(scaled.codes).toEqual(own.codes);
    expect(scaled.steps).not.toEqual(own.steps);
    const values = await found.read(5, 40);
    decoded(scaled).forEach((value, i) => {
      expect(Math.abs(value - values[i]!)).toBeLessThan(1e-6);
    });
    const expected = await referenceLogprobs(weights, ids);
    expect(meanError(await referenceLogprobs(after, ids), expected)).toBeLessThan(3e-6);
    expect(await after.vector("blocks.2.mlpNorm")).toEqual(await weights.vector("blocks.2.mlpNorm"));
    await base.close();
  });
});

/** Multiplies a few rows of a matrix or elements of a bias, by the row's channel within its head or layer. */
function scaleRows(values: Float32Array, rows: number, factorOf: (row: number) => number): void {
  const columns = values.length / rows;
  for (let i = 0; i < values.length; i++) values[i] = values[i]! * factorOf(Math.floor(i / columns));
}

/** The channels of the two slowest pairs of a head of 16: where Qwen2's keys have their constant parts. */
const isSlow = (channel: number) => channel % 8 >= 6;

describe("outliers", () => {
  test("a few large columns cost the other weights little", async () => {
    const weights = await written("columns", {
      ...RANDOM_CHECKPOINTS["qwen2, nine heads of 16 over three"]!,
      change(name, values) {
        // The inner layer's channel 0 is small, and read with large weights; so are two channels behind the norms.
        if (name.endsWith("up_proj.weight")) scaleRows(values, 160, (row) => (row % 40 === 0 ? 0.05 : 1));
        const width = name.endsWith("down_proj.weight") ? 160 : 144;
        const every = name.endsWith("down_proj.weight") ? 40 : 72;
        if (/(gate|up|down|[qkv])_proj\.weight$/.test(name))
          for (let i = 0; i < values.length; i++) if ((i % width) % every === 0) values[i] = values[i]! * 20;
        if (name.endsWith("layernorm.weight"))
          for (let i = 0; i < values.length; i += 72) values[i] = values[i]! / 20;
      },
    });
    const expected = await referenceLogprobs(weights, ids);
    const plain = meanError(await referenceLogprobs(roundedWeights(weights), ids), expected);
    const mended = meanError(await referenceLogprobs(roundedWeights(equalized(weights)), ids), expected);
    await weights.close();
    expect(mended).toBeLessThan(0.5 * plain);
  });

  test.each<[string, RandomCheckpoint]>([
    [
      "keys with a constant part of 30 times their variation, as Qwen2's biases make them",
      {
        ...RANDOM_CHECKPOINTS["qwen2, nine heads of 16 over three"]!,
        change(name, values) {
          if (name.endsWith("k_proj.bias")) scaleRows(values, 48, (row) => (isSlow(row) ? 150 : 1));
          if (/q_proj\.(weight|bias)$/.test(name)) scaleRows(values, 144, (row) => (isSlow(row) ? 0.02 : 1));
        },
      },
    ],
    [
      "a norm that makes some channels of the keys large, as Qwen3's do",
      {
        ...OTHER_CHECKPOINTS["qwen3, grouped, every other layer with a window"]!,
        change(name, values) {
          if (name.endsWith("k_norm.weight"))
            for (const channel of [8, 9, 18, 19]) values[channel] = values[channel]! * 30;
          if (name.endsWith("q_norm.weight"))
            for (const channel of [8, 9, 18, 19]) values[channel] = values[channel]! / 30;
        },
      },
    ],
  ])("%s", async (name, checkpoint) => {
    const weights = await written(name, checkpoint);
    const directory = join(temporary, `${name}-image`);
    const after = equalized(weights);
    const floor = meanError(
      await referenceLogprobs(roundedWeights(after), ids),
      await referenceLogprobs(weights, ids),
    );
    const expected = await referenceLogprobs(weights, ids);
    const plain = meanError(await engineLogprobs(weights, ids, join(directory, "plain")), expected);
    const mended = meanError(await engineLogprobs(after, ids, join(directory, "mended")), expected);
    await weights.close();
    expect(mended).toBeLessThan(0.5 * plain);
    expect(mended).toBeLessThanOrEqual(1.25 * floor + 0.002);
  });
});
