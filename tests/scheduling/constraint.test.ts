// Generations that are held to something: the distribution stays the model's own, and nothing else can be told from it.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type GenerateOptions, resolveOptions } from "../../src/options.ts";
import { Generation } from "../../src/serving/sequence.ts";
import { logSoftmax } from "../reference/gpt2.ts";
import { Pcg32 } from "../reference/pcg32.ts";
import { uniform } from "../reference/random.ts";
import { EngineScheduler } from "./engine-scheduler.ts";
import { OddModel } from "./odd.ts";
import { GrammarMatcher, randomGrammar, type TokenGrammar } from "./token-grammar.ts";

let odd: OddModel;
beforeAll(async () => {
  odd = await OddModel.open();
});
afterAll(() => odd.close());

/** The checkpoint names no end of text; here its last token is one. */
const EOS = [1002];

function held(
  grammar: TokenGrammar,
  prompt: number[],
  options: GenerateOptions = {},
  fastForward = true,
): Generation {
  const resolved = resolveOptions({ seed: 1, ...options }, odd.vocabSize);
  const matcher = new GrammarMatcher(grammar);
  return new Generation(prompt, resolved, EOS, undefined, matcher, fastForward);
}

function runTogether(
  generations: Generation[],
  scheduler = new EngineScheduler(odd.engine, { promptLookup: 0 }),
): void {
  for (const generation of generations) scheduler.add(generation);
  while (scheduler.step());
  for (const { error } of generations) if (error) throw error;
}

/** What came of a generation; how much of it had to be drawn is another matter. */
function resultOf({ chunks }: Generation) {
  return {
    ids: chunks.flatMap(({ ids }) => ids),
    logprobs: chunks.flatMap(({ logprobs = [] }) => logprobs),
    stopLogprob: chunks.at(-1)?.stopLogprob,
    finishReason: chunks.at(-1)?.finishReason,
  };
}

const below = (seed: number) => {
  const random = uniform(seed);
  return (end: number) => Math.floor(random() * end);
};

/** ln Σ e^x */
const logSum = (values: number[]) => {
  const largest = Math.max(...values);
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
};

describe("the distribution", () => {
  test("of the next token is the model's own, renormalized over what the grammar allows: 200 grammars", () => {
    let [compared, drawn] = [0, 0];
    for (let seed = 1; seed <= 200; seed++) {
      const grammar = randomGrammar(below(seed), odd.vocabSize, EOS, 2);
      const prompt = [1 + (seed % 50), 7, 3];
      const generation = held(grammar, prompt, { seed, logprobs: 100, maxTokens: 6 });
      runTogether([generation]);
      const { ids, logprobs, stopLogprob, finishReason } = resultOf(generation);
      const matcher = new GrammarMatcher(grammar);
      const random = new Pcg32(BigInt(seed), 0n);
      const steps = [...logprobs, ...(stopLogprob ? [stopLogprob] : [])];
      steps.forEach((rated, i) => {
        const possible = [...matcher.possible, ...(matcher.mayEnd ? EOS : [])].sort((a, b) => a - b);
        const own = ownLogprobs([...prompt, ...ids.slice(0, i)]);
        const total = logSum(possible.map((id) => own[id]!));
        expect(rated.top.map(({ id }) => id).sort((a, b) => a - b)).toEqual(possible);
        for (const { id, logprob } of rated.top) {
          expect(Math.abs(logprob - (own[id]! - total))).toBeLessThan(1e-5);
          compared++;
        }
        // A draw takes the same token that a twin draws from the renormalized probabilities with the same number.
        if (possible.length > 1) {
          const goal = random.next() / 2 ** 32;
          let cumulative = 0;
          const expected = possible.find((id) => {
            cumulative += Math.exp(own[id]! - total);
            return cumulative > goal;
          });
          expect(rated.id).toBe(expected ?? possible.at(-1));
          drawn++;
        }
        if (rated !== stopLogprob) expect(matcher.accept(rated.id)).toBe(true);
      });
      expect(finishReason === "length" || matcher.mayEnd).toBe(true);
    }
    expect(compared).toBeGreaterThan(5000);
    expect(drawn).toBeGreaterThan(200);
  });

  /** The model's log-probabilities of what follows, without a constraint. */
  function ownLogprobs(ids: number[]): Float64Array {
    const { engine } = odd;
    for (let i = 0; i < 3; i++) engine.setBlock(0, i, i);
    ids.forEach((token, position) => void engine.setRow(position, token, position, 0));
    engine.setWanted(0, ids.length - 1);
    engine.forward(ids.length, 1);
    engine.head(0, 1);
    return logSoftmax(engine.logits(0).slice());
  }
});

