// The scheduler alone, no engine: what it asks a stage for, and what it makes of the outcomes.
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import type { GenerateOptions } from "../../src/options.ts";
import { type Capacity, Scheduler, type SchedulerOptions } from "../../src/serving/scheduler.ts";
import { Scoring, type Sequence } from "../../src/serving/sequence.ts";
import type { Batch, Stage } from "../../src/serving/stage.ts";
import { step } from "../../src/serving/step.ts";
import { FakeStage, fakeGeneration, fakeSystem, finishAlone } from "./fake-stage.ts";
import { Simulation } from "./simulation.ts";

const VOCABULARY = 50;
const CAPACITY: Capacity = { kvBlocks: 12, maxSequences: 4, maxRows: 8 };

const generation = (prompt: number[], options: GenerateOptions = {}) =>
  fakeGeneration(prompt, { ignoreEos: true, ...options }, VOCABULARY);
const prompt = (length: number, first = 1) =>
  Array.from({ length }, (_, i) => 1 + ((first + i) % (VOCABULARY - 1)));

function setUp(options: SchedulerOptions = {}, capacity = CAPACITY) {
  const scheduler = new Scheduler(capacity, options);
  const stage = new FakeStage(capacity, VOCABULARY);
  return { scheduler, stage };
}

function runAll(scheduler: Scheduler, stage: Stage, sequences: Sequence[]): void {
  for (const sequence of sequences) scheduler.add(sequence);
  while (step(scheduler, stage));
}

/** A sequence's ids after a run with nobody else. */
function alone<T extends Sequence>(sequence: T): T {
  finishAlone(sequence, VOCABULARY);
  return sequence;
}

describe("a batch", () => {
  test("of a new sequence is its admission, its rows, and a read of the last", () => {
    const { scheduler } = setUp();
    scheduler.add(generation([7, 8, 9], { seed: 2n ** 64n - 1n, temperature: 0.5, topK: 3, logprobs: 1 }));
    expect(scheduler.next()).toEqual({
      admissions: [{ slot: 0, blocks: [0, 1], seed: 2n ** 64n - 1n, drawn: 0 }],
      rows: [
        { token: 7, position: 0, slot: 0 },
        { token: 8, position: 1, slot: 0 },
        { token: 9, position: 2, slot: 0 },
      ],
      reads: [
        {
          row: 2,
          slot: 0,
          after: undefined,
          task: {
            kind: "draw",
            temperature: 0.5,
            topK: 3,
            topP: 1,
            minP: 0,
            penalties: undefined,
            biases: [],
            logprobs: 1,
          },
        },
      ],
    });
    scheduler.accept([{ id: 20, logprob: -1, top: [] }]);
    expect(scheduler.next()).toMatchObject({ admissions: [], rows: [{ token: 20, position: 3, slot: 0 }] });
  });

  test("has those who generate first, and prompts in what is left", () => {
    const { scheduler, stage } = setUp();
    const first = generation(prompt(3), { maxTokens: 9 });
    scheduler.add(first);
    step(scheduler, stage);
    const [second, third] = [generation(prompt(5, 10), { maxTokens: 9 }), generation(prompt(5, 30))];
    scheduler.add(second);
    scheduler.add(third);
    const { rows, reads, admissions } = scheduler.next()!;
    expect(rows.map(({ slot, position }) => [slot, position])).toEqual([
      [0, 3],
      ...[0, 1, 2, 3, 4].map((position) => [1, position]),
      ...[0, 1].map((position) => [2, position]),
    ]);
    expect(reads.map(({ row }) => row)).toEqual([0, 5]);
    expect(admissions.map(({ slot }) => slot)).toEqual([1, 2]);
  });

  test("tells of an admission with the sequence's first row", () => {
    const { scheduler, stage } = setUp();
    scheduler.add(generation(prompt(12)));
    scheduler.add(generation(prompt(12, 20)));
    const batches: Batch[] = [];
    for (let batch = scheduler.next(); batch !== undefined && batches.length < 3; batch = scheduler.next()) {
      batches.push(batch);
      scheduler.accept(stage.run(batch));
    }
    expect(batches.map(({ admissions }) => admissions.map(({ slot }) => slot))).toEqual([[0], [1], []]);
  });

  test("reads a guess only after the token it guessed, and asks as if that had been drawn", () => {
    const { scheduler, stage } = setUp({ promptLookup: 3 });
    const sequence = generation(prompt(1), {
      maxTokens: 60,
      temperature: 0,
      logitBias: { 5: 60 },
      frequencyPenalty: 0.1,
      minTokens: 58,
      stopTokenIds: [9],
    });
    scheduler.add(sequence);
    let guessed = 0;
    for (let batch = scheduler.next(); batch !== undefined; batch = scheduler.next()) {
      const generated = sequence.ids.length - 1;
      for (const [i, { after, task, row }] of batch.reads.entries()) {
        if (task.kind !== "draw") throw new Error("a generation rates nothing");
        expect(after).toBe(i === 0 ? undefined : batch.rows[row]!.token);
        const drawn = [...task.penalties!.counts.values()].reduce((sum, times) => sum + times, 0);
        expect(drawn).toBe(generated + i);
        expect(task.biases.some(([id]) => id === 9)).toBe(generated + i < 58);
        guessed += after === undefined ? 0 : 1;
      }
      scheduler.accept(stage.run(batch));
    }
    expect(guessed).toBeGreaterThan(10);
    expect(sequence.finished).toBe(true);
  });

  test("is asked for and answered in turns", () => {
    const { scheduler, stage } = setUp();
    expect(scheduler.next()).toBeUndefined();
    expect(() => scheduler.accept([])).toThrow("no batch");
    expect(() => scheduler.fail(new Error("lost"))).toThrow("no batch");
    scheduler.add(generation(prompt(3)));
    const batch = scheduler.next()!;
    expect(() => scheduler.next()).toThrow("neither been accepted nor failed");
    scheduler.accept(stage.run(batch));
    expect(() => scheduler.accept([])).toThrow("no batch");
    expect(scheduler.next()).toBeDefined();
  });
});

