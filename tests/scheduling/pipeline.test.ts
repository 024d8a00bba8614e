// Several batches under way at once, and stages that lose what they held: every text is the one of the request alone.
import { describe, expect, test } from "vitest";
import { EdgeformerError } from "../../src/errors.ts";
import type { GenerateOptions } from "../../src/options.ts";
import { Pipeline, type StageChain } from "../../src/serving/pipeline.ts";
import { Scheduler } from "../../src/serving/scheduler.ts";
import { Scoring, type Sequence } from "../../src/serving/sequence.ts";
import type { Batch, Outcomes } from "../../src/serving/stage.ts";
import { uniform } from "../reference/random.ts";
import { FakeStage, fakeGeneration, finishAlone } from "./fake-stage.ts";

const VOCABULARY = 50;
const CONTEXT = 48;
const CAPACITY = { kvBlocks: 12, maxSequences: 4, maxRows: 8, maxBatches: 3 };

/** A stage without a model behind a hop of some turns, which now and then loses its cells and tables. */
class FakeChain implements StageChain<number[][]> {
  opened = 0;
  mostUnderWay = 0;
  /** Batches that began and have not come back. */
  #underWay = 0;
  #lost = true;
  readonly #stage = new FakeStage(CAPACITY, VOCABULARY);
  readonly #random: () => number;
  readonly #fault: number;

  constructor(fault: number, seed: number) {
    this.#fault = fault;
    this.#random = uniform(seed);
  }

