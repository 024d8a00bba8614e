import { afterAll, beforeAll, expect, it } from "vitest";
import { type OddModel, openOdd } from "../scheduling/odd.ts";
import { Simulation } from "../scheduling/simulation.ts";

let odd: OddModel;
beforeAll(async () => {
  odd = await openOdd();
});
afterAll(() => odd.close());

it.each([0, 1])(
  "20,000 random requests, %i guesses a step: the oracle agrees, no block is lost, memory is flat",
  (promptLookup) => {
    const { engine, oracle, recipe } = odd;
    const workload = { requests: 20_000, seed: 77, cancel: 0.25, promptLookup };
    const simulation = new Simulation(engine, oracle, recipe, workload);
    const before = engine.memoryBytes;
    const outcome = simulation.run();
    console.log(JSON.stringify(outcome));
    expect(outcome.finished + outcome.cancelled + outcome.refused).toBe(20_000);
    expect(outcome.finished).toBeGreaterThan(5000);
    expect(outcome.largestGap).toBe(1);
    expect(simulation.scheduler.cache.available).toBe(simulation.scheduler.cache.blocks);
    expect(engine.memoryBytes).toBe(before);
  },
);
