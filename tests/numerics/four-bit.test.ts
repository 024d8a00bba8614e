import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ARENA_START } from "../../assembly/abi.ts";
import { amplitudeOf, largestRowSum } from "../../src/convert/quantize/codes.ts";
import { packFourBit, unpackFourBit } from "../../src/convert/write/pack4.ts";
import { bigProduct, type FourBitCodes, integerWeights, randomFourBit } from "../reference/codes.ts";
import { integerMatmul } from "../reference/kernels.ts";
import { integers } from "../reference/random.ts";
import { compileKernels } from "./compile-kernels.ts";

const ENTRY = `
  export { dot32x1, dot32x2, expand16, halfBytes4, sumGroups } from "./assembly/kernels/dot4";
`;

interface FourBitKernels {
  memory: WebAssembly.Memory;
  halfBytes4(columns: number): number;
  sumGroups(x: number, columns: number, target: number): void;
  dot32x1(
    w: number,
    plane: number,
    x: number,
    groupSums: number,
    columns: number,
    strips: number,
    target: number,
    targetStride: number,
  ): void;
  dot32x2(
    w: number,
    plane: number,
    x: number,
    stride: number,
    groupSums: number,
    sumsStride: number,
    columns: number,
    strips: number,
    target: number,
    targetStride: number,
  ): void;
  expand16(w: number, columns: number, target: number): void;
}

const BLOCK = 768;
const GROUP_ROWS = 8192;
const MARK = 0x5eed;
const alignUp = (value: number, unit: number) => Math.ceil(value / unit) * unit;

let kernels: FourBitKernels;
let next = ARENA_START;

beforeAll(async () => {
  const { instance } = await WebAssembly.instantiate(await compileKernels(ENTRY), {
    env: { abort: () => {} },
  });
  kernels = instance.exports as unknown as FourBitKernels;
  kernels.memory.grow(512);
});
beforeEach(() => reset());

function reset(): void {
  new Uint8Array(kernels.memory.buffer).fill(0, ARENA_START, next);
  next = ARENA_START;
}

/** Zeroed bytes of linear memory. */
function take(bytes: number): number {
  const at = next;
  next = alignUp(at + bytes, 64);
  return at;
}
function put(values: ArrayBufferView): number {
  const at = take(values.byteLength);
  new Uint8Array(kernels.memory.buffer).set(
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    at,
  );
  return at;
}
const int32 = (at: number, length: number) => new Int32Array(kernels.memory.buffer, at, length);
const int16 = (at: number, length: number) => new Int16Array(kernels.memory.buffer, at, length);

/** The strips of a matrix as the engine will walk them: group by group of strips, block by block of columns. */
function* blocks(weights: number, N: number, K: number) {
  const kPad = alignUp(K, 16);
  const strips = alignUp(N, 32) / 32;
  for (let start = 0; start < strips; start += GROUP_ROWS / 32) {
    const count = Math.min(GROUP_ROWS / 32, strips - start);
    const base = weights + 2 * start * kernels.halfBytes4(kPad);
    for (let column = 0; column < kPad; column += BLOCK) {
      const columns = Math.min(BLOCK, kPad - column);
      const w = base + count * kernels.halfBytes4(column);
      yield { start, count, column, columns, w, plane: count * kernels.halfBytes4(kPad) };
    }
  }
}

/** The rows' activations, padded, and the sums of their groups. */
function putActivations(x: Int16Array, K: number) {
  const rows = x.length / K;
  const stride = alignUp(K, 16) * 2;
  const sumsStride = Math.ceil(K / 32) * 4;
  const values = take(rows * stride);
  const sums = take(rows * sumsStride);
  for (let r = 0; r < rows; r++) {
    int16(values + r * stride, K).set(x.subarray(r * K, (r + 1) * K));
    kernels.sumGroups(values + r * stride, alignUp(K, 16), sums + r * sumsStride);
  }
  return { values, stride, sums, sumsStride };
}

/** All sums [rows, N] by the kernel for one row, and, with two rows, by the one for two. */
function multiply(quantized: FourBitCodes, N: number, K: number, x: Int16Array): Int32Array {
  const rows = x.length / K;
  const weights = put(packFourBit(quantized, N, K));
  const { values, stride, sums, sumsStride } = putActivations(x, K);
  const halves = alignUp(N, 32) / 16;
  const targetStride = rows * 64;
  const target = take(halves * targetStride + 64);
  int32(target + halves * targetStride, 1)[0] = MARK;
  for (const { start, count, column, columns, w, plane } of blocks(weights, N, K)) {
    const at = target + 2 * start * targetStride;
    const from = values + 2 * column;
    const groupSums = sums + column / 8;
    if (rows === 1) kernels.dot32x1(w, plane, from, groupSums, columns, count, at, targetStride);
    else kernels.dot32x2(w, plane, from, stride, groupSums, sumsStride, columns, count, at, targetStride);
  }
  expect(int32(target + halves * targetStride, 1)[0]).toBe(MARK);
  return Int32Array.from({ length: rows * N }, (_, i) => {
    const [row, n] = [Math.floor(i / N), i % N];
    return int32(target + (n >> 4) * targetStride + row * 64, 16)[n & 15]!;
  });
}

/** The weights as expand16 gives them: [N, K]. */
function expand(quantized: FourBitCodes, N: number, K: number): Int32Array {
  const weights = put(packFourBit(quantized, N, K));
  const target = take(BLOCK * 32);
  const out = new Int32Array(N * K);
  for (const { start, count, column, columns, w, plane } of blocks(weights, N, K))
    for (let half = 0; half < 2 * count; half++) {
      const at = w + (half & 1) * plane + (half >> 1) * kernels.halfBytes4(columns);
      kernels.expand16(at, columns, target);
      const panel = int16(target, columns * 16);
      for (let i = 0; i < 16; i++)
        for (let c = 0; c < Math.min(columns, K - column); c++) {
          const row = 32 * start + 16 * half + i;
          if (row < N)
            out[row * K + column + c] =
              panel[(i >> 3) * 8 * columns + (c >> 1) * 16 + (i & 7) * 2 + (c & 1)]!;
        }
    }
  return out;
}

