import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { M_QUANTIZED_STRIDE } from "../../assembly/abi.ts";
import {
  REGION_QUANTIZED,
  REGION_ROW_SCALES,
  REGION_ROW_SUMS,
  REGION_STRASSEN,
  strassenBytes,
} from "../../assembly/regions.ts";
import { alignUp } from "../../src/format/align.ts";
import { activationAmplitude, integerMatmul, quantizeActivations } from "../reference/kernels.ts";
import { gaussian, integers } from "../reference/random.ts";
import { KernelBench } from "./kernel-module.ts";

let bench: KernelBench;

beforeAll(async () => {
  bench = await KernelBench.create(32 << 20);
});
beforeEach(() => bench.reset());

const MARK = 0x5eed;

/** Quantizes the float32 rows with the engine, as its forward pass does. */
function quantizeRows(x: Float32Array, rows: number, K: number) {
  const kPad = alignUp(K, 16);
  const values = bench.take(rows * kPad * 2);
  const scales = bench.take(rows * 4);
  const sums = bench.take(rows * 4);
  for (let r = 0; r < rows; r++) {
    const at = bench.put(x.subarray(r * K, (r + 1) * K), kPad * 4);
    const largest = bench.kernels.absMax(at, kPad);
    const amplitude = activationAmplitude(K);
    bench.kernels.quantize(at, kPad, amplitude, largest, values + r * kPad * 2, scales + r * 4, sums + r * 4);
  }
  // As much as the engine gets, and a mark behind it.
  const scratch = strassenBytes(kPad);
  const strassen = bench.take(scratch + 64);
  bench.int32(strassen + scratch, 16).fill(MARK);
  bench.describe({
    [REGION_STRASSEN]: strassen,
    [REGION_QUANTIZED]: values,
    [M_QUANTIZED_STRIDE]: kPad * 2,
    [REGION_ROW_SCALES]: scales,
    [REGION_ROW_SUMS]: sums,
  });
  const isMarked = () => bench.int32(strassen + scratch, 16).every((value) => value === MARK);
  return { kPad, values, scales, sums, isMarked };
}

/** The whole product by the engine: float32 (rows, N). */
function engineMatmul(
  weights: Int8Array,
  N: number,
  K: number,
  rows: number,
  scales: Float32Array,
  bias?: Float32Array,
) {
  const nPad = alignUp(N, 16);
  const out = bench.take(rows * nPad * 4);
  const weight = bench.int8Matrix(weights, N, K, scales, bias);
  bench.kernels.linearStrips(weight, 0, nPad / 16, rows, out, nPad * 4, 0);
  return Array.from({ length: rows }, (_, r) => bench.float32(out + r * nPad * 4, N).slice());
}

/** What the engine must give, to the bit: exact sums, then three rounded float32 operations. */
function expected(
  weights: Int8Array,
  N: number,
  K: number,
  x: Float32Array,
  scales: Float32Array,
  bias: Float32Array,
) {
  const rows = x.length / K;
  return Array.from({ length: rows }, (_, r) => {
    const row = quantizeActivations(x.subarray(r * K, (r + 1) * K), activationAmplitude(K));
    const sums = integerMatmul(row.values, weights, K);
    return Float32Array.from({ length: N }, (_, n) => {
      const factor = Math.fround(row.scale * scales[n]!);
      return Math.fround(Math.fround(Math.fround(sums[n]!) * factor) + bias[n]!);
    });
  });
}

describe("quantization of activations", () => {
  test.each([1, 7, 16, 80, 515, 768, 3072])("matches the naive twin at K = %i", (K) => {
    expect(bench.kernels.amplitude(K)).toBe(activationAmplitude(K));
    const rows: Float32Array[] = [
      gaussian(K, K),
      gaussian(K, K + 1).map((v) => v * 1e-20),
      new Float32Array(K),
    ];
    const outliers = gaussian(K, K + 2);
    for (let i = 0; i < K; i += 97) outliers[i]! *= 50;
    rows.push(
      outliers,
      outliers.map((v) => v * 1e30),
    );
    const x = new Float32Array(rows.length * K);
    rows.forEach((row, r) => void x.set(row, r * K));
    const { kPad, values, scales, sums } = quantizeRows(x, rows.length, K);
    rows.forEach((row, r) => {
      const twin = quantizeActivations(row, activationAmplitude(K));
      const padded = bench.int16(values + r * kPad * 2, kPad);
      expect(padded.slice(0, K)).toEqual(twin.values);
      expect(padded.slice(K).every((value) => value === 0)).toBe(true);
      expect(bench.float32(scales, rows.length)[r]).toBe(twin.scale);
      expect(bench.int32(sums, rows.length)[r]).toBe(twin.values.reduce((a, b) => a + b, 0));
    });
  });

  test("a row too small for a float32 reciprocal becomes zero", () => {
    const { values, scales } = quantizeRows(Float32Array.of(1e-38, -1e-40, 0), 1, 3);
    expect(bench.int16(values, 16).every((value) => value === 0)).toBe(true);
    expect(bench.float32(scales, 1)[0]).toBe(0);
  });
});