  async open(): Promise<void> {
    await this.#delay();
    if (this.#random() < this.#fault) throw new Error("nobody answers");
    this.opened++;
    this.#underWay = 0;
    this.#lost = false;
    this.#stage.forget();
  }

  async begin(batch: Batch): Promise<number[][]> {
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.#underWay);
    const number = this.opened;
    if (this.#random() < this.#fault) this.#lost = true;
    if (this.#lost) throw new Error("a stage has lost its cache");
    const seen = this.#stage.enter(batch);
    await this.#delay();
    if (number === this.opened) this.#underWay--;
    return seen;
  }

  finish(batch: Batch, seen: number[][]): Outcomes {
    return this.#stage.answer(batch, seen);
  }

  async #delay(): Promise<void> {
    for (let turns = Math.floor(this.#random() * 4); turns > 0; turns--)
      await new Promise((resolve) => setImmediate(resolve));
  }
}

const generation = (prompt: number[], options: GenerateOptions = {}) =>
  fakeGeneration(prompt, { ignoreEos: true, ...options }, VOCABULARY);
const prompt = (length: number, first = 1) =>
  Array.from({ length }, (_, i) => 1 + ((first + i) % (VOCABULARY - 1)));

async function runAll(
  pipeline: Pipeline<number[][]>,
  sequences: readonly Sequence[],
  visit: () => void = () => {},
): Promise<void> {
  const isLeft = (sequence: Sequence) => !sequence.finished && sequence.error === undefined;
  for (let turns = 0; sequences.some(isLeft); turns++) {
    if (turns > 100_000) throw new Error("it does not end");
    await pipeline.advance();
    visit();
  }
}

function setUp({ fault = 0, seed = 1, promptLookup = 0 } = {}) {
  const chain = new FakeChain(fault, seed);
  const scheduler = new Scheduler(CAPACITY, { promptLookup, maxQueue: 1000, maxWaitSteps: 1e6 });
  const pipeline = new Pipeline(scheduler, chain, async () => {});
  return { chain, scheduler, pipeline };
}

describe("several batches under way", () => {
  test("those who generate are shared out over them, and a prompt does not wait for its slices", () => {
    const scheduler = new Scheduler({ ...CAPACITY, kvBlocks: 40 });
    for (let i = 0; i < 3; i++) scheduler.add(generation(prompt(1, i), { maxTokens: 9 }));
    const slotsOf = (batch: Batch | undefined) => batch?.rows.map(({ slot, position }) => [slot, position]);
    expect([1, 2, 3].map(() => slotsOf(scheduler.next()))).toEqual([[[0, 0]], [[1, 0]], [[2, 0]]]);
    expect(() => scheduler.next()).toThrow("neither been accepted nor failed");
    scheduler.accept([{ id: 9, logprob: undefined, top: undefined }]);
    scheduler.add(generation(prompt(20, 30), { maxTokens: 9 }));
    const batch = scheduler.next()!;
    expect(slotsOf(batch)).toEqual([[0, 1], ...[0, 1, 2, 3, 4, 5, 6].map((position) => [3, position])]);
    scheduler.accept([{ id: 9, logprob: undefined, top: undefined }]);
    expect(slotsOf(scheduler.next())).toEqual([
      [1, 1],
      ...[7, 8, 9, 10, 11, 12, 13].map((position) => [3, position]),
    ]);
  });

  test("nothing is made for those who wait for their token", () => {
    const scheduler = new Scheduler(CAPACITY);
    scheduler.add(generation(prompt(3)));
    expect(scheduler.next()?.rows).toHaveLength(3);
    expect(scheduler.next()).toBeUndefined();
    expect(scheduler.steps).toBe(1);
  });

  test("an answer to one who left is not given to the next in its slot", () => {
    const scheduler = new Scheduler({ ...CAPACITY, maxSequences: 1 });
    const leaving = generation(prompt(3));
    scheduler.add(leaving);
    scheduler.next();
    scheduler.remove(leaving);
    const coming = generation(prompt(3, 9));
    scheduler.add(coming);
    expect(scheduler.next()?.admissions).toHaveLength(1);
    scheduler.accept([{ id: 20, logprob: undefined, top: undefined }]);
    expect(coming.ids).toHaveLength(3);
    scheduler.accept([{ id: 21, logprob: undefined, top: undefined }]);
    expect([leaving.ids.length, coming.ids.at(-1)]).toEqual([3, 21]);
  });
});

describe("a chain that loses what it held", () => {
  test("after which whoever runs is read again, goes on with its random numbers, and no read is answered twice", async () => {
    const { chain, scheduler, pipeline } = setUp();
    const options = { maxTokens: 12, temperature: 1, seed: 7, logprobs: 2, repetitionPenalty: 1.2 };
    const running = generation(prompt(20), options);
    const scoring = new Scoring(prompt(30), 1);
    for (const sequence of [running, scoring]) scheduler.add(sequence);
    for (let i = 0; i < 5; i++) await pipeline.advance();
    expect(running.ids.length).toBeGreaterThan(20);
    scheduler.restart();
    await chain.open();
    expect(scheduler.cache.cachedPositions(running.ids, 32)).toBe(0);
    const again = scheduler.next()!;
    const drawn = running.ids.length - 20;
    expect(again.admissions).toEqual([expect.objectContaining({ slot: 0, seed: 7, drawn })]);
    expect([again.rows[0]!.position, again.reads]).toEqual([0, []]);
  });

  test.each([0, 0.05])("gives the texts of requests alone, faults %d", async (fault) => {
    const { chain, scheduler, pipeline } = setUp({ fault, seed: 5, promptLookup: 2 });
    const random = uniform(11);
    const below = (n: number) => Math.floor(random() * n);
    const requests = Array.from({ length: 150 }, (_, i) => {
      const ids = [...prompt(below(2) * 20, 3), ...prompt(1 + below(8), below(VOCABULARY))];
      const options: GenerateOptions = {
        maxTokens: 1 + below(CONTEXT - ids.length),
        temperature: below(3) === 0 ? 0 : 1,
        repetitionPenalty: below(3) === 0 ? 1.3 : 1,
        ...(below(3) === 0 ? { logprobs: 2 } : {}),
        ...(below(2) === 0 ? { logitBias: { 5: 100, 6: 97 } } : {}),
        seed: i,
      };
      const text = prompt(2 + below(30), i);
      return i % 9 === 8 ? () => new Scoring(text, 1) : () => generation(ids, options);
    });
    const [running, alone] = [requests.map((make) => make()), requests.map((make) => make())];
    const cancelled = new Set(running.filter((_, i) => i % 7 === 3));
    for (const sequence of running) scheduler.add(sequence);
    await runAll(
      pipeline,
      running.filter((sequence) => !cancelled.has(sequence)),
      () => {
        for (const sequence of cancelled)
          if (below(60) === 0) {
            scheduler.remove(sequence);
            cancelled.delete(sequence);
          }
      },
    );
    for (const sequence of cancelled) scheduler.remove(sequence);
    let finished = 0;
    for (const [i, sequence] of running.entries()) {
      if (!sequence.finished) continue;
      finished++;
      finishAlone(alone[i]!, VOCABULARY);
      expect(sequence.ids).toEqual(alone[i]!.ids);
      if (sequence instanceof Scoring)
        expect(sequence.result(Math.exp)).toEqual((alone[i] as Scoring).result(Math.exp));
    }
    expect(finished).toBeGreaterThan(120);
    expect(running.filter(({ error }) => error !== undefined && !(error instanceof EdgeformerError))).toEqual(
      [],
    );
    expect(scheduler.cache.available).toBe(CAPACITY.kvBlocks);
    expect(chain.mostUnderWay).toBe(3);
    if (fault > 0) expect(chain.opened).toBeGreaterThan(50);
  });

  test("fails everybody who runs or waits once it does not come back, and nobody who comes later", async () => {
    const { scheduler, pipeline, chain } = setUp();
    const sequences = Array.from({ length: 6 }, (_, i) => generation(prompt(3, i), { maxTokens: 20 }));
    for (const sequence of sequences) scheduler.add(sequence);
    await pipeline.advance();
    const { open, begin } = chain;
    const isGone = () => Promise.reject(new Error("gone"));
    Object.assign(chain, { open: isGone, begin: isGone });
    await runAll(pipeline, sequences);
    for (const { error } of sequences) expect(error).toMatchObject({ code: "io" });
    expect(sequences[0]!.error!.message).toContain("a stage of the model is away (gone)");
    expect(scheduler.cache.available).toBe(CAPACITY.kvBlocks);
    Object.assign(chain, { open, begin });
    const later = generation(prompt(3), { maxTokens: 20 });
    scheduler.add(later);
    await runAll(pipeline, [later]);
    const expected = generation(prompt(3), { maxTokens: 20 });
    finishAlone(expected, VOCABULARY);
    expect(later.ids).toEqual(expected.ids);
  });

  test("that is of another model fails everybody at once, with that error", async () => {
    const { scheduler, pipeline, chain } = setUp();
    const refusal = new EdgeformerError("invalid_model", "stage 2 holds another model");
    let tries = 0;
    chain.open = async () => {
      tries++;
      throw refusal;
    };
    const sequence = generation(prompt(3));
    scheduler.add(sequence);
    await runAll(pipeline, [sequence]);
    expect(sequence.error).toBe(refusal);
    expect(tries).toBe(1);
  });
});
