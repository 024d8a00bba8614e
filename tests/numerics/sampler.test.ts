import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  HISTOGRAM_BUCKETS,
  M_LOGITS_STRIDE,
  M_VOCAB,
  MAX_PAIRS,
  MAX_TOP,
  RNG_BYTES,
} from "../../assembly/abi.ts";
import {
  REGION_LOGITS,
  REGION_MASK,
  REGION_PAIRS,
  REGION_RNG,
  REGION_SAMPLER,
  REGION_TOP,
} from "../../assembly/regions.ts";
import { alignUp } from "../../src/format/align.ts";
import { logSoftmax } from "../reference/gpt2.ts";
import { Pcg32 } from "../reference/pcg32.ts";
import { gaussian, integers } from "../reference/random.ts";
import { greedy, keptTokens, type ReferenceSampling } from "../reference/sampler.ts";
import { KernelBench } from "./kernel-module.ts";

let bench: KernelBench;
let rng: number;
let top: number;
let pairs: number;
let maskAt: number;
let logitsAt: number;

beforeAll(async () => {
  bench = await KernelBench.create(16 << 20);
});
beforeEach(() => bench.reset());

/** Puts logits into slot 0 as head() leaves them: the padding can never be drawn. */
function setLogits(logits: Float32Array): void {
  const vocabPad = alignUp(logits.length, 16);
  const padded = new Float32Array(vocabPad).fill(-Infinity);
  padded.set(logits);
  logitsAt = bench.put(padded);
  rng = bench.take(2 * RNG_BYTES);
  top = bench.take(MAX_TOP * 8);
  pairs = bench.take(MAX_PAIRS * 8);
  maskAt = bench.take(vocabPad / 8);
  bench.describe({
    [M_VOCAB]: logits.length,
    [REGION_LOGITS]: logitsAt,
    [M_LOGITS_STRIDE]: vocabPad * 4,
    [REGION_SAMPLER]: bench.take(vocabPad * 8 + HISTOGRAM_BUCKETS * 8),
    [REGION_RNG]: rng,
    [REGION_TOP]: top,
    [REGION_PAIRS]: pairs,
    [REGION_MASK]: maskAt,
  });
}

/** Makes the next random number of sequence 0 this one: PCG's output function, inverted at rotation 0. */
function forceRandom(bits: number): void {
  const state = BigInt((bits ^ (bits >>> 18)) >>> 0) << 27n;
  new BigUint64Array(bench.kernels.memory.buffer, rng, 2).set([state, 1n]);
}

function draw({ temperature, topK, topP, minP }: ReferenceSampling, share: number): number {
  forceRandom(Math.floor(share * 2 ** 32));
  return bench.kernels.sample(0, 0, temperature, topK, topP, minP);
}

/** A distribution like a language model's: a few likely tokens, a long tail. */
function peaked(vocabulary: number, seed: number): Float32Array {
  return gaussian(vocabulary, seed).map((value) => value * 2.5);
}

const off: ReferenceSampling = { temperature: 1, topK: 0, topP: 1, minP: 0 };
const settings: Partial<ReferenceSampling>[] = [
  {},
  { temperature: 0.7 },
  { temperature: 2 },
  { temperature: 0.05 },
  { topK: 1 },
  { topK: 5 },
  { topK: 1003 },
  { topK: 2000 },
  { topP: 0.9 },
  { topP: 0.1 },
  { topP: 1e-6 },
  { topP: 0 },
  { topP: 0.9999 },
  { minP: 0.1 },
  { minP: 1 },
  { temperature: 0.8, topK: 40, topP: 0.95 },
  { temperature: 1.3, topK: 50, topP: 0.8, minP: 0.02 },
];

describe("the generator", () => {
  test("gives the numbers that the reference implementation's demo prints", () => {
    setLogits(gaussian(16, 1));
    bench.kernels.seed(1, 42, 0, 54);
    expect(Array.from({ length: 6 }, () => (bench.kernels.random(1) >>> 0).toString(16))).toEqual([
      "a15c02b7",
      "7b47f409",
      "ba1d3330",
      "83d2f293",
      "bfa4784b",
      "cbed606e",
    ]);
  });

  test("agrees with the twin for seeds beyond 32 bits, sequence by sequence", () => {
    setLogits(gaussian(16, 1));
    const seed = 2 ** 53 - 1;
    bench.kernels.seed(0, seed % 2 ** 32, Math.floor(seed / 2 ** 32), 7);
    bench.kernels.seed(1, 0, 0, 0);
    const twins = [new Pcg32(BigInt(seed), 7n), new Pcg32(0n, 0n)];
    for (let i = 0; i < 200; i++) {
      const which = i % 3 === 0 ? 1 : 0;
      expect(bench.kernels.random(which) >>> 0).toBe(twins[which]!.next());
    }
  });
});

