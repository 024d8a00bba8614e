import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import type { GenerateOptions } from "../../src/options.ts";
import { type Generation, Scoring } from "../../src/serving/sequence.ts";
import { EngineScheduler } from "./engine-scheduler.ts";
import { OddModel } from "./odd.ts";
import { Simulation } from "./simulation.ts";

let odd: OddModel;
let engine: Engine;
beforeAll(async () => {
  odd = await OddModel.open();
  ({ engine } = odd);
});
afterAll(() => odd.close());

const generation = (prompt: number[], options: GenerateOptions = {}) => odd.generation(prompt, options);
const idsOf = ({ chunks }: Generation) => chunks.flatMap(({ ids }) => ids);
const prompt = (length: number, first = 1) => Array.from({ length }, (_, i) => first + i);

function together(sequences: Generation[]): void {
  const scheduler = new EngineScheduler(engine);
  for (const sequence of sequences) scheduler.add(sequence);
  while (sequences.some(({ finished, error }) => !finished && error === undefined)) scheduler.step();
}

describe("the scheduler", () => {
  test("runs more sequences than it has slots, each as if alone", () => {
    const options = (i: number) => ({ maxTokens: 3 + (i % 9), seed: i });
    const many = Array.from({ length: 30 }, (_, i) => generation(prompt(2 + (i % 12), i), options(i)));
    together(many);
    for (const [i, sequence] of many.entries()) {
      const alone = generation(prompt(2 + (i % 12), i), options(i));
      together([alone]);
      expect(idsOf(sequence)).toEqual(idsOf(alone));
    }
  });

  test("choices of one prompt read it once", () => {
    const choices = [1, 2, 3, 4].map((seed) => generation(prompt(34), { maxTokens: 3, seed }));
    together(choices);
    expect(choices.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 32, 32, 32]);
    expect(new Set(choices.map((choice) => idsOf(choice).join())).size).toBeGreaterThan(1);
    for (const [i, choice] of choices.entries()) {
      const cold = generation(prompt(34), { maxTokens: 3, seed: i + 1 });
      together([cold]);
      expect(idsOf(choice)).toEqual(idsOf(cold));
    }
  });

  test("scoring shares nothing it must read, but leaves its blocks to others", () => {
    const scheduler = new EngineScheduler(engine);
    const text = prompt(36);
    for (let i = 0; i < 2; i++) {
      const scoring = new Scoring(text, 0);
      scheduler.add(scoring);
      while (!scoring.finished) scheduler.step();
      expect(scoring.cachedTokens).toBe(0);
    }
    const next = generation(text, { maxTokens: 1 });
    scheduler.add(next);
    scheduler.step();
    expect(next.cachedTokens).toBe(32);
  });

  test("removing a sequence at any moment frees all that it held", () => {
    for (let steps = 0; steps < 8; steps++) {
      const scheduler = new EngineScheduler(engine);
      const sequence = generation(prompt(20), { maxTokens: 10, ignoreEos: true });
      scheduler.add(sequence);
      for (let i = 0; i < steps; i++) scheduler.step();
      expect(sequence.finished).toBe(false);
      scheduler.remove(sequence);
      expect(scheduler.cache.available).toBe(scheduler.cache.blocks);
      expect(scheduler.step()).toBe(false);
    }
  });

  test("refuses what the whole cache could not hold, and takes what just fits", () => {
    const scheduler = new EngineScheduler(odd.small);
    const { blocks } = scheduler.cache;
    const room = blocks * 16;
    expect(() => scheduler.add(generation(prompt(4), { maxTokens: room - 2 }))).toThrow(
      expect.objectContaining({ code: "context_length_exceeded" }),
    );
    const fits = generation(prompt(4), { maxTokens: room - 3, ignoreEos: true });
    scheduler.add(fits);
    while (!fits.finished) expect(scheduler.step()).toBe(true);
    expect(idsOf(fits)).toHaveLength(room - 3);
  });

  test.each([0, 2])("refuses when more than %i wait besides those who find a slot", (maxQueue) => {
    const scheduler = new EngineScheduler(engine, { maxQueue });
    const room = engine.plan.maxSequences + maxQueue;
    for (let i = 0; i < room; i++) scheduler.add(generation([i], { maxTokens: 3, ignoreEos: true }));
    expect(() => scheduler.add(generation([99]))).toThrow(expect.objectContaining({ code: "overloaded" }));
    scheduler.step();
    expect(() => scheduler.add(generation([99]))).toThrow(expect.objectContaining({ code: "overloaded" }));
    while (scheduler.step());
    scheduler.add(generation([99]));
  });

  test("refuses who has waited too long, without touching those who run", () => {
    const scheduler = new EngineScheduler(odd.small, { maxWaitSteps: 5 });
    const long = generation(prompt(4), { maxTokens: 28, ignoreEos: true });
    const late = generation(prompt(4, 50), { maxTokens: 28, ignoreEos: true });
    scheduler.add(long);
    scheduler.add(late);
    while (!long.finished) scheduler.step();
    expect(late.error).toMatchObject({ code: "overloaded" });
    const alone = generation(prompt(4), { maxTokens: 28, ignoreEos: true });
    together([alone]);
    expect(idsOf(long)).toEqual(idsOf(alone));
  });

  test.each([
    { promptLookup: 0, owners: false },
    { promptLookup: 3, owners: false },
    { promptLookup: 1, owners: true },
  ])(
    "agrees with the oracle through 1,500 random requests, %o, and leaks nothing",
    ({ promptLookup, owners }) => {
      const workload = { requests: 1500, seed: 5, cancel: 0.2, promptLookup, owners };
      const simulation = new Simulation(odd.system, workload);
      const before = engine.memoryBytes;
      const results = simulation.run();
      expect(results.finished + results.cancelled + results.refused).toBe(1500);
      for (const count of [results.finished, results.cancelled, results.cachedTokens])
        expect(count).toBeGreaterThan(10);
      // With owners the line counts requests, of which there are fewer.
      expect(results.refused).toBeGreaterThan(owners ? 0 : 10);
      if (owners) expect(results.setBack).toBeGreaterThan(20);
      else expect(results.largestGap).toBe(1);
      if (promptLookup > 1) expect(results.extraTokens).toBeGreaterThan(100);
      expect(simulation.scheduler.cache.available).toBe(simulation.scheduler.cache.blocks);
      expect(engine.memoryBytes).toBe(before);
    },
  );
});
