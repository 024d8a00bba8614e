import { describe, expect, test } from "vitest";
import { attention } from "./gpt2.ts";
import {
  activationAmplitude,
  integerAttention,
  integerMatmul,
  nearest,
  quantizeActivations,
  quantizeInt8,
} from "./kernels.ts";
import { gaussian } from "./random.ts";

describe("the integer twins", () => {
  test.each([1, 16, 64, 80, 192, 515, 768, 3072, 4096])(
    "the amplitude for K = %i uses int32 as far as it goes, and no further",
    (K) => {
      const amplitude = activationAmplitude(K);
      expect(127 * K * amplitude).toBeLessThanOrEqual(2 ** 31 - 1);
      expect(amplitude === 32767 || 127 * K * (amplitude + 1) > 2 ** 31 - 1).toBe(true);
    },
  );

  test("halves round to even", () => {
    expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6, -2.6].map((x) => nearest(x) + 0)).toEqual([
      -2, -2, 0, 0, 2, 2, 2, 3, -3,
    ]);
  });

  test("a quantized row is within half a step, its maximum on the last step", () => {
    const x = gaussian(1000, 7);
    x[17] = -60;
    for (const [amplitude, { values, scale }] of [
      [127, quantizeInt8(x)],
      [5000, quantizeActivations(x, 5000)],
    ] as const) {
      x.forEach((value, i) => {
        expect(Math.abs(values[i]! * scale - value)).toBeLessThanOrEqual(scale * 0.5 * (1 + 1e-3));
      });
      expect(values[17]).toBe(-amplitude);
    }
  });

  test("a row of zeros stays zero", () => {
    expect(quantizeInt8(new Float32Array(5))).toEqual({ values: new Int8Array(5), scale: 0 });
  });

  test("a product outside int32 is refused", () => {
    const x = new Int16Array(1000).fill(32767);
    expect(() => integerMatmul(x, new Int8Array(1000).fill(127), 1000)).toThrow("does not fit");
  });

  test("integer attention is close to attention in floats", () => {
    const [T, C] = [40, 32];
    const qkv = gaussian(T * 3 * C, 3);
    const exact = attention(qkv, T, C, 1).subarray((T - 1) * C);
    const part = (t: number, i: number) => qkv.subarray((3 * t + i) * C, (3 * t + i + 1) * C);
    const cache = {
      keys: Array.from({ length: T }, (_, t) => quantizeInt8(part(t, 1))),
      values: Array.from({ length: T }, (_, t) => quantizeInt8(part(t, 2))),
    };
    integerAttention(part(T - 1, 0), cache, 1 / Math.sqrt(C)).forEach((value, i) => {
      expect(Math.abs(value - exact[i]!)).toBeLessThan(0.03);
    });
  });
});
