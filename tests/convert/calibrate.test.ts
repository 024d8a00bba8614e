import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TensorSpec } from "../../src/architectures/recipe.ts";
import { calibratedRounding } from "../../src/convert/quantize/calibrate.ts";
import { codesToFloat, type FourBitRows } from "../../src/convert/quantize/codes.ts";
import { Quantizer } from "../../src/convert/quantize/quantizer.ts";
import { plainRounding, type Rounding } from "../../src/convert/quantize/rounding.ts";
import { referenceStates } from "../../src/convert/verify/reference.ts";
import type { Weights } from "../../src/convert/weights.ts";
import type { WeightKind } from "../../src/format/kinds.ts";
import { integers } from "../reference/random.ts";
import { weightsOf } from "./checkpoints.ts";

const weights = await weightsOf(join(import.meta.dirname, "../fixtures/odd-gpt2"));
const { recipe } = weights;

function windows(count: number, seed: number): number[][] {
  const length = recipe.maxPositions;
  const ids = integers(count * length, 0, recipe.vocabSize - 1, seed);
  return Array.from({ length: count }, (_, i) => ids.slice(i * length, (i + 1) * length));
}

function blocksInFourBits({ form, layer }: TensorSpec): WeightKind {
  if (form === "vector") return "float32";
  return layer === undefined ? "int8" : "four-bit";
}

/** The checkpoint with the four-bit matrices of a rounding. */
async function roundedWeights(rounding: Rounding): Promise<Weights> {
  const matrices = new Map<string, Float32Array>();
  for (const tensor of recipe.tensors) {
    if (rounding.kindOf(tensor) !== "four-bit") continue;
    const matrix = await weights.matrix(tensor.name);
    const rows = (await rounding.round(tensor, matrix, 0, matrix.rows)) as FourBitRows;
    matrices.set(tensor.name, codesToFloat(rows, matrix.columns));
  }
  return {
    ...weights,
    async matrix(name) {
      const matrix = await weights.matrix(name);
      const own = matrices.get(name);
      if (!own) return matrix;
      const read = async (first: number, count: number) =>
        own.subarray(first * matrix.columns, (first + count) * matrix.columns);
      return { ...matrix, read };
    },
  };
}

/** How far the states before the head are from the float model's, relative to their size. */
async function distance(rounding: Rounding, text: number[][]): Promise<number> {
  const exact = await referenceStates(weights, text);
  const states = await referenceStates(await roundedWeights(rounding), text);
  let [error, size] = [0, 0];
  exact.forEach((value, i) => {
    error += (states[i]! - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(error / size);
}

/** Each matrix by itself. */
async function searched(): Promise<Rounding> {
  const quantizer = await Quantizer.create();
  return {
    kindOf: blocksInFourBits,
    async round(_, matrix, first, count) {
      const rows = await matrix.read(first, count);
      return { kind: "four-bit", ...quantizer.quantizeFourBit(rows, count, matrix.columns) };
    },
  };
}

describe("calibrated rounding", () => {
  test("changes a text that it has not seen less than rounding each weight by itself", async () => {
    const calibrated = await calibratedRounding(weights, {
      kindOf: blocksInFourBits,
      windows: windows(30, 1),
    });
    const unseen = windows(4, 2);
    expect(await distance(calibrated, unseen)).toBeLessThan(0.8 * (await distance(await searched(), unseen)));
  });

  test("gives slices of a matrix, and the other tensors in eight bits", async () => {
    const rounding = await calibratedRounding(weights, {
      kindOf: blocksInFourBits,
      windows: windows(2, 3),
    });
    const tensor = recipe.tensors.find(({ name }) => name === "blocks.1.mlpInput")!;
    const matrix = await weights.matrix(tensor.name);
    const whole = (await rounding.round(tensor, matrix, 0, matrix.rows)) as FourBitRows;
    const slice = (await rounding.round(tensor, matrix, 16, 20)) as FourBitRows;
    expect(slice.codes).toEqual(whole.codes.subarray(16 * matrix.columns, 36 * matrix.columns));
    expect(slice.scales).toEqual(whole.scales.subarray(16, 36));
    const embedding = recipe.tensors.find(({ role }) => role === "embedding")!;
    const rows = await weights.matrix("embedding");
    expect(await rounding.round(embedding, rows, 3, 5)).toEqual(
      await plainRounding.round(embedding, rows, 3, 5),
    );
  });

  test("rounds everything to four bits, the same way each time", async () => {
    const kindOf = ({ form }: TensorSpec): WeightKind => (form === "matrix" ? "four-bit" : "float32");
    const shares: number[] = [];
    const run = async () => {
      const rounding = await calibratedRounding(weights, {
        kindOf,
        windows: windows(3, 4),
        onProgress: (share) => shares.push(share),
      });
      const all = [];
      for (const tensor of recipe.tensors) {
        if (tensor.form === "vector") continue;
        const matrix = await weights.matrix(tensor.name);
        all.push(await rounding.round(tensor, matrix, 0, matrix.rows));
      }
      return all;
    };
    expect(await run()).toEqual(await run());
    expect(shares.slice(0, shares.length / 2)).toEqual([...shares.slice(0, shares.length / 2)].sort());
    expect(shares.at(-1)).toBe(1);
  });
});