const SHAPES: [N: number, K: number][] = [
  [1, 1],
  [16, 32],
  [32, 32],
  [33, 31],
  [50, 48],
  [96, 64],
  [35, 577],
  [64, 576],
  [80, 768],
  [47, 784],
  [40, 1536],
  [32, 2320],
  [33, 3072],
  [16, 8192],
];

describe("packing", () => {
  test.each(SHAPES)("[%i, %i] comes back", (N, K) => {
    const quantized = randomFourBit(N, K, N + K);
    expect(unpackFourBit(packFourBit(quantized, N, K), N, K)).toEqual(quantized);
  });

  test("slices of a group's rows follow one another", () => {
    const [N, K] = [GROUP_ROWS + 70, 40];
    const { codes, steps, offsets } = randomFourBit(N, K, 4);
    const first = {
      codes: codes.subarray(0, GROUP_ROWS * K),
      steps: steps.subarray(0, GROUP_ROWS * 2),
      offsets,
    };
    const second = {
      codes: codes.subarray(GROUP_ROWS * K),
      steps: steps.subarray(GROUP_ROWS * 2),
      offsets: offsets.subarray(GROUP_ROWS * 2),
    };
    const whole = packFourBit({ codes, steps, offsets }, N, K);
    const pieces = [packFourBit(first, GROUP_ROWS, K), packFourBit(second, 70, K)];
    expect(Buffer.concat(pieces).equals(whole)).toBe(true);
  });
});

describe("the kernels for four-bit weights", () => {
  test.each(SHAPES)(
    "have every sum of [%i, %i] as the naive twin has it, for one row and for two",
    (N, K) => {
      const quantized = randomFourBit(N, K, 3 * N + K);
      const amplitude = amplitudeOf(largestRowSum(quantized, K));
      const x = Int16Array.from(integers(2 * K, -amplitude, amplitude, N * K));
      const expected = integerMatmul(x, integerWeights(quantized, K), K);
      expect(multiply(quantized, N, K, x)).toEqual(expected);
      expect(multiply(quantized, N, K, x.subarray(0, K))).toEqual(expected.subarray(0, N));
      expect(multiply(quantized, N, K, x.subarray(K))).toEqual(expected.subarray(N));
    },
  );

  test.each(SHAPES)("expand [%i, %i] to the integers that the codes stand for", (N, K) => {
    const quantized = randomFourBit(N, K, 5 * N + K);
    expect(expand(quantized, N, K)).toEqual(integerWeights(quantized, K));
  });

  test("find the strips of several groups", () => {
    const [N, K] = [2 * GROUP_ROWS + 40, 40];
    const quantized = randomFourBit(N, K, 9);
    const x = Int16Array.from(integers(2 * K, -9000, 9000, 10));
    const weights = integerWeights(quantized, K);
    expect(multiply(quantized, N, K, x)).toEqual(integerMatmul(x, weights, K));
    expect(multiply(quantized, N, K, x.subarray(K))).toEqual(integerMatmul(x.subarray(K), weights, K));
    expect(expand(quantized, N, K)).toEqual(weights);
  });
});

/** Every code 15 or 0, the steepest step, the farthest offset. */
function extremes(N: number, K: number): FourBitCodes[] {
  const groups = N * Math.ceil(K / 32);
  const all = (code: number, step: number, offset: number): FourBitCodes => ({
    codes: new Uint8Array(N * K).fill(code),
    steps: new Uint8Array(groups).fill(step),
    offsets: new Int16Array(groups).fill(offset),
  });
  return [
    all(15, 255, 2047 - 15 * 255),
    all(0, 255, -2047),
    all(15, 0, 2047),
    all(15, 0, -2047),
    all(15, 136, 7),
    all(0, 136, 2047),
    { ...all(0, 255, -2047), codes: Uint8Array.from({ length: N * K }, (_, i) => (i & 1) * 15) },
  ];
}

describe("no sum overflows", () => {
  test.each([32, 33, 576, 3072, 8192])("K = %i, weights and activations at their limits", (K) => {
    const N = 17;
    for (const quantized of extremes(N, K)) {
      const weights = integerWeights(quantized, K);
      expect(weights.every((weight) => Math.abs(weight) <= 2047)).toBe(true);
      const amplitude = amplitudeOf(largestRowSum(quantized, K));
      // The largest amplitude: one more would overflow, unless int16 ends first.
      const rowSum = BigInt(largestRowSum(quantized, K));
      expect(BigInt(amplitude) * rowSum < 2n ** 31n).toBe(true);
      if (amplitude < 32767) expect(BigInt(amplitude + 1) * rowSum >= 2n ** 31n).toBe(true);
      // Each product at its largest, positive and negative: nothing else comes nearer to the ends of int32.
      const x = new Int16Array(2 * K);
      for (let k = 0; k < K; k++) {
        x[k] = Math.sign(weights[k]!) * amplitude;
        x[K + k] = -x[k]!;
      }
      const expected = bigProduct(x, weights, K);
      expect(multiply(quantized, N, K, x)).toEqual(expected);
      expect(multiply(quantized, N, K, x.subarray(0, K))).toEqual(expected.subarray(0, N));
      expect(multiply(quantized, N, K, x.subarray(K))).toEqual(expected.subarray(N));
      expect(expand(quantized, N, K)).toEqual(weights);
      reset();
    }
  });
});
