import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import type { GenerateOptions } from "../../src/options.ts";
import type { GenerateChunk } from "../../src/results.ts";
import { PromptLookup } from "../../src/serving/prompt-lookup.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { EngineScheduler } from "./engine-scheduler.ts";
import { OddModel } from "./odd.ts";

let odd: OddModel;
let engine: Engine;
beforeAll(async () => {
  odd = await OddModel.open();
  ({ engine } = odd);
});
afterAll(() => odd.close());

const CONTEXT = 37;
/** Three guesses and the row before them fill the engine's four logits slots. */
const GUESSES = [1, 3, 7];

const generation = (prompt: number[], options: GenerateOptions = {}) => odd.generation(prompt, options);

interface Run {
  chunks: GenerateChunk[];
  steps: number;
  /** Of each step. */
  rows: number[];
}

function run(prompt: number[], options: GenerateOptions, promptLookup: number): Run {
  const scheduler = new EngineScheduler(engine, { promptLookup });
  const sequence = generation(prompt, options);
  const forward = vi.spyOn(engine, "forward");
  scheduler.add(sequence);
  while (!sequence.finished) expect(scheduler.step()).toBe(true);
  const rows = forward.mock.calls.map(([count]) => count);
  forward.mockRestore();
  expect(scheduler.step()).toBe(false);
  expect(scheduler.cache.available).toBe(scheduler.cache.blocks);
  return { chunks: sequence.chunks, steps: scheduler.steps, rows };
}

/** Ids, every bit of the log-probabilities, finish reason and usage: with guesses the same as without. */
function expectSame(prompt: number[], options: GenerateOptions): { plain: Run; guessed: Run[] } {
  const plain = run(prompt, options, 0);
  const guessed = GUESSES.map((guesses) => run(prompt, options, guesses));
  for (const { chunks } of guessed) expect(chunks).toEqual(plain.chunks);
  return { plain, guessed };
}

/** Greedy text of this model: one token over and over. */
const REPEATS = { temperature: 0, maxTokens: 33, ignoreEos: true, logprobs: 2 };

describe("guesses", () => {
  const guesses = (ids: number[], limit: number) => {
    const lookup = new PromptLookup();
    return lookup.guess(ids, limit);
  };
  const cycle = (length: number, period: number) => Array.from({ length }, (_, i) => i % period);

  test("follow the last place where the text went the same way", () => {
    const lookup = new PromptLookup();
    const text = [...cycle(30, 10), 99];
    for (let length = 1; length <= 30; length++) lookup.guess(text.slice(0, length), 1);
    expect(lookup.guess(text.slice(0, 30), 3)).toEqual([0, 1, 2]);
    expect(lookup.guess(text, 3)).toEqual([]);
  });

  test("go on with themselves at the end of the text", () => {
    expect(guesses(cycle(40, 4), 7)).toEqual([0, 1, 2, 3, 0, 1, 2]);
    expect(guesses(cycle(40, 1), 7)).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });

  test("are as many as are likely to be right, and never more than asked for", () => {
    expect(guesses(cycle(13, 4), 7)).toHaveLength(1);
    expect(guesses(cycle(17, 4), 7)).toHaveLength(2);
    expect(guesses(cycle(40, 4), 2)).toHaveLength(2);
    expect(guesses(cycle(40, 4), 0)).toEqual([]);
  });

  test("stop when they are wrong, and start again when they are right", () => {
    const lookup = new PromptLookup();
    const ids: number[] = [];
    const counted = (tokens: number[]) => {
      let count = 0;
      for (const token of tokens) {
        ids.push(token);
        count += lookup.guess(ids, 1).length;
      }
      return count;
    };
    expect(counted(cycle(60, 6))).toBeGreaterThan(40);
    // Every fourth token is a new one: three of the cycle are expected to be followed by the next.
    counted(Array.from({ length: 60 }, (_, i) => (i % 4 === 3 ? 1000 + i : i % 4)));
    expect(counted(Array.from({ length: 200 }, (_, i) => (i % 4 === 3 ? 2000 + i : i % 4)))).toBe(0);
    expect(counted(cycle(60, 6))).toBeGreaterThan(30);
  });

  test("come from the text itself, however it goes", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { maxLength: 300 }), fc.nat(7), (ids, limit) => {
        const lookup = new PromptLookup();
        for (let length = 0; length <= ids.length; length++) {
          const seen = ids.slice(0, length);
          const guessed = lookup.guess(seen, limit);
          expect(guessed.length).toBeLessThanOrEqual(limit);
          for (const id of guessed) expect(seen).toContain(id);
        }
      }),
    );
  });
});