describe("sampling", () => {
  test.each(settings)("keeps and weighs the tokens that the naive sampler does: %j", (partial) => {
    const options = { ...off, ...partial };
    for (const vocabulary of [3, 64, 1003]) {
      bench.reset();
      const logits = peaked(vocabulary, vocabulary);
      setLogits(logits);
      const kept = keptTokens(logits, options).sort((a, b) => a.id - b.id);
      let start = 0;
      for (const { id, probability } of kept) {
        // At both ends of a token's interval: one token too many or too few would move it.
        if (probability > 1e-4) {
          expect(draw(options, start + 1e-5)).toBe(id);
          expect(draw(options, start + probability - 1e-5)).toBe(id);
        }
        start += probability;
      }
    }
  });

  test("the tokens drawn are those that the twin draws, seed for seed", () => {
    const logits = peaked(1003, 9);
    setLogits(logits);
    const options = { temperature: 0.9, topK: 100, topP: 0.9, minP: 0.001 };
    const kept = keptTokens(logits, options).sort((a, b) => a.id - b.id);
    bench.kernels.seed(0, 123, 0, 0);
    const twin = new Pcg32(123n, 0n);
    for (let i = 0; i < 500; i++) {
      const share = twin.next() / 2 ** 32;
      let cumulative = 0;
      const expected = kept.find(({ probability }) => (cumulative += probability) > share)!;
      expect(bench.kernels.sample(0, 0, 0.9, 100, 0.9, 0.001)).toBe(expected.id);
    }
  });

  test("a temperature of 0 takes the likeliest, the lowest id of several, and draws nothing", () => {
    for (const seed of [1, 2, 3]) {
      bench.reset();
      const logits = Float32Array.from(integers(1003, -50, 0, seed));
      setLogits(logits);
      bench.kernels.seed(0, 5, 0, 0);
      expect(bench.kernels.sample(0, 0, 0, 7, 0.3, 0.5)).toBe(greedy(logits));
      expect(bench.kernels.random(0) >>> 0).toBe(new Pcg32(5n, 0n).next());
    }
  });

  test("tokens that tie with the last of top-k stay", () => {
    setLogits(Float32Array.of(1, 3, 2, 2, 0));
    const drawn = new Set(Array.from({ length: 64 }, (_, i) => draw({ ...off, topK: 2 }, i / 64)));
    expect([...drawn].sort()).toEqual([1, 2, 3]);
  });

  test("extremes: all equal, one possible, the smallest and the largest temperature", () => {
    setLogits(new Float32Array(1003).fill(-4));
    expect(draw(off, 0.5)).toBe(501);
    expect(draw({ ...off, topP: 0.5 }, 0.999999)).toBe(1002);
    bench.reset();
    const single = new Float32Array(50).fill(-Infinity);
    single[33] = -1e4;
    setLogits(single);
    for (const share of [0, 0.3, 0.999999]) expect(draw({ ...off, topK: 10, topP: 0.5 }, share)).toBe(33);
    bench.reset();
    const logits = peaked(200, 4);
    setLogits(logits);
    for (const temperature of [1e-6, 1e-30, 1e-38, 1e-42])
      expect(draw({ ...off, temperature }, 0.7), `${temperature}`).toBe(greedy(logits));
  });
});

describe("log-probabilities", () => {
  test.each([1, 5, 16, 1003, 50257])("logSumExp is the reference's over %i tokens", (vocabulary) => {
    const logits = peaked(vocabulary, 2).map((value) => value - 30);
    setLogits(logits);
    const exact = logits[0]! - logSoftmax(logits)[0]!;
    expect(bench.kernels.logSumExp(0)).toBeCloseTo(exact, 5);
  });

  test.each([1, 5, 20, 128])("the %i likeliest come in order, the lower id first among equals", (k) => {
    const logits = Float32Array.from(integers(1003, 0, 60, k)).map((value) => value / 4);
    setLogits(logits);
    bench.kernels.topLogits(0, k);
    const sorted = Array.from(logits, (logit, id) => ({ logit, id })).sort(
      (a, b) => b.logit - a.logit || a.id - b.id,
    );
    for (let i = 0; i < k; i++) {
      expect(bench.int32(top, 2 * k)[2 * i]).toBe(sorted[i]!.id);
      expect(bench.float32(top, 2 * k)[2 * i + 1]).toBe(sorted[i]!.logit);
    }
  });
});