describe("a draw from few tokens", () => {
  test("computes only the logits that it needs, with the bits that they have among all", () => {
    const { engine } = odd;
    engine.setBlock(0, 0, 0);
    engine.setRow(0, 5, 0, 0);
    engine.setWanted(0, 0);
    engine.forward(1, 1);
    engine.head(0, 1);
    const all = engine.logits(0).slice();
    engine.logits(0).fill(-1);
    engine.head(0, 1, 3, 7);
    engine.head(0, 1, 62, 63);
    const some = all.map((logit, id) => ((id >= 48 && id < 112) || id >= 992 ? logit : -1));
    expect(engine.logits(0).slice()).toEqual(some);

    const head = vi.spyOn(engine, "head");
    const few: TokenGrammar = [{ next: new Map([3, 5, 100, 1000].map((id) => [id, 0])), mayEnd: true }];
    const many: TokenGrammar = [
      { next: new Map(Array.from({ length: 900 }, (_, id) => [id, 0])), mayEnd: true },
    ];
    for (const grammar of [few, many]) runTogether([held(grammar, [1], { maxTokens: 1 })]);
    expect(head.mock.calls).toEqual([
      [0, 1, 0, 1],
      [0, 1, 6, 7],
      [0, 1, 62, 63],
      [0, 1],
    ]);
    head.mockRestore();
  });
});

const arbitraryOptions = fc.record({
  temperature: fc.constantFrom(0, 0.7, 1, 2),
  topP: fc.constantFrom(1, 0.6),
  topK: fc.constantFrom(0, 3),
  maxTokens: fc.integer({ min: 0, max: 20 }),
  seed: fc.nat(1000),
  logprobs: fc.constantFrom(undefined, 0, 2),
  repetitionPenalty: fc.constantFrom(1, 1.5),
  frequencyPenalty: fc.constantFrom(0, 1),
  logitBias: fc.constantFrom(undefined, { 5: 100, 6: 97 }),
}) as fc.Arbitrary<GenerateOptions>;

const arbitraryRequest = fc.record({
  grammarSeed: fc.integer({ min: 1, max: 1e6 }),
  prompt: fc.array(fc.nat(1002), { minLength: 1, maxLength: 16 }),
  options: arbitraryOptions,
});

