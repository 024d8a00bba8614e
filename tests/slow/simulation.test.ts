import { afterAll, beforeAll, expect, test } from "vitest";
import { OddModel } from "../scheduling/odd.ts";
import { Simulation } from "../scheduling/simulation.ts";

let odd: OddModel;
beforeAll(async () => {
  odd = await OddModel.open();
});
afterAll(() => odd.close());

test.each([0, 1])(
  "20,000 random requests, %i guesses a step: the oracle agrees, no block is lost, memory is flat",
  (promptLookup) => {
    const simulation = new Simulation(odd.system, { requests: 20_000, seed: 77, cancel: 0.25, promptLookup });
    const before = odd.engine.memoryBytes;
    const results = simulation.run();
    console.log(JSON.stringify(results));
    expect(results.finished + results.cancelled + results.refused).toBe(20_000);
    expect(results.finished).toBeGreaterThan(5000);
    expect(results.largestGap).toBe(1);
    expect(simulation.scheduler.cache.available).toBe(simulation.scheduler.cache.blocks);
    expect(odd.engine.memoryBytes).toBe(before);
  },
);