describe("whatever the numbers, the id is valid", () => {
  const KINDS: ReferenceSampling[] = [
    { temperature: 0, topK: 0, topP: 1, minP: 0 },
    { temperature: 1, topK: 0, topP: 1, minP: 0 },
    { temperature: 2, topK: 3, topP: 0.5, minP: 0.1 },
    { temperature: 1e-30, topK: 1, topP: 1e-30, minP: 1 },
  ];
  test.each(KINDS)("$temperature, $topK, $topP, $minP", (sampling) => {
    const sets: [string, Float32Array, number[]][] = [
      ["all impossible", new Float32Array(21).fill(-Infinity), [0]],
      ["one infinite", Float32Array.from({ length: 21 }, (_, i) => (i === 5 ? Infinity : i)), [5]],
      ["huge", Float32Array.from({ length: 21 }, (_, i) => (i - 10) * 3e37), [20]],
      ["not numbers", new Float32Array(21).fill(Number.NaN), [-1]],
    ];
    for (const [name, logits, expected] of sets) {
      setLogits(logits);
      expect([name, draw(sampling, 0.7)]).toEqual([name, expected[0]]);
    }
  });

  test("with penalties that overflow", () => {
    const logits = gaussian(33, 4).map((v) => v * 1e3);
    for (const repetition of [1e-38, 1e-45, 3e38]) {
      setLogits(logits);
      const view = bench.int32(pairs, 66);
      for (let id = 0; id < 33; id++) view.set([id, 3], 2 * id);
      bench.kernels.penalize(0, 33, repetition, 2, 2);
      expect(Array.from(bench.float32(logitsAt, 33)).every(Number.isFinite)).toBe(true);
      for (const sampling of KINDS) {
        const id = draw(sampling, 0.3);
        expect(id).toBeGreaterThanOrEqual(0);
        expect(id).toBeLessThan(33);
      }
    }
  });
});

describe("penalties", () => {
  test("change the listed logits as their definitions say, and no other", () => {
    const logits = peaked(1003, 8);
    setLogits(logits);
    const [repetition, presence, frequency] = [1.3, 0.5, 0.25].map(Math.fround) as [number, number, number];
    const counts = [
      [0, 0],
      [1002, 3],
      [17, 1],
      [500, 0],
    ] as const;
    const at = bench.int32(pairs, 8);
    counts.forEach((pair, i) => void at.set(pair, 2 * i));
    bench.kernels.penalize(0, counts.length, repetition, presence, frequency);
    const expected = logits.slice();
    for (const [id, times] of counts) {
      const value = expected[id]! > 0 ? expected[id]! / repetition : expected[id]! * repetition;
      expected[id] = times > 0 ? value - presence - frequency * times : value;
    }
    const after = bench.float32(logitsAt, 1003);
    expected.forEach((value, id) => {
      expect(Math.abs(after[id]! - value)).toBeLessThanOrEqual(1e-6 * Math.abs(value));
    });
  });
});

describe("a mask", () => {
  const random = integers(1003, 0, 1, 5);
  /** Bits of the tokens that are possible. */
  const masks: Record<string, (id: number) => boolean> = {
    none: () => false,
    all: () => true,
    one: (id) => id === 1002,
    half: (id) => id % 8 < 4,
    random: (id) => random[id] === 1,
  };

  test.each(Object.keys(masks))("leaves the logits of possible tokens and −∞ for others: %s", (name) => {
    const isPossible = masks[name]!;
    const logits = peaked(1003, 9);
    setLogits(logits);
    const words = new Uint32Array(bench.kernels.memory.buffer, maskAt, Math.ceil(1003 / 32));
    for (let id = 0; id < 1003; id++) if (isPossible(id)) words[id >> 5]! |= 1 << (id & 31);
    bench.kernels.mask(0);
    const expected = logits.map((logit, id) => (isPossible(id) ? logit : -Infinity));
    expect(bench.float32(logitsAt, 1003).slice()).toEqual(expected);
  });
});
