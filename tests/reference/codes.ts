// Naive twin of the kernels for codes with steps: a weight is the integer step · code + offset, and a sum is a sum.
import type { CodedRows, FourBitRows, SteppedRows } from "../../src/convert/quantize/codes.ts";
import { integers } from "./random.ts";

export type FourBitCodes = Omit<FourBitRows, "scales">;
export type SteppedCodes = Omit<SteppedRows, "scales"> & { offsets?: undefined };

/** The integer weights [rows, columns]. */
export function integerWeights({ codes, steps, offsets }: CodedRows, columns: number): Int32Array {
  const groups = Math.ceil(columns / 32);
  return Int32Array.from(codes as ArrayLike<number>, (code, i) => {
    const group = Math.floor(i / columns) * groups + Math.floor((i % columns) / 32);
    return steps[group]! * code + (offsets?.[group] ?? 0);
  });
}

/** The exact product of activations [T, K] with integer weights [N, K], as [T, N]; throws if a sum leaves int32. */
export function bigProduct(x: Int16Array, weights: Int32Array, K: number): Int32Array {
  const N = weights.length / K;
  return Int32Array.from({ length: (x.length / K) * N }, (_, i) => {
    let sum = 0n;
    for (let k = 0; k < K; k++) sum += BigInt(x[Math.floor(i / N) * K + k]! * weights[(i % N) * K + k]!);
    if (sum !== BigInt.asIntN(32, sum)) throw new Error(`sum ${sum} does not fit an int32`);
    return Number(sum);
  });
}

/** Random codes, steps and offsets, whose weights lie within ±2047. */
export function randomFourBit(rows: number, columns: number, seed: number): FourBitCodes {
  const groups = rows * Math.ceil(columns / 32);
  const steps = Uint8Array.from(integers(groups, 0, 255, seed));
  const places = integers(groups, 0, 1 << 20, seed + 1);
  return {
    codes: Uint8Array.from(integers(rows * columns, 0, 15, seed + 2)),
    steps,
    offsets: Int16Array.from(steps, (step, i) => -2047 + (places[i]! % (4095 - 15 * step))),
  };
}

/** Random int8 codes with steps. */
export function randomStepped(rows: number, columns: number, seed: number): SteppedCodes {
  return {
    codes: Int8Array.from(integers(rows * columns, -127, 127, seed)),
    steps: Uint8Array.from(integers(rows * Math.ceil(columns / 32), 0, 16, seed + 1)),
  };
}