describe("prompt lookup", () => {
  test("gives the same text in fewer steps where it repeats itself", () => {
    const { plain, guessed } = expectSame([1, 2, 3], REPEATS);
    expect(plain.steps).toBe(33);
    const [one, three] = guessed.map(({ steps }) => steps);
    expect(one).toBeLessThan(25);
    expect(three).toBeLessThan(one!);
  });

  test("draws the same tokens from the same seed", () => {
    for (let seed = 0; seed < 12; seed++) {
      const options = { temperature: 1, seed, maxTokens: 33, ignoreEos: true, logprobs: 1 };
      expectSame([5, 6], { ...options, logitBias: { 5: 100, 6: 98 } });
      expectSame([5, 6, 7], { ...options, topK: 3, topP: 0.9 });
    }
    const { plain, guessed } = expectSame([5, 6], {
      temperature: 1,
      maxTokens: 33,
      ignoreEos: true,
      logitBias: { 5: 100, 6: 97 },
    });
    for (const { steps } of guessed) expect(steps).toBeLessThan(plain.steps);
  });

  test("a wrong guess changes nothing", () => {
    const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
    let wrong = 0;
    for (let seed = 0; seed < 12; seed++) {
      const { plain, guessed } = expectSame([5, 5, 5, 5, 6, 6], {
        temperature: 1,
        seed,
        maxTokens: 31,
        ignoreEos: true,
        logitBias: { 5: 100, 6: 98 },
        logprobs: 3,
      });
      for (const { rows } of guessed) wrong += sum(rows) - sum(plain.rows);
    }
    expect(wrong).toBeGreaterThan(10);
  });

  test("spends no row on text that does not repeat itself", () => {
    const { rows } = run([1], { temperature: 2, maxTokens: 36, ignoreEos: true, seed: 4 }, 3);
    expect(rows).toEqual(new Array(36).fill(1));
  });

  test("never computes a position that the sequence could not reach", () => {
    for (let maxTokens = 18; maxTokens < 24; maxTokens++) {
      const setRow = vi.spyOn(engine, "setRow");
      const { rows } = run([1, 2, 3], { ...REPEATS, maxTokens }, 7);
      const positions = setRow.mock.calls.map(([, , position]) => position);
      setRow.mockRestore();
      expect(Math.max(...rows.slice(1))).toBeGreaterThan(2);
      expect(Math.max(...positions)).toBe(3 + maxTokens - 2);
    }
  });

  test("ends at maxTokens and at the end of the context, in the middle of a run or not", () => {
    for (let maxTokens = 1; maxTokens <= 34; maxTokens++) {
      const { plain } = expectSame([1, 2, 3], { ...REPEATS, maxTokens });
      expect(plain.chunks.at(-1)).toMatchObject({ finishReason: "length" });
      expect(plain.chunks).toHaveLength(maxTokens);
    }
  });

  test("ends at a stop token in the middle of a run", () => {
    const options = { temperature: 1, ignoreEos: true, logitBias: { 5: 100, 6: 96.5 }, stopTokenIds: [6] };
    let stopped = 0;
    for (let seed = 0; seed < 20; seed++) {
      const { plain, guessed } = expectSame([5], { ...options, seed, maxTokens: 36 });
      if (plain.chunks.at(-1)!.finishReason === "stop" && guessed[1]!.steps < plain.steps) stopped++;
    }
    expect(stopped).toBeGreaterThan(3);
  });

  test("ends at a stop string in the middle of a run", () => {
    const letters: Pick<Tokenizer, "bytes"> = {
      bytes: (id) => Uint8Array.of(97 + (id % 26)),
    };
    // The model repeats one letter, so the string is there as soon as there are that many.
    for (let length = 10; length < 20; length++) {
      const stopped = [0, ...GUESSES].map((promptLookup) => {
        const scheduler = new EngineScheduler(engine, { promptLookup });
        const options = { ...REPEATS, stop: "f".repeat(length), logitBias: { 5: 100 } };
        const sequence = odd.generation([1, 2, 3], options, letters as Tokenizer);
        scheduler.add(sequence);
        while (!sequence.finished) scheduler.step();
        return sequence.chunks;
      });
      expect(stopped[0]).toHaveLength(length);
      expect(stopped[0]!.at(-1)).toMatchObject({ finishReason: "stop" });
      for (const chunks of stopped) expect(chunks).toEqual(stopped[0]);
    }
  });

  test("counts penalties, biases and the least length token by token", () => {
    const repeating = { ...REPEATS, logitBias: { 5: 60, 6: 58, 7: 57 } };
    for (const options of [
      { frequencyPenalty: 0.3 },
      { frequencyPenalty: 0.1 },
      { presencePenalty: 1.5 },
      { repetitionPenalty: 1.05 },
      { frequencyPenalty: 0.2, presencePenalty: 0.4, repetitionPenalty: 1.02 },
      { minTokens: 20, stopTokenIds: [5], logitBias: { 5: 100, 6: 90 } },
    ])
      expectSame([5, 6, 5], { ...repeating, ...options });
    const { plain, guessed } = expectSame([5, 6, 5], { ...repeating, frequencyPenalty: 0.1 });
    expect(new Set(plain.chunks.flatMap(({ ids }) => ids)).size).toBeGreaterThan(1);
    expect(guessed[0]!.steps).toBeLessThan(plain.steps);
  });

  test("is the same as plain decoding for any options", () => {
    const token = fc.integer({ min: 1, max: 6 });
    fc.assert(
      fc.property(
        fc.record({
          prompt: fc.array(token, { minLength: 1, maxLength: 30 }),
          temperature: fc.constantFrom(0, 0.5, 1),
          seed: fc.nat(1000),
          length: fc.integer({ min: 1, max: 36 }),
          strength: fc.constantFrom(0, 50, 100),
          frequencyPenalty: fc.constantFrom(0, 0.5, -0.5),
          repetitionPenalty: fc.constantFrom(1, 1.2),
          minTokens: fc.nat(10),
          stop: fc.option(token, { nil: undefined }),
        }),
        ({ prompt, strength, stop, length, ...options }) => {
          expectSame(prompt, {
            ...options,
            logprobs: 1,
            maxTokens: Math.min(length, CONTEXT - prompt.length),
            logitBias: { 1: strength, 2: strength, 3: strength - 1 },
            stopTokenIds: stop === undefined ? [] : [stop],
          });
        },
      ),
      { numRuns: 150, seed: 6 },
    );
  });

  test("a removed sequence leaves nothing, and nothing of a wrong guess is ever shared", () => {
    const expected = run([1, 2, 3], REPEATS, 0);
    for (let steps = 1; steps < 14; steps++) {
      const scheduler = new EngineScheduler(engine, { promptLookup: 3 });
      const first = generation([1, 2, 3], REPEATS);
      scheduler.add(first);
      for (let i = 0; i < steps; i++) scheduler.step();
      scheduler.remove(first);
      expect(scheduler.cache.available).toBe(scheduler.cache.blocks);
      // What the removed one published is what this one begins with.
      const second = generation(first.ids.slice(0, 34), { ...REPEATS, maxTokens: 3 });
      scheduler.add(second);
      while (!second.finished) scheduler.step();
      const alone = run(first.ids.slice(0, 34), { ...REPEATS, maxTokens: 3 }, 0);
      const tokens = (chunks: GenerateChunk[]) => chunks.map(({ ids, logprobs }) => ({ ids, logprobs }));
      expect(tokens(second.chunks)).toEqual(tokens(alone.chunks));
      expect(first.chunks).toEqual(expected.chunks.slice(0, first.chunks.length));
    }
  });

  test("pauses in company and goes on alone, with the cache shared", () => {
    const prompt = [...Array.from({ length: 16 }, (_, i) => 1 + i), 5, 6];
    const options = (i: number): GenerateOptions => ({
      ...REPEATS,
      maxTokens: 19 - 4 * i,
      temperature: i % 2,
      seed: i,
      logitBias: { 5: 100, 6: 97 },
    });
    const scheduler = new EngineScheduler(engine, { promptLookup: 3 });
    const first = generation(prompt, options(0));
    scheduler.add(first);
    for (let i = 0; i < 4; i++) scheduler.step();
    const others = [1, 2, 3].map((i) => generation(prompt, options(i)));
    for (const sequence of others) scheduler.add(sequence);
    const all = [first, ...others];
    while (all.some(({ finished }) => !finished)) scheduler.step();
    for (const [i, sequence] of all.entries())
      expect(sequence.chunks.flatMap(({ logprobs }) => logprobs)).toEqual(
        run(prompt, options(i), 0).chunks.flatMap(({ logprobs }) => logprobs),
      );
    expect(others.map(({ cachedTokens }) => cachedTokens)).toEqual([16, 16, 16]);
    expect(scheduler.cache.available).toBe(scheduler.cache.blocks);
  });

  test("does not change who gets in: a request waits for the blocks of another, not for its guesses", () => {
    const admitted = (promptLookup: number) => {
      const scheduler = new EngineScheduler(odd.small, { promptLookup });
      const first = generation([5, 6], { ...REPEATS, maxTokens: 15, logitBias: { 5: 100 } });
      const second = generation([7, 8], { ...REPEATS, maxTokens: 15, logitBias: { 5: 100 } });
      scheduler.add(first);
      scheduler.step();
      const left = scheduler.cache.available;
      scheduler.add(second);
      scheduler.step();
      return [left, scheduler.cache.available, second.ids.length];
    };
    for (const guesses of GUESSES) expect(admitted(guesses)).toEqual(admitted(0));
  });
});