describe("the scheduler without an engine", () => {
  const token = fc.integer({ min: 1, max: 6 });
  const request = fc.record({
    prompt: fc.array(token, { minLength: 1, maxLength: 40 }),
    options: fc.record({
      maxTokens: fc.integer({ min: 0, max: 24 }),
      temperature: fc.constantFrom(0, 1),
      seed: fc.oneof(fc.nat(3), fc.bigInt(0n, 2n ** 64n - 1n)),
      logitBias: fc.constantFrom(undefined, { 5: 100 }),
      minTokens: fc.nat(10),
      stopTokenIds: fc.constantFrom<number[][]>([], [5], [11, 12]),
      ignoreEos: fc.boolean(),
      repetitionPenalty: fc.constantFrom(1, 1.5),
      logprobs: fc.constantFrom(undefined, 0, 2),
    }),
  });

  test("gives every request what it gets alone, whatever the company, the capacity and the guesses", () => {
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 12 }),
        fc.record({
          kvBlocks: fc.integer({ min: 4, max: 16 }),
          maxSequences: fc.integer({ min: 1, max: 5 }),
          maxRows: fc.integer({ min: 1, max: 20 }),
        }),
        fc.nat(7),
        (requests, capacity, promptLookup) => {
          const { scheduler, stage } = setUp({ promptLookup }, capacity);
          const sequences = requests.map(({ prompt, options }) => generation(prompt, options));
          runAll(scheduler, stage, sequences);
          for (const [i, { prompt, options }] of requests.entries()) {
            const expected = alone(generation(prompt, options));
            const { cachedTokens, error, chunks } = sequences[i]!;
            expect(error).toBeUndefined();
            expected.chunks.at(-1)!.usage!.cachedTokens = cachedTokens;
            expect(chunks).toEqual(expected.chunks);
          }
          expect(scheduler.cache.available).toBe(capacity.kvBlocks);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("rates every token of a text, in batches of any size", () => {
    for (const maxRows of [1, 3, 8, 64]) {
      const { scheduler, stage } = setUp({}, { ...CAPACITY, maxRows });
      const texts = [prompt(1), prompt(2), prompt(30), prompt(37, 3)];
      const scorings = texts.map((text) => new Scoring(text, 2));
      runAll(scheduler, stage, scorings);
      for (const [i, scoring] of scorings.entries())
        expect(scoring.result(Math.exp)).toEqual(alone(new Scoring(texts[i]!, 2)).result(Math.exp));
    }
  });

  test.each([
    { promptLookup: 0, fault: 0 },
    { promptLookup: 3, fault: 0 },
    { promptLookup: 0, fault: 0.02 },
    { promptLookup: 3, fault: 0.02 },
    { promptLookup: 0, fault: 0.02, owners: true },
    { promptLookup: 3, fault: 0, owners: true },
  ])("5,000 random requests, %o: solo texts, no block lost", (extra) => {
    const system = fakeSystem({ kvBlocks: 9, maxSequences: 4, maxRows: 16 }, 37, 1003);
    const simulation = new Simulation(system, { requests: 5000, seed: 9, cancel: 0.2, ...extra });
    const { finished, cancelled, refused, failed, cachedTokens, extraTokens, setBack } = simulation.run();
    expect(finished + cancelled + refused + failed).toBe(5000);
    for (const count of [finished, cancelled, cachedTokens]) expect(count).toBeGreaterThan(300);
    expect(refused).toBeGreaterThan(0);
    if (extra.fault > 0) expect(failed).toBeGreaterThan(100);
    else expect(failed).toBe(0);
    if (extra.promptLookup > 0) expect(extraTokens).toBeGreaterThan(100);
    if (extra.owners) expect(setBack).toBeGreaterThan(50);
    else expect(setBack).toBe(0);
    expect(simulation.scheduler.cache.available).toBe(9);
  });

  test("shares a beginning within a salt, and neither waits nor shares across salts", () => {
    const { scheduler, stage } = setUp({}, { kvBlocks: 20, maxSequences: 6, maxRows: 20 });
    const salted = (cacheSalt?: string) =>
      Object.assign(generation(prompt(34), { maxTokens: 4 }), cacheSalt === undefined ? {} : { cacheSalt });
    const sequences = [salted("a"), salted("b"), salted(), salted("a"), salted("b"), salted("")];
    for (const sequence of sequences) scheduler.add(sequence);
    step(scheduler, stage);
    // Each needs three blocks: the first of each salt is in, and the fourth waits for what the first is reading.
    expect(scheduler.cache.available).toBe(20 - 9);
    while (step(scheduler, stage));
    const late = ["a", "c"].map(salted);
    for (const sequence of late) runAll(scheduler, stage, [sequence]);
    sequences.push(...late);
    expect(sequences.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 0, 0, 32, 32, 32, 32, 0]);
    const { ids } = alone(generation(prompt(34), { maxTokens: 4 }));
    for (const sequence of sequences) expect(sequence.ids).toEqual(ids);
  });
});

