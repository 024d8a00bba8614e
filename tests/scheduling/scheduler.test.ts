import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Recipe } from "../../src/architectures/recipe.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { type GenerateOptions, resolveOptions } from "../../src/options.ts";
import { Scheduler, type SchedulerOptions } from "../../src/serving/scheduler.ts";
import { Generation, Scoring } from "../../src/serving/sequence.ts";
import { type OddModel, openOdd } from "./odd.ts";
import { Simulation } from "./simulation.ts";

let odd: OddModel;
let engine: Engine;
let recipe: Recipe;
beforeAll(async () => {
  odd = await openOdd();
  ({ engine, recipe } = odd);
});
afterAll(() => odd.close());

const generation = (prompt: number[], options: GenerateOptions = {}) =>
  new Generation(
    prompt,
    resolveOptions({ seed: 1, ...options }, recipe.vocabSize),
    recipe.eosTokenIds,
    undefined,
  );
const idsOf = ({ chunks }: Generation) => chunks.flatMap(({ ids }) => ids);
const prompt = (length: number, first = 1) => Array.from({ length }, (_, i) => first + i);

function together(sequences: Generation[], options?: SchedulerOptions): Scheduler {
  const scheduler = new Scheduler(engine, options);
  for (const sequence of sequences) scheduler.add(sequence);
  while (sequences.some(({ finished, error }) => !finished && error === undefined)) scheduler.step();
  return scheduler;
}

describe("the scheduler", () => {
  it("runs more sequences than it has slots, each as if alone", () => {
    const options = (i: number) => ({ maxTokens: 3 + (i % 9), seed: i });
    const many = Array.from({ length: 30 }, (_, i) => generation(prompt(2 + (i % 12), i), options(i)));
    together(many);
    for (const [i, sequence] of many.entries()) {
      const alone = generation(prompt(2 + (i % 12), i), options(i));
      together([alone]);
      expect(idsOf(sequence)).toEqual(idsOf(alone));
    }
  });

  it("choices of one prompt read it once", () => {
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

  it("scoring shares nothing it must read, but leaves its blocks to others", () => {
    const scheduler = new Scheduler(engine);
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

  it("removing a sequence at any moment frees all that it held", () => {
    for (let steps = 0; steps < 8; steps++) {
      const scheduler = new Scheduler(engine);
      const sequence = generation(prompt(20), { maxTokens: 10, ignoreEos: true });
      scheduler.add(sequence);
      for (let i = 0; i < steps; i++) scheduler.step();
      expect(sequence.finished).toBe(false);
      scheduler.remove(sequence);
      expect(scheduler.cache.available).toBe(scheduler.cache.blocks);
      expect(scheduler.step()).toBe(false);
    }
  });

  it("refuses what the whole cache could not hold, and takes what just fits", () => {
    const scheduler = new Scheduler(odd.small);
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

  it("refuses when too many wait", () => {
    const scheduler = new Scheduler(engine, { maxQueue: 2 });
    scheduler.add(generation([1]));
    scheduler.add(generation([2]));
    expect(() => scheduler.add(generation([3]))).toThrow(expect.objectContaining({ code: "overloaded" }));
    scheduler.step();
    scheduler.add(generation([3]));
  });

  it("refuses who has waited too long, without touching those who run", () => {
    const scheduler = new Scheduler(odd.small, { maxWaitSteps: 5 });
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

  it.each([0, 3])(
    "agrees with the oracle through 1,500 random requests, %i guesses a step, and leaks nothing",
    (promptLookup) => {
      const workload = { requests: 1500, seed: 5, cancel: 0.2, promptLookup };
      const simulation = new Simulation(engine, odd.oracle, recipe, workload);
      const before = engine.memoryBytes;
      const outcome = simulation.run();
      expect(outcome.finished + outcome.cancelled + outcome.refused).toBe(1500);
      for (const count of [outcome.finished, outcome.cancelled, outcome.refused, outcome.cachedTokens])
        expect(count).toBeGreaterThan(10);
      expect(outcome.largestGap).toBe(1);
      if (promptLookup > 0) expect(outcome.extraTokens).toBeGreaterThan(100);
      expect(simulation.scheduler.cache.available).toBe(simulation.scheduler.cache.blocks);
      expect(engine.memoryBytes).toBe(before);
    },
  );
});
