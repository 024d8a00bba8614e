// Who comes next where many ask at once, and what that costs them: no engine, on the model without weights.
import { describe, expect, test } from "vitest";
import type { GenerateOptions } from "../../src/options.ts";
import { type Capacity, Scheduler, type SchedulerOptions } from "../../src/serving/scheduler.ts";
import { type Generation, Scoring, type Sequence } from "../../src/serving/sequence.ts";
import { step } from "../../src/serving/step.ts";
import { FakeStage, fakeGeneration, finishAlone } from "./fake-stage.ts";

const VOCABULARY = 50;
/** The Worker's, at the bundled model's context of 512. */
const CAPACITY: Capacity = { kvBlocks: 8 * 32, maxSequences: 8, maxRows: 64 };

const prompt = (length: number, first: number) =>
  Array.from({ length }, (_, i) => 1 + ((first * 7 + i * (1 + (first % 5))) % (VOCABULARY - 1)));

function generation(
  client: string | undefined,
  request: string,
  length: number,
  maxTokens: number,
  more: GenerateOptions = {},
): Generation {
  const seed = [...`${client} ${request}`].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 1e6;
  const owner = client === undefined ? undefined : { client, request };
  return fakeGeneration(
    prompt(length, seed),
    { seed, maxTokens, ignoreEos: true, owner, ...more },
    VOCABULARY,
  );
}

function setUp(options: SchedulerOptions = {}, capacity = CAPACITY) {
  const scheduler = new Scheduler(capacity, options);
  const stage = new FakeStage(capacity, VOCABULARY);
  return { scheduler, run: () => step(scheduler, stage) };
}

/** Steps until a sequence has its first token. */
function stepsToFirstToken(run: () => boolean, sequence: Generation): number {
  let steps = 0;
  for (; sequence.chunks.length === 0 && sequence.error === undefined; steps++) run();
  return steps;
}

const idsOf = ({ chunks }: Generation) => chunks.flatMap(({ ids }) => ids);

function expectSolo(sequence: Generation, alone: Generation): void {
  finishAlone(alone, VOCABULARY);
  expect(sequence.error).toBeUndefined();
  expect(idsOf(sequence)).toEqual(idsOf(alone));
}