describe("the matrix kernel", () => {
  test("reads every weight of a packed matrix where the converter put it", () => {
    // The second has blocks of columns with a rest, the third groups of strips as well.
    for (const [N, K] of [
      [35, 21],
      [1100, 1605],
      [8300, 780],
    ] as const) {
      bench.reset();
      const weights = Int8Array.from(integers(N * K, -127, 127, 5));
      const weight = bench.int8Matrix(weights, N, K, new Float32Array(N).fill(0.5));
      const kPad = alignUp(K, 16);
      const row = bench.take(kPad * 4);
      for (let n = 0; n < N; n++) {
        bench.float32(row, kPad).fill(0);
        bench.kernels.addRow(weight, n, 1, row);
        const read = Array.from(bench.float32(row, K), (value) => 2 * value);
        if (read.some((value, k) => value !== weights[n * K + k])) throw new Error(`row ${n} differs`);
      }
    }
  });

  const shapes = [1, 2, 3, 8, 13, 32, 45, 64].flatMap((rows) =>
    [
      [1, 1],
      [16, 16],
      [17, 15],
      [80, 80],
      [240, 80],
      [33, 515],
      [100, 768],
      [48, 3072],
      [1100, 785],
      [8300, 18],
    ].map(([N, K]) => ({ rows, N: N!, K: K! })),
  );
  test.each(shapes)("gives the bits of the naive twin: $rows rows, [$N, $K]", ({ rows, N, K }) => {
    const weights = Int8Array.from(integers(N * K, -127, 127, N + K));
    const x = gaussian(rows * K, rows);
    for (let i = 0; i < x.length; i += 61) x[i]! *= 50;
    const scales = gaussian(N, 11).map((v) => Math.abs(v) * 0.01);
    const bias = gaussian(N, 12);
    const { isMarked } = quantizeRows(x, rows, K);
    expect(engineMatmul(weights, N, K, rows, scales, bias)).toEqual(expected(weights, N, K, x, scales, bias));
    expect(isMarked()).toBe(true);
  });

  // 64 rests have room in a tile (assembly/kernels/strassen.ts): there is none for those of 200 columns and more.
  test.each([
    [768, 1],
    [768, 2],
    [784, 40],
    [768, 200],
    [768, 768],
    [1600, 1600],
    [3072, 3072],
  ])("the rows of a group differ by more than int16 holds: K = %i, in %i columns", (K, large) => {
    const [N, rows] = [40, 40];
    const weights = Int8Array.from(integers(N * K, -127, 127, 21));
    const signs = integers(rows * large, 0, 1, 22);
    const x = gaussian(rows * K, 23).map((v) => v * 0.1);
    // Pairs of columns that meet in the differences of two halves.
    for (let r = 0; r < rows; r++)
      for (let i = 0; i < large; i++)
        x[r * K + (((i >> 1) * 7 + (i & 1) * 384) % K)] = (signs[r * large + i] ? -1 : 1) * (5 + (r % 3));
    const scales = gaussian(N, 23).map((v) => Math.abs(v) * 0.01);
    const { isMarked } = quantizeRows(x, rows, K);
    const bias = new Float32Array(N);
    expect(engineMatmul(weights, N, K, rows, scales)).toEqual(expected(weights, N, K, x, scales, bias));
    expect(isMarked()).toBe(true);
  });

  test.each([1, 16, 80, 768, 3072, 4096])("the largest possible sums do not overflow at K = %i", (K) => {
    // Every product has the same sign, or the signs of two neighbouring rows differ: the worst for a kernel that
    // keeps two rows in one 16-bit lane.
    const N = 32;
    const weights = Int8Array.from({ length: N * K }, (_, i) => (Math.floor(i / K) % 3 === 0 ? -127 : 127));
    for (const rows of [2, 32])
      for (const sign of [1, -1]) {
        bench.reset();
        const x = new Float32Array(rows * K).fill(sign * 3);
        const ones = new Float32Array(N).fill(1);
        quantizeRows(x, rows, K);
        expect(engineMatmul(weights, N, K, rows, ones)).toEqual(
          expected(weights, N, K, x, ones, new Float32Array(N)),
        );
      }
  });

  test.each([
    [1100, 785, 3, 30],
    [8300, 18, 500, 515],
    [48, 32, 1, 2],
  ])("of some strips alone computes those, and touches no others: [%i, %i], %i to %i", (N, K, begin, end) => {
    const rows = 3;
    const weights = Int8Array.from(integers(N * K, -127, 127, 7));
    const x = gaussian(rows * K, 8);
    const scales = gaussian(N, 9).map((v) => Math.abs(v) * 0.01);
    quantizeRows(x, rows, K);
    const nPad = alignUp(N, 16);
    const out = bench.take(rows * nPad * 4);
    bench.float32(out, rows * nPad).fill(Math.fround(0.1));
    const weight = bench.int8Matrix(weights, N, K, scales);
    bench.kernels.linearStrips(weight, begin, end, rows, out, nPad * 4, 0);
    const all = expected(weights, N, K, x, scales, new Float32Array(N));
    for (let r = 0; r < rows; r++) {
      const computed = bench.float32(out + r * nPad * 4, N);
      const wanted = all[r]!.map((value, n) => (n >> 4 >= begin && n >> 4 < end ? value : Math.fround(0.1)));
      expect(computed.slice()).toEqual(wanted);
    }
  });

  test("adds to what is there when asked to", () => {
    const [N, K] = [16, 32];
    const x = gaussian(K, 1);
    const weights = Int8Array.from(integers(N * K, -127, 127, 9));
    const scales = new Float32Array(N).fill(0.01);
    quantizeRows(x, 1, K);
    const before = gaussian(N, 2);
    const out = bench.put(before);
    bench.kernels.linearStrips(bench.int8Matrix(weights, N, K, scales), 0, N / 16, 1, out, N * 4, 1);
    const product = expected(weights, N, K, x, scales, new Float32Array(N))[0]!;
    expect(bench.float32(out, N).slice()).toEqual(product.map((value, i) => value + before[i]!));
  });
});
