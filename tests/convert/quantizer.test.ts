import { beforeAll, describe, expect, test } from "vitest";
import { codesToFloat, type FourBitRows, groupsOf } from "../../src/convert/quantize/codes.ts";
import { Quantizer } from "../../src/convert/quantize/quantizer.ts";
import { gaussian } from "../reference/random.ts";

let quantizer: Quantizer;

beforeAll(async () => {
  quantizer = await Quantizer.create();
});

/** a · bᵀ in float64: [rows of a, rows of b]. */
function naiveProduct(a: ArrayLike<number>, b: ArrayLike<number>, K: number): number[] {
  const [M, N] = [a.length / K, b.length / K];
  return Array.from({ length: M * N }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += a[Math.floor(i / N) * K + k]! * b[(i % N) * K + k]!;
    return sum;
  });
}

function transposed(a: ArrayLike<number>, columns: number): number[] {
  const rows = a.length / columns;
  return Array.from({ length: a.length }, (_, i) => a[(i % rows) * columns + Math.floor(i / rows)]!);
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const size = Math.max(...Array.from(expected, Math.abs));
  for (let i = 0; i < expected.length; i++)
    if (!(Math.abs(actual[i]! - expected[i]!) <= tolerance * size))
      throw new Error(`element ${i} is ${actual[i]} instead of ${expected[i]}`);
}

/** Inputs whose columns are correlated and of different size, as those of a Transformer's matrices are. */
function inputs(tokens: number, columns: number, seed: number): Float32Array {
  const noise = gaussian(tokens * columns, seed);
  const common = gaussian(tokens, seed + 1);
  return noise.map(
    (value, i) => (value + 2 * common[Math.floor(i / columns)]!) * (1 + 8 * (i % 7 === 3 ? 1 : 0)),
  );
}

/** Σ over inputs of the squared error of the outputs. */
function outputError(x: Float32Array, weights: Float32Array, rounded: Float32Array, columns: number): number {
  const difference = weights.map((weight, i) => weight - rounded[i]!);
  return naiveProduct(x, difference, columns).reduce((sum, value) => sum + value ** 2, 0);
}

function expectWithinLimits({ codes, steps, offsets }: FourBitRows): void {
  expect(codes.every((code) => code <= 15)).toBe(true);
  expect(steps.every((step) => step >= 1)).toBe(true);
  steps.forEach((step, i) => {
    expect(Math.abs(offsets[i]!)).toBeLessThanOrEqual(2047);
    expect(Math.abs(15 * step + offsets[i]!)).toBeLessThanOrEqual(2047);
  });
}

const SHAPES: [tokens: number, rows: number, columns: number][] = [
  [1, 1, 1],
  [17, 5, 31],
  [40, 33, 64],
  [100, 16, 100],
];

describe("the quantizer's arithmetic", () => {
  test.each(SHAPES)("multiplies as the naive twin: %i × [%i, %i]", (tokens, rows, columns) => {
    const [x, w] = [gaussian(tokens * columns, 1), gaussian(rows * columns, 2)];
    expectClose(quantizer.product(x, w, columns), naiveProduct(x, w, columns), 1e-5);
  });

  test.each(SHAPES)("sums second moments as the naive twin: %i tokens, [%i, %i]", (tokens, _, columns) => {
    const [a, b] = [gaussian(tokens * columns, 3), gaussian(tokens * columns, 4)];
    const expected = naiveProduct(transposed(a, columns), transposed(b, columns), tokens);
    expectClose(quantizer.moments(a, b, columns), expected, 1e-5);
    const own = naiveProduct(transposed(a, columns), transposed(a, columns), tokens);
    expectClose(quantizer.moments(a, a, columns), own, 1e-5);
  });

  test.each([1, 2, 3, 5, 32, 67])("decomposes second moments of %i columns", (columns) => {
    const x = inputs(2 * columns + 3, columns, 5);
    const moments = quantizer.moments(x, x, columns);
    const { order, triangle, upper, inverses } = quantizer.factor(moments, columns, 0.01);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: columns }, (_, k) => k));
    let mean = 0;
    for (let k = 0; k < columns; k++) mean += moments[k * columns + k]! / columns;
    const rebuilt: number[] = [];
    const expected: number[] = [];
    const U = (i: number, j: number) => (i === j ? 1 : i < j ? upper[i * columns + j]! : 0);
    for (let i = 0; i < columns; i++)
      for (let j = 0; j < columns; j++) {
        let sum = 0;
        for (let k = 0; k < columns; k++) sum += (U(i, k) * U(j, k)) / inverses[k]!;
        rebuilt.push(sum);
        expected.push(moments[order[i]! * columns + order[j]!]! + (i === j ? 0.01 * mean : 0));
        if (i < j) expect(triangle[j * columns + i]).toBe(upper[i * columns + j]);
      }
    expectClose(rebuilt, expected, 1e-5);
  });
});