describe("turns", () => {
  test("a prompt is read before those go on who have had much more, and beside those who have not", () => {
    const { scheduler, run } = setUp();
    const long = Array.from({ length: 6 }, (_, i) => generation("greedy", `long ${i}`, 20, 400));
    for (const sequence of long) scheduler.add(sequence);
    for (let i = 0; i < 200; i++) run();
    const short = generation("modest", "a", 20, 40);
    scheduler.add(short);
    for (let i = 0; i < 5; i++) run();
    const had = () => [...long, short].map((sequence) => idsOf(sequence).length);
    const before = had();
    // As many rows as two batches have beside the modest one.
    const newcomer = generation("newcomer", "b", 126, 20);
    scheduler.add(newcomer);
    run();
    expect(had().map((count, i) => count - before[i]!)).toEqual([0, 0, 0, 0, 0, 0, 1]);
    run();
    expect(newcomer.chunks).toHaveLength(1);
    expect(had().at(-1)! - before.at(-1)!).toBe(2);
    while (!newcomer.finished) run();
    expectSolo(newcomer, generation("newcomer", "b", 126, 20));
    for (const sequence of long) scheduler.remove(sequence);
  });

  test.each([
    ["of one client", (_: number) => "all"],
    ["of clients", (i: number) => `client ${i}`],
  ])("a short answer comes at once beside a flood of long ones %s", (_, client) => {
    const { scheduler, run } = setUp();
    // 20 requests with 8 sequences inside at a time, each as long as the context.
    const flood = Array.from({ length: 160 }, (_, i) =>
      generation(client(i >> 3), `flood ${i >> 3}`, 300, 200, { temperature: 0.5 + (i % 2) }),
    );
    for (const sequence of flood) scheduler.add(sequence);
    for (let i = 0; i < 700; i++) run();
    const waits: number[] = [];
    for (let i = 0; i < 60; i++) {
      const short = () => generation(client(100 + (i % 20)), `short ${i}`, 30, 20);
      const sequence = short();
      scheduler.add(sequence);
      waits.push(stepsToFirstToken(run, sequence));
      while (!sequence.finished) run();
      expectSolo(sequence, short());
    }
    console.log(`steps to the first token: ${waits.toSorted((a, b) => a - b).join(" ")}`);
    // Its prompt needs one step of its own.
    expect(Math.max(...waits)).toBeLessThanOrEqual(3);
    for (const sequence of flood) scheduler.remove(sequence);
    expect(scheduler.cache.available).toBe(CAPACITY.kvBlocks);
  });

  test("a short answer comes soon beside long prompts that ask for one token each, without an end", () => {
    const { scheduler, run } = setUp();
    let flood: Generation[] = [];
    let made = 0;
    const more = () => {
      flood = flood.filter(({ finished, error }) => !finished && error === undefined);
      for (; flood.length < 24; made++) {
        const sequence = generation(`client ${made % 3}`, `${made}`, 500, 1);
        scheduler.add(sequence);
        flood.push(sequence);
      }
      run();
      return true;
    };
    for (let i = 0; i < 300; i++) more();
    const waits: number[] = [];
    for (let i = 0; i < 60; i++) {
      const sequence = generation(`visitor ${i % 20}`, `short ${i}`, 30, 20);
      scheduler.add(sequence);
      waits.push(stepsToFirstToken(more, sequence));
      while (!sequence.finished) more();
    }
    console.log(`steps to the first token: ${waits.toSorted((a, b) => a - b).join(" ")}`);
    expect(Math.max(...waits)).toBeLessThanOrEqual(3);
    // The flood gets on, too.
    expect(made).toBeGreaterThan(100);
  });

  test("of newcomers, who asks for little comes first: a short question among 20 who ask for much", () => {
    const { scheduler, run } = setUp();
    const flood = Array.from({ length: 160 }, (_, i) => generation(`client ${i >> 3}`, `${i >> 3}`, 8, 500));
    for (const sequence of flood) scheduler.add(sequence);
    for (let i = 0; i < 4; i++) {
      const sequence = generation(`visitor ${i}`, "short", 100, 16);
      scheduler.add(sequence);
      expect(stepsToFirstToken(run, sequence)).toBeLessThanOrEqual(3);
    }
    for (const sequence of flood) scheduler.remove(sequence);
    // Nothing is left of what they asked for.
    const [one, other] = [1, 2].map((i) => generation(`client ${i}`, "again", 100, 400));
    for (const sequence of [one!, other!]) scheduler.add(sequence);
    while (run());
    expect([one!.finished, other!.finished]).toEqual([true, true]);
  });

  test("clients get equal shares, however much each asks for", () => {
    const { scheduler, run } = setUp();
    const one = Array.from({ length: 40 }, (_, i) => generation("one", `request ${i}`, 10, 400));
    const other = Array.from({ length: 4 }, (_, i) => generation("other", "request", 10 + i, 400));
    for (const sequence of [...one, ...other]) scheduler.add(sequence);
    const rows = (list: Generation[]) => list.reduce((sum, { computed }) => sum + computed, 0);
    for (let i = 0; i < 380; i++) run();
    expect(rows(other)).toBeGreaterThan(0.4 * (rows(one) + rows(other)));
  });

  test("what was set back goes on where it was: with draws, penalties and log-probabilities as alone", () => {
    const { scheduler, run } = setUp({}, { kvBlocks: 64, maxSequences: 2, maxRows: 16 });
    const make = () => [
      generation("a", "1", 40, 400, { temperature: 0.9, topK: 5, logprobs: 2 }),
      generation("b", "1", 40, 400, { temperature: 0 }),
      generation("c", "1", 40, 400, { repetitionPenalty: 1.2, frequencyPenalty: 0.5, minTokens: 100 }),
      generation("d", "1", 40, 400, { stopTokenIds: [3], minTokens: 350 }),
    ];
    const text = prompt(700, 1);
    const scoring = () => new Scoring(text, 2, { owner: { client: "e", request: "1" } });
    const others = [1, 2].map((i) => generation("f", `${i}`, 40, 800));
    const all: Sequence[] = [...make(), scoring()];
    const left = new Set<Sequence>();
    const before = new Map<Sequence, number>();
    for (const sequence of [...all, ...others]) scheduler.add(sequence);
    while (run())
      for (const sequence of all) {
        if (sequence.computed < (before.get(sequence) ?? 0)) left.add(sequence);
        before.set(sequence, sequence.computed);
      }
    expect(left.size).toBe(5);
    const alone = [...make(), scoring()];
    for (const sequence of alone) finishAlone(sequence, VOCABULARY);
    for (let i = 0; i < 4; i++) {
      const [got, expected] = [all[i] as Generation, alone[i] as Generation];
      expected.chunks.at(-1)!.usage!.cachedTokens = got.cachedTokens;
      expect(got.chunks).toEqual(expected.chunks);
    }
    expect((all[4] as Scoring).result(Math.exp)).toEqual((alone[4] as Scoring).result(Math.exp));
    expect(scheduler.cache.available).toBe(64);
  });

  test("nobody is set back for ever: a long answer ends among newcomers that never stop", () => {
    const { scheduler, run } = setUp({}, { kvBlocks: 40, maxSequences: 2, maxRows: 16 });
    const make = () => generation("patient", "long", 60, 500);
    const long = make();
    scheduler.add(long);
    let steps = 0;
    let readAgain = 0;
    let computed = 0;
    let newcomers: Generation[] = [];
    for (; !long.finished && steps < 20_000; steps++) {
      newcomers = newcomers.filter(({ finished, error }) => !finished && error === undefined);
      while (newcomers.length < 4) {
        const newcomer = generation(`newcomer ${steps % 997}`, `${steps} ${newcomers.length}`, 60, 40);
        scheduler.add(newcomer);
        newcomers.push(newcomer);
      }
      run();
      if (long.computed < computed) readAgain++;
      computed = long.computed;
    }
    console.log(`ended after ${steps} steps, set back ${readAgain} times`);
    expect(long.finished).toBe(true);
    expect(readAgain).toBeGreaterThan(1);
    expectSolo(long, make());
  });

  test("who asks for no more than others is never interrupted", () => {
    const { scheduler, run } = setUp();
    const all = Array.from({ length: 40 }, (_, i) => generation(`client ${i}`, `request ${i}`, 30, 60));
    for (const sequence of all) scheduler.add(sequence);
    let gap = 0;
    const last = new Map<Generation, number>();
    const seen = new Map<Generation, number>();
    while (run())
      for (const sequence of all) {
        if (sequence.chunks.length === (seen.get(sequence) ?? 0)) continue;
        gap = Math.max(gap, scheduler.steps - (last.get(sequence) ?? scheduler.steps));
        last.set(sequence, scheduler.steps);
        seen.set(sequence, sequence.chunks.length);
      }
    expect(gap).toBe(1);
  });

  test("without owners, who comes first is served first and never set back", () => {
    const { scheduler, run } = setUp({}, { kvBlocks: 64, maxSequences: 1, maxRows: 64 });
    const all = Array.from({ length: 4 }, (_, i) => generation(undefined, `${i}`, 100, 400));
    for (const sequence of all) scheduler.add(sequence);
    const ends: number[] = [];
    while (run())
      for (const [i, { finished }] of all.entries()) if (finished && !ends.includes(i)) ends.push(i);
    expect(ends).toEqual([0, 1, 2, 3]);
  });
});