describe("when a stage fails", () => {
  test("those in the batch get the error, those behind go on", () => {
    const { scheduler, stage } = setUp();
    const inside = [1, 2].map((i) => generation(prompt(3, i), { maxTokens: 9 }));
    for (const sequence of inside) scheduler.add(sequence);
    step(scheduler, stage);
    const third = generation(prompt(20, 9), { maxTokens: 100 });
    const behind = generation(prompt(5, 30), { maxTokens: 9 });
    scheduler.add(third);
    scheduler.add(behind);
    const failure = new Error("unreachable executed");
    // Six rows of the third fit beside those who generate, none of the fourth: it is admitted, but not in the batch.
    step(scheduler, {
      run: () => {
        throw failure;
      },
    });
    for (const sequence of [...inside, third]) expect(sequence.error).toBe(failure);
    expect(behind.error).toBeUndefined();
    while (step(scheduler, stage));
    expect(behind.ids).toEqual(alone(generation(prompt(5, 30), { maxTokens: 9 })).ids);
    expect(scheduler.cache.available).toBe(CAPACITY.kvBlocks);
  });

  test("nothing of a failed batch is found in the cache", () => {
    const { scheduler, stage } = setUp({}, { ...CAPACITY, maxRows: 64 });
    scheduler.add(generation(prompt(34)));
    step(scheduler, {
      run: () => {
        throw new Error("lost");
      },
    });
    expect(scheduler.cache.cachedPositions(prompt(34), 33)).toBe(0);
    const next = generation(prompt(34));
    runAll(scheduler, stage, [next]);
    expect(next.cachedTokens).toBe(0);
    expect(next.ids).toEqual(alone(generation(prompt(34))).ids);
  });

  test("the wrong number of outcomes, or none for a read that counts, is a failure", () => {
    for (const outcomes of [[], [undefined, undefined], [undefined]]) {
      const { scheduler } = setUp();
      const sequence = generation(prompt(3));
      scheduler.add(sequence);
      expect(step(scheduler, { run: () => outcomes })).toBe(true);
      expect(sequence.error?.message).toMatch(/^the stage /);
      expect(step(scheduler, { run: () => outcomes })).toBe(false);
      expect(scheduler.cache.available).toBe(CAPACITY.kvBlocks);
    }
  });

  test("what is thrown and is no error becomes one", () => {
    const { scheduler } = setUp();
    const sequence = generation(prompt(3));
    scheduler.add(sequence);
    scheduler.next();
    scheduler.fail("gone");
    expect(sequence.error).toEqual(new Error("gone"));
  });

  test("a sequence that cannot take its outcome fails alone", () => {
    const { scheduler, stage } = setUp();
    const [broken, sound] = [
      generation(prompt(3), { maxTokens: 5 }),
      generation(prompt(3, 9), { maxTokens: 5 }),
    ];
    broken.accept = () => {
      throw new Error("broken");
    };
    runAll(scheduler, stage, [broken, sound]);
    expect(broken.error).toEqual(new Error("broken"));
    expect(sound.ids).toEqual(alone(generation(prompt(3, 9), { maxTokens: 5 })).ids);
    expect(scheduler.cache.available).toBe(CAPACITY.kvBlocks);
  });

  test("a sequence that cannot say what to read fails alone, also where nobody else is there", () => {
    for (const company of [0, 1]) {
      const { scheduler, stage } = setUp();
      const broken = generation(prompt(3), { maxTokens: 5 });
      const others = Array.from({ length: company }, () => generation(prompt(3, 9), { maxTokens: 5 }));
      broken.read = () => {
        throw new Error("broken");
      };
      runAll(scheduler, stage, [broken, ...others]);
      expect(broken.error).toEqual(new Error("broken"));
      for (const sound of others)
        expect(sound.ids).toEqual(alone(generation(prompt(3, 9), { maxTokens: 5 })).ids);
      expect(scheduler.cache.available).toBe(CAPACITY.kvBlocks);
    }
  });

  test("a sequence that has failed is given nothing more", () => {
    const { scheduler, stage } = setUp();
    const scoring = new Scoring(prompt(6), 0);
    const accept = vi.spyOn(scoring, "accept").mockImplementationOnce(() => {
      throw new Error("broken");
    });
    runAll(scheduler, stage, [scoring]);
    expect(scoring.error).toEqual(new Error("broken"));
    expect(accept).toHaveBeenCalledTimes(1);
  });

  test("an id that no sampler may give ends the generation with an error, not with a token", () => {
    const { scheduler } = setUp();
    const sequence = generation(prompt(3));
    scheduler.add(sequence);
    step(scheduler, { run: () => [{ id: -1, logprob: undefined, top: undefined }] });
    expect(sequence.error).toMatchObject({ code: "invalid_model" });
    expect(sequence.ids).toEqual(prompt(3));
  });
});