describe("rounding to four bits", () => {
  test.each([
    [1, 1],
    [3, 20],
    [16, 32],
    [35, 100],
  ])("keeps to the format's limits and is near the weights: [%i, %i]", (rows, columns) => {
    const weights = gaussian(rows * columns, rows);
    const rounded = quantizer.quantizeFourBit(weights, rows, columns);
    expectWithinLimits(rounded);
    const error = codesToFloat(rounded, columns).reduce(
      (sum, value, i) => sum + (value - weights[i]!) ** 2,
      0,
    );
    const size = weights.reduce((sum, value) => sum + value ** 2, 0);
    // 7.4 % for normal weights in whole groups; fewer columns are nearer.
    expect(Math.sqrt(error / size)).toBeLessThan(0.08);
  });

  test("chooses steps no worse than the range of each group gives", () => {
    const [rows, columns] = [64, 96];
    const weights = gaussian(rows * columns, 7).map((value) => value ** 3);
    const rounded = codesToFloat(quantizer.quantizeFourBit(weights, rows, columns), columns);
    let [searched, plain] = [0, 0];
    for (let first = 0; first < weights.length; first += 32) {
      const group = weights.subarray(first, first + 32);
      const low = Math.min(...group);
      const step = (Math.max(...group) - low) / 15;
      group.forEach((value, i) => {
        searched += (rounded[first + i]! - value) ** 2;
        plain += (low + step * Math.round((value - low) / step) - value) ** 2;
      });
    }
    expect(searched).toBeLessThan(0.9 * plain);
  });

  test("takes rows of zeros, of one value, and of tiny and huge ones", () => {
    const columns = 64;
    const rows = [0, 1.5, -2, 1e-41, 1e-30, 3e38].map((value) => new Float32Array(columns).fill(value));
    const outlier = gaussian(columns, 8).map((value) => value * 0.01);
    outlier[5] = 1;
    rows.push(outlier);
    const weights = new Float32Array(rows.flatMap((row) => [...row]));
    const rounded = quantizer.quantizeFourBit(weights, rows.length, columns);
    expectWithinLimits(rounded);
    const restored = codesToFloat(rounded, columns);
    expect(restored.every(Number.isFinite)).toBe(true);
    expect(restored.subarray(0, columns).every((value) => value === 0)).toBe(true);
    for (const row of [1, 2, 4, 5])
      expectClose(restored.subarray(row * columns, (row + 1) * columns), rows[row]!, 1e-3);
    expect(Math.abs(restored[6 * columns + 5]! - 1)).toBeLessThan(0.01);
  });

  test("weighs columns by their importance", () => {
    const [rows, columns] = [32, 64];
    const weights = gaussian(rows * columns, 9);
    const importance = new Float32Array(columns).fill(1);
    for (let k = 0; k < columns; k += 4) importance[k] = 50;
    const errorOf = (rounded: FourBitRows) =>
      codesToFloat(rounded, columns).reduce(
        (sum, value, i) => sum + importance[i % columns]! * (value - weights[i]!) ** 2,
        0,
      );
    const weighed = quantizer.quantizeFourBit(weights, rows, columns, { importance });
    expect(errorOf(weighed)).toBeLessThan(0.9 * errorOf(quantizer.quantizeFourBit(weights, rows, columns)));
  });

  test("makes up for its errors when it knows the inputs", () => {
    const [tokens, rows, columns] = [300, 40, 100];
    const x = inputs(tokens, columns, 10);
    const weights = gaussian(rows * columns, 11);
    const factor = quantizer.factor(quantizer.moments(x, x, columns), columns, 0.01);
    const rounded = quantizer.quantizeFourBit(weights, rows, columns, { factor });
    expectWithinLimits(rounded);
    const alone = codesToFloat(quantizer.quantizeFourBit(weights, rows, columns), columns);
    expect(outputError(x, weights, codesToFloat(rounded, columns), columns)).toBeLessThan(
      0.5 * outputError(x, weights, alone, columns),
    );
  });

  test("makes up for inputs that have drifted", () => {
    const [tokens, rows, columns] = [400, 32, 64];
    const x = inputs(tokens, columns, 12);
    const noise = gaussian(x.length, 13);
    const drifted = x.map(
      (value, i) => 0.9 * value + 0.05 * x[i - (i % columns) + ((i + 1) % columns)]! + 0.1 * noise[i]!,
    );
    const difference = x.map((value, i) => value - drifted[i]!);
    const weights = gaussian(rows * columns, 14);
    const factor = quantizer.factor(quantizer.moments(drifted, drifted, columns), columns, 0.001);
    const drift = quantizer.moments(difference, drifted, columns);
    const wanted = naiveProduct(x, weights, columns);
    const missed = (rounded: FourBitRows) =>
      naiveProduct(drifted, codesToFloat(rounded, columns), columns).reduce(
        (sum, value, i) => sum + (value - wanted[i]!) ** 2,
        0,
      );
    const moved = quantizer.quantizeFourBit(weights, rows, columns, { factor, drift });
    expectWithinLimits(moved);
    expect(missed(moved)).toBeLessThan(
      0.5 * missed(quantizer.quantizeFourBit(weights, rows, columns, { factor })),
    );
  });

  test("rounds a row alone as it does among others", () => {
    const [rows, columns] = [37, 70];
    const x = inputs(200, columns, 15);
    const weights = gaussian(rows * columns, 16);
    const factor = quantizer.factor(quantizer.moments(x, x, columns), columns, 0.05);
    const all = quantizer.quantizeFourBit(weights, rows, columns, { factor });
    const groups = groupsOf(columns);
    for (const row of [0, 15, 16, 36]) {
      const own = weights.subarray(row * columns, (row + 1) * columns);
      const alone = quantizer.quantizeFourBit(own, 1, columns, { factor });
      expect(alone.codes).toEqual(all.codes.subarray(row * columns, (row + 1) * columns));
      expect(alone.steps).toEqual(all.steps.subarray(row * groups, (row + 1) * groups));
      expect(alone.offsets).toEqual(all.offsets.subarray(row * groups, (row + 1) * groups));
      expect(alone.scales[0]).toBe(all.scales[row]);
    }
  });
});