describe("a constrained text is the same", () => {
  const grammarOf = (seed: number) => randomGrammar(below(seed), 1003, EOS);

  test("whether tokens without an alternative are drawn or not, cold or cached, alone or in a batch", () => {
    let forced = 0;
    const all = fc.array(arbitraryRequest, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(all, (requests) => {
        const make = (fastForward = true) =>
          requests.map(({ grammarSeed, prompt, options }) =>
            held(grammarOf(grammarSeed), prompt, options, fastForward),
          );
        const alone = make(false);
        for (const generation of alone) runTogether([generation]);
        const expected = alone.map(resultOf);
        const fast = make();
        for (const generation of fast) runTogether([generation]);
        expect(fast.map(resultOf)).toEqual(expected);
        forced += fast.reduce((sum, { chunks }) => sum + chunks.at(-1)!.usage!.forcedTokens!, 0);
        const scheduler = new EngineScheduler(odd.engine, { promptLookup: 3 });
        for (let turn = 0; turn < 2; turn++) {
          const together = make();
          runTogether(together, scheduler);
          expect(together.map(resultOf)).toEqual(expected);
        }
        expect(scheduler.cache.available).toBe(scheduler.cache.blocks);
      }),
      { numRuns: 60, seed: 22 },
    );
    expect(forced).toBeGreaterThan(200);
  });

  test("where it repeats itself, so that guesses are right", () => {
    let [saved, forced] = [0, 0];
    const arbitrary = fc.record({
      /** Tokens possible in each state of a circle. */
      widths: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
      options: arbitraryOptions,
      guesses: fc.integer({ min: 1, max: 7 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ widths, options, guesses }) => {
        const grammar = widths.map((width, state) => ({
          next: new Map(
            Array.from({ length: width }, (_, i): [number, number] => [
              10 * state + i,
              (state + 1) % widths.length,
            ]),
          ),
          mayEnd: state === 0 && width > 1,
        }));
        // The first token of each state comes mostly.
        const logitBias = Object.fromEntries(widths.map((_, state) => [10 * state, 10]));
        const run = (promptLookup: number) => {
          const scheduler = new EngineScheduler(odd.engine, { promptLookup });
          const generation = held(grammar, [1, 2], { ...options, logitBias, maxTokens: 33 });
          runTogether([generation], scheduler);
          return { chunks: generation.chunks, steps: scheduler.steps };
        };
        const [plain, guessed] = [run(0), run(guesses)];
        expect(guessed.chunks).toEqual(plain.chunks);
        saved += plain.steps - guessed.steps;
        forced += plain.chunks.at(-1)!.usage!.forcedTokens!;
      }),
      { numRuns: 200, seed: 22 },
    );
    expect(saved).toBeGreaterThan(200);
    expect(forced).toBeGreaterThan(200);
  });

  test("for one who is held to nothing beside it", () => {
    const free = () => odd.generation([9, 8, 7], { maxTokens: 20, logprobs: 1, seed: 5 });
    const alone = free();
    runTogether([alone]);
    const beside = free();
    runTogether([held(grammarOf(3), [1, 2]), beside, held(grammarOf(4), [9, 8, 7])]);
    expect(beside.chunks).toEqual(alone.chunks);
  });
});

describe("tokens without an alternative", () => {
  const line = (ids: number[], mayEnd = true): TokenGrammar => [
    ...ids.map((id, i) => ({ next: new Map([[id, i + 1]]), mayEnd: false })),
    { next: new Map(mayEnd ? [] : [[50, 0]]), mayEnd },
  ];

  test("cost no step where they are all that there is", () => {
    const scheduler = new EngineScheduler(odd.engine);
    const generation = held(line([4, 5, 6]), [1], { logprobs: 1 });
    runTogether([generation], scheduler);
    expect(scheduler.steps).toBe(0);
    expect(generation.chunks.map(({ ids, logprobs, finishReason }) => [ids, logprobs, finishReason])).toEqual(
      [
        [[4], [{ id: 4, logprob: 0, top: [{ id: 4, logprob: 0 }] }], null],
        [[5], [{ id: 5, logprob: 0, top: [{ id: 5, logprob: 0 }] }], null],
        [[6], [{ id: 6, logprob: 0, top: [{ id: 6, logprob: 0 }] }], "stop"],
      ],
    );
    expect(generation.chunks.at(-1)!.usage).toEqual({
      promptTokens: 1,
      completionTokens: 3,
      cachedTokens: 0,
      forcedTokens: 3,
    });
  });

  test("ride along with the step of the token before them, and only the last one's logits are computed", () => {
    const grammar: TokenGrammar = [
      {
        next: new Map([
          [10, 1],
          [11, 1],
        ]),
        mayEnd: false,
      },
      ...[20, 21, 22].map((id, i) => ({ next: new Map([[id, i + 2]]), mayEnd: false })),
      {
        next: new Map([
          [30, 5],
          [31, 5],
        ]),
        mayEnd: false,
      },
      { next: new Map(), mayEnd: true },
    ];
    const scheduler = new EngineScheduler(odd.engine);
    const forward = vi.spyOn(odd.engine, "forward");
    const generation = held(grammar, [1, 2]);
    runTogether([generation], scheduler);
    // The prompt; then the token that was drawn and the three behind it.
    expect(forward.mock.calls).toEqual([
      [2, 1],
      [4, 1],
    ]);
    forward.mockRestore();
    expect(generation.ids.slice(3, 6)).toEqual([20, 21, 22]);
    expect(resultOf(generation).finishReason).toBe("stop");
  });

  test("end with maxTokens", () => {
    const generation = held(line([4, 5, 6]), [1], { maxTokens: 2 });
    runTogether([generation]);
    expect(resultOf(generation)).toMatchObject({ ids: [4, 5], finishReason: "length" });
  });

  test("end at a stop token among them", () => {
    const generation = held(line([4, 5, 6], false), [1], { maxTokens: 5, stopTokenIds: [6] });
    runTogether([generation]);
    expect(resultOf(generation)).toMatchObject({ ids: [4, 5], finishReason: "stop" });
  });
});

