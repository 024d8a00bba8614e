import { describe, expect, test } from "vitest";
import { greedy, keptTokens } from "./sampler.ts";

const off = { temperature: 1, topK: 0, topP: 1, minP: 0 };
/** Probabilities 0.4, 0.3, 0.2, 0.1 in a mixed order of ids: 2, 0, 3, 1. */
const logits = [0.3, 0.1, 0.4, 0.2].map(Math.log);
const ids = (options: Partial<typeof off>) => keptTokens(logits, { ...off, ...options }).map(({ id }) => id);

describe("the naive sampler", () => {
  test("keeps everything without filters, likeliest first", () => {
    const kept = keptTokens(logits, off);
    expect(kept.map(({ id }) => id)).toEqual([2, 0, 3, 1]);
    kept.forEach(({ probability }, i) => {
      expect(probability).toBeCloseTo(0.4 - 0.1 * i, 12);
    });
  });

  test("each filter keeps what its paper says", () => {
    expect(ids({ topK: 2 })).toEqual([2, 0]);
    expect(ids({ topP: 0.65 })).toEqual([2, 0]);
    expect(ids({ topP: 0.71 })).toEqual([2, 0, 3]);
    expect(ids({ topP: 1e-9 })).toEqual([2]);
    expect(ids({ minP: 0.6 })).toEqual([2, 0]);
  });

  test("top-p sees the probabilities that top-k left, renormalized", () => {
    // 0.4 / 0.7 = 0.57 reaches 0.55 alone, where 0.4 of the whole would not.
    expect(ids({ topP: 0.55 })).toEqual([2, 0]);
    expect(ids({ topK: 2, topP: 0.55 })).toEqual([2]);
  });

  test("temperature comes before top-p", () => {
    expect(ids({ temperature: 0.25, topP: 0.7 })).toEqual([2]);
    expect(ids({ temperature: 4, topP: 0.7 })).toEqual([2, 0, 3]);
  });

  test("greedy takes the first of equals", () => {
    expect(greedy([1, 3, 3, 2])).toBe(1);
  });
});
