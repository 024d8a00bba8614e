// What the benchmark against other engines computes by itself.
import { describe, expect, test } from "vitest";
import { faithfulness } from "../bench/peers/faithfulness.ts";
import { quantizeBlocks, quantizeRows } from "../bench/peers/onnx-quantize.ts";

describe("weights for onnxruntime", () => {
  const COLUMNS = 64;
  const weights = Float32Array.from({ length: 3 * COLUMNS }, (_, i) => Math.sin(i * i) * (1 + (i >> 5)));

  test.each([4, 8] as const)("blocks in %i bits are half a step off at most", (bits) => {
    const { codes, steps, zeros } = quantizeBlocks(weights, COLUMNS, bits);
    const perByte = 8 / bits;
    const code = (bytes: Uint8Array, start: number, i: number) =>
      (bytes[start + Math.floor(i / perByte)]! >> (bits * (i % perByte))) & (2 ** bits - 1);
    const blocksPerRow = COLUMNS / 32;
    const zeroBytes = Math.ceil(blocksPerRow / perByte);
    expect(zeros).toHaveLength(3 * zeroBytes);
    weights.forEach((weight, i) => {
      const block = i >> 5;
      const zero = code(zeros, Math.floor(block / blocksPerRow) * zeroBytes, block % blocksPerRow);
      const value = (code(codes, 0, i) - zero) * steps[block]!;
      // The ends of a block may be clamped by as much as its zero point was rounded.
      expect(Math.abs(value - weight)).toBeLessThanOrEqual(1.01 * steps[block]!);
    });
  });

  test("rows in int8 are half a step off at most", () => {
    const { codes, steps } = quantizeRows(weights, COLUMNS);
    weights.forEach((weight, i) => {
      const step = steps[Math.floor(i / COLUMNS)]!;
      expect(Math.abs(codes[i]! * step - weight)).toBeLessThanOrEqual(0.501 * step);
    });
  });
});

describe("how far an engine is from float32", () => {
  const golden = {
    ids: [5, 6],
    top_ids: [
      [1, 2],
      [3, 4],
    ],
    top_logprobs: [
      [-0.5, -2],
      [-1, -1.5],
    ],
  };

  test("is nothing for float32 itself", () => {
    const scores = [{ logprobs: golden.top_logprobs.flat(), best: [1, 3] }];
    expect(faithfulness([golden], scores)).toEqual({ kl: 0, sameFirst: 1, positions: 2 });
  });

  test("is the mean divergence over the known tokens and the rest", () => {
    const scores = [{ logprobs: [...golden.top_logprobs[0]!, Math.log(0.25), Math.log(0.25)], best: [1, 4] }];
    const [p, q] = [Math.exp(-1), Math.exp(-1.5)];
    const rest = 1 - p - q;
    const expected = p * Math.log(p / 0.25) + q * Math.log(q / 0.25) + rest * Math.log(rest / 0.5);
    const found = faithfulness([golden], scores);
    expect(found.kl).toBeCloseTo(expected / 2, 12);
    expect(found).toMatchObject({ sameFirst: 0.5, positions: 2 });
  });
});