describe("a text that cannot go on", () => {
  const choice: TokenGrammar = [
    {
      next: new Map([
        [4, 1],
        [5, 1],
      ]),
      mayEnd: false,
    },
    { next: new Map(), mayEnd: true },
  ];

  test("because minTokens asks for more than there can be is an error that says so", () => {
    const generation = held(choice, [1], { minTokens: 2, maxTokens: 3 });
    expect(() => runTogether([generation])).toThrow(
      "the constraint ends the text after 1 tokens, before minTokens 2",
    );
  });

  test("because it has no token at all is an error that says so", () => {
    const generation = held([{ next: new Map(), mayEnd: false }], [1]);
    expect(() => runTogether([generation])).toThrow(/no token could be drawn: the constraint/);
  });

  test("leaves its end open until minTokens where it can go on", () => {
    const loop: TokenGrammar = [
      {
        next: new Map([
          [4, 0],
          [5, 0],
        ]),
        mayEnd: true,
      },
    ];
    const generation = held(loop, [1], { minTokens: 6, maxTokens: 30, logitBias: { [EOS[0]!]: 100 } });
    runTogether([generation]);
    const { ids, finishReason } = resultOf(generation);
    expect([ids.length, finishReason]).toEqual([6, "stop"]);
  });
});

describe("turns", () => {
  test("one that is set back goes on as it would alone", () => {
    const make = (i: number, client?: string) => {
      const grammar = randomGrammar(below(i + 1), odd.vocabSize, EOS, 2);
      const owner = client === undefined ? undefined : { client, request: `${i}` };
      return held(grammar, [1 + i, 7, 3], { seed: i, maxTokens: 30, logprobs: 1, owner });
    };
    // Most grammars end soon; these go on.
    const expected = new Map<number, ReturnType<typeof resultOf>>();
    for (let i = 0; i < 700; i++) {
      const alone = make(i);
      runTogether([alone]);
      if (resultOf(alone).ids.length >= 25) expected.set(i, resultOf(alone));
    }
    const numbers = [...expected.keys()];
    expect(numbers.length).toBeGreaterThan(30);
    const scheduler = new EngineScheduler(odd.engine, { promptLookup: 1 });
    const seed = vi.spyOn(odd.engine, "seed");
    const got = new Map(numbers.map((i, at) => [i, make(i, at < 20 ? "greedy" : `client ${at % 3}`)]));
    for (const i of numbers.slice(0, 20)) scheduler.add(got.get(i)!);
    for (const i of numbers.slice(20)) {
      for (let step = 0; step < 9; step++) scheduler.step();
      scheduler.add(got.get(i)!);
    }
    while (scheduler.step());
    const setBack = seed.mock.calls.filter(([, , , drawn]) => drawn! > 0).length;
    seed.mockRestore();
    expect(setBack).toBeGreaterThan(3);
    for (const [i, generation] of got) {
      expect(generation.error).toBeUndefined();
      expect(resultOf(generation)).toEqual(expected.get(i));
    }
  });
});
