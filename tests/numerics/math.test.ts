import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  ACTIVATION_GELU_ERF,
  ACTIVATION_GELU_TANH,
  ACTIVATION_RELU,
  ACTIVATION_SILU,
} from "../../assembly/abi.ts";
import { alignUp } from "../../src/format/align.ts";
import { geluTanh, layerNorm } from "../reference/gpt2.ts";
import { gaussian } from "../reference/random.ts";
import { KernelBench } from "./kernel-module.ts";

let bench: KernelBench;

beforeAll(async () => {
  bench = await KernelBench.create(16 << 20);
});
beforeEach(() => bench.reset());

/** Evenly spaced float32 from `low` to `high`, a multiple of four of them. */
function grid(low: number, high: number, count: number) {
  return Float32Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
}

function engineExp(x: Float32Array) {
  const out = bench.take(x.byteLength);
  bench.kernels.exp(bench.put(x), out, x.length);
  return bench.float32(out, x.length).slice();
}

function activate(x: Float32Array, kind: number) {
  const out = bench.take(x.byteLength);
  bench.kernels.activate(bench.put(x), out, x.length, kind);
  return bench.float32(out, x.length).slice();
}

/** erf to 1e-15 by its Taylor series, |x| ≤ 5: 100 terms of alternating sign in float64 lose ten digits at most. */
function erf(x: number) {
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

describe("exp", () => {
  test("has a relative error below 2.5e-7 where float32 has normal numbers", () => {
    const x = grid(-87.29, 87.29, 400_000);
    const y = engineExp(x);
    let worst = 0;
    for (let i = 0; i < x.length; i++) worst = Math.max(worst, Math.abs(y[i]! / Math.exp(x[i]!) - 1));
    expect(worst).toBeLessThan(2.5e-7);
  });

  test("is exact at 0, 0 far below, and finite far above", () => {
    const [one, alsoOne, zero, none] = engineExp(Float32Array.of(0, -0, -87.4, -Infinity));
    expect([one, alsoOne, zero, none]).toEqual([1, 1, 0, 0]);
    const [large, infinite, tiny, lowest] = engineExp(Float32Array.of(88, Infinity, -1e-30, -3.4e38));
    expect(large).toBe(infinite);
    expect(large! / Math.exp(87.3)).toBeCloseTo(1, 5);
    expect([tiny, lowest]).toEqual([1, 0]);
  });
});

describe("activation functions", () => {
  const cases = [
    { name: "tanh-GELU", kind: ACTIVATION_GELU_TANH, exact: geluTanh },
    {
      name: "erf-GELU",
      kind: ACTIVATION_GELU_ERF,
      exact: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
    },
    { name: "SiLU", kind: ACTIVATION_SILU, exact: (x: number) => x / (1 + Math.exp(-x)) },
    { name: "ReLU", kind: ACTIVATION_RELU, exact: (x: number) => Math.max(x, 0) },
  ];
  test.each(cases)("$name is within 1e-6 from −6 to 6", ({ kind, exact }) => {
    const x = grid(-6, 6, 100_000);
    const y = activate(x, kind);
    let worst = 0;
    for (let i = 0; i < x.length; i++) worst = Math.max(worst, Math.abs(y[i]! - exact(x[i]!)));
    expect(worst).toBeLessThan(1e-6);
  });

  test.each(cases)("$name is right in the tails", ({ kind }) => {
    const [low, high, huge, zero] = activate(Float32Array.of(-30, 30, 1e4, 0), kind);
    expect(low! + 0).toBeCloseTo(0, 6);
    expect([high, huge, zero! + 0]).toEqual([30, 1e4, 0]);
  });
});

describe("LayerNorm", () => {
  test.each([1, 2, 3, 5, 16, 80, 192, 515, 768])(
    "is the reference's at width %i, outliers and all",
    (width) => {
      const widthPad = alignUp(width, 16);
      const rows = [gaussian(width, width), gaussian(width, 1).map((v) => v + 100)];
      const outliers = gaussian(width, 2);
      for (let i = 0; i < width; i += 150) outliers[i]! *= 50;
      rows.push(outliers);
      const weight = gaussian(width, 3);
      const bias = gaussian(width, 4);
      const weightAt = bench.put(weight, widthPad * 4);
      const biasAt = bench.put(bias, widthPad * 4);
      for (const row of rows) {
        const out = bench.take(widthPad * 4);
        bench.float32(out, widthPad).fill(NaN);
        bench.kernels.layerNorm(bench.put(row, widthPad * 4), weightAt, biasAt, width, widthPad, 1e-5, out);
        const exact = layerNorm(row, weight, bias, 1e-5);
        const normed = bench.float32(out, widthPad);
        exact.forEach((value, i) => {
          expect(Math.abs(normed[i]! - value)).toBeLessThanOrEqual(1e-4 * Math.max(1, Math.abs(value)));
        });
        expect(Array.from(normed.subarray(width), (v) => v + 0)).toEqual(Array(widthPad - width).fill(0));
      }
    },
  );

  test("a constant row becomes the bias", () => {
    const out = bench.take(64);
    const bias = gaussian(16, 5);
    const x = bench.put(new Float32Array(16).fill(7));
    bench.kernels.layerNorm(x, bench.put(gaussian(16, 6)), bench.put(bias), 16, 16, 1e-5, out);
    expect(bench.float32(out, 16).slice()).toEqual(bias);
  });
});