describe("while a batch is computed elsewhere", () => {
  test("sequences come and go: the outcomes of those who left are dropped", () => {
    const { scheduler, stage } = setUp();
    const options = { maxTokens: 6 };
    const [leaving, staying, coming] = [1, 9, 17].map((first) => generation(prompt(3, first), options));
    scheduler.add(leaving!);
    scheduler.add(staying!);
    const outcomes = stage.run(scheduler.next()!);
    scheduler.remove(leaving!);
    scheduler.add(coming!);
    scheduler.accept(outcomes);
    expect(leaving!.ids).toEqual(prompt(3));
    while (step(scheduler, stage));
    for (const [sequence, first] of [[staying!, 9] as const, [coming!, 17] as const])
      expect(sequence.ids).toEqual(alone(generation(prompt(3, first), options)).ids);
    expect(leaving!.error).toBeUndefined();
    expect(scheduler.cache.available).toBe(CAPACITY.kvBlocks);
  });

  test("all may leave, and the failure of their batch is nobody's", () => {
    const { scheduler, stage } = setUp();
    const [leaving, coming] = [generation(prompt(3)), generation(prompt(3))];
    scheduler.add(leaving);
    scheduler.next();
    scheduler.remove(leaving);
    scheduler.add(coming);
    scheduler.fail(new Error("lost"));
    expect([leaving.error, coming.error]).toEqual([undefined, undefined]);
    while (step(scheduler, stage));
    expect(coming.ids).toEqual(alone(generation(prompt(3))).ids);
  });
});