describe("the line", () => {
  test("counts requests, not their sequences, and lets one that has begun go on", () => {
    const { scheduler, run } = setUp({ maxQueue: 1 }, { kvBlocks: 64, maxSequences: 1, maxRows: 64 });
    const of = (request: string, first: number) => generation("all", request, 10 + first, 10);
    const all = [0, 1, 2, 3].map((i) => of("first", i));
    for (const sequence of all) scheduler.add(sequence);
    run();
    const second = [0, 1].map((i) => of("second", i));
    for (const sequence of second) scheduler.add(sequence);
    expect(() => scheduler.add(of("third", 0))).toThrow(
      expect.objectContaining({ code: "overloaded", message: expect.stringContaining("1 requests") }),
    );
    scheduler.add(of("first", 4));
    while (run());
    for (const { finished, error } of [...all, ...second])
      expect([finished, error]).toEqual([true, undefined]);
  });

  test("where it is full, who has most in it gives way to who has less", () => {
    const { scheduler, run } = setUp({ maxQueue: 4 }, { kvBlocks: 64, maxSequences: 1, maxRows: 64 });
    const greedy = [0, 1, 2, 3, 4].map((i) => generation("greedy", `${i}`, 10, 20));
    scheduler.add(greedy[0]!);
    run();
    for (const sequence of greedy.slice(1)) scheduler.add(sequence);
    expect(() => scheduler.add(generation("greedy", "5", 10, 20))).toThrow(
      expect.objectContaining({ code: "overloaded" }),
    );
    const modest = [0, 1].map((i) => generation("modest", `${i}`, 10, 20));
    for (const sequence of modest) scheduler.add(sequence);
    expect(greedy.map(({ error }) => error !== undefined)).toEqual([false, false, false, true, true]);
    expect(greedy[4]!.error).toMatchObject({ code: "overloaded" });
    // Two each now: nobody has more than a newcomer would have.
    expect(() => scheduler.add(generation("modest", "2", 10, 20))).toThrow("requests are waiting");
    while (run());
    for (const sequence of [...greedy.slice(0, 3), ...modest]) expect(sequence.finished).toBe(true);
  });

  test("a request that has begun does not wait too long: only those without a row are refused", () => {
    const { scheduler, run } = setUp({ maxWaitSteps: 100 }, { kvBlocks: 64, maxSequences: 1, maxRows: 64 });
    const [first, second] = ["first", "second"].map((name) => generation("all", name, 10, 900));
    const third = generation(undefined, "third", 10, 900);
    for (const sequence of [first!, second!, third]) scheduler.add(sequence);
    while (run());
    expect(third.error).toMatchObject({ code: "overloaded" });
    expect([first!.error, first!.finished]).toEqual([undefined, true]);
  });
});
