import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EdgeformerError } from "../../src/errors.ts";
import { type GenerateOptions, resolveOptions, seedHalves } from "../../src/options.ts";
import { SAMPLING_RANGES } from "../../src/sampling-ranges.ts";

const VOCABULARY = 100;
const resolve = (options: unknown) => resolveOptions(options as GenerateOptions, VOCABULARY);

/** What is no number, or none that any option takes. */
const NO_NUMBERS = [null, "1", true, [], {}, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

function refused(options: unknown): EdgeformerError {
  try {
    resolve(options);
  } catch (error) {
    expect(error).toBeInstanceOf(EdgeformerError);
    return error as EdgeformerError;
  }
  return expect.fail(`accepted ${String(Object.entries(options as object))}`);
}

test("nothing asked for: the defaults", () => {
  const { seed, ...rest } = resolve({});
  expect(rest).toEqual({
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    logitBias: [],
    maxTokens: 16,
    stop: [],
    stopTokenIds: [],
    ignoreEos: false,
    minTokens: 0,
    logprobs: undefined,
    signal: undefined,
  });
  expect(typeof seed === "number" && Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  expect(resolve(Object.fromEntries(Object.keys(rest).map((key) => [key, undefined])))).toMatchObject(rest);
});

test("a model's own defaults hold where nothing is asked for", () => {
  const generation = { temperature: 0.6, top_k: 20, top_p: 0.95, min_p: 0.1, repetition_penalty: 1.1 };
  const own = { temperature: 0.6, topK: 20, topP: 0.95, minP: 0.1, repetitionPenalty: 1.1 };
  expect(resolveOptions({}, VOCABULARY, generation)).toMatchObject(own);
  const asked = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };
  expect(resolveOptions(asked, VOCABULARY, generation)).toMatchObject(asked);
  expect(resolveOptions({}, VOCABULARY, { top_k: 50_000 }).topK).toBe(0);
});

test("a seed that nobody chose is another one each time", () => {
  expect(new Set(Array.from({ length: 20 }, () => resolve({}).seed)).size).toBeGreaterThan(15);
});

test("a seed is its 64 bits, whichever type it has", () => {
  for (const seed of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 7, Number.MAX_SAFE_INTEGER]) {
    const [low, high] = seedHalves(seed);
    expect(high * 2 ** 32 + low).toBe(seed);
    expect(seedHalves(BigInt(seed))).toEqual([low, high]);
  }
  expect(seedHalves(0x0123_4567_89ab_cdefn)).toEqual([0x89ab_cdef, 0x0123_4567]);
  expect(seedHalves(2n ** 64n - 1n)).toEqual([0xffff_ffff, 0xffff_ffff]);
});

describe("what is in its range is taken as it is, the ends included", () => {
  test.each<[keyof GenerateOptions, unknown[]]>([
    ["temperature", [0, 1e-42, 0.7, 2]],
    ["topK", [0, 1, VOCABULARY]],
    ["topP", [0, 1e-9, 0.5, 1]],
    ["minP", [0, 0.5, 1]],
    ["seed", [0, 1, Number.MAX_SAFE_INTEGER, 0n, 2n ** 64n - 1n]],
    ["repetitionPenalty", [0.01, 1, 10]],
    ["presencePenalty", [-2, 0, 2]],
    ["frequencyPenalty", [-2, 0, 2]],
    ["maxTokens", [0, 1, Number.MAX_SAFE_INTEGER]],
    ["minTokens", [0, 1, Number.MAX_SAFE_INTEGER]],
    ["logprobs", [0, 1, 100]],
    ["ignoreEos", [true, false]],
    ["stopTokenIds", [[], [0, VOCABULARY - 1]]],
    ["stop", [[], ["a"], Array(16).fill("a")]],
  ])("%s", (param, values) => {
    for (const value of values) expect(resolve({ [param]: value })[param as "seed"]).toEqual(value);
  });

  test("one stop string may stand alone", () => {
    expect(resolve({ stop: "\n\n" }).stop).toEqual(["\n\n"]);
  });

  test("a bias has ids for keys", () => {
    expect(resolve({ logitBias: { 7: -100, [VOCABULARY - 1]: 2.5 } }).logitBias).toEqual([
      [7, -100],
      [VOCABULARY - 1, 2.5],
    ]);
  });
});

describe("what is not is refused by name", () => {
  test.each<[param: string, values: unknown[]]>([
    ["temperature", [-Number.MIN_VALUE, 2.0001, 1n, ...NO_NUMBERS]],
    ["topK", [-1, 0.5, VOCABULARY + 1, 1n, ...NO_NUMBERS]],
    ["topP", [-0.1, 1.0001, ...NO_NUMBERS]],
    ["minP", [-0.1, 1.0001, ...NO_NUMBERS]],
    ["seed", [-1, 0.5, 2 ** 53, -1n, 2n ** 64n, ...NO_NUMBERS]],
    ["repetitionPenalty", [0, -0, -1, 1e-38, 0.0099, 10.1, ...NO_NUMBERS]],
    ["presencePenalty", [-2.1, 2.1, ...NO_NUMBERS]],
    ["frequencyPenalty", [-2.1, 2.1, ...NO_NUMBERS]],
    ["maxTokens", [-1, 0.5, 2 ** 53, ...NO_NUMBERS]],
    ["minTokens", [-1, 0.5, ...NO_NUMBERS]],
    ["logprobs", [-1, 101, 0.5, ...NO_NUMBERS]],
    ["ignoreEos", [0, 1, "true", null, {}]],
    ["stop", ["", [""], ["a", 1], Array(17).fill("a"), 7, {}, null]],
    ["stopTokenIds", [[VOCABULARY], [-1], [0.5], ["1"], 7, "1", {}]],
    [
      "logitBias",
      [
        7,
        "12",
        true,
        { [VOCABULARY]: 1 },
        { "-1": 1 },
        { "1.5": 1 },
        { a: 1 },
        { "": 1 },
        { " 1": 1 },
        { 1: 101 },
        { 1: -101 },
        { 1: "1" },
        { 1: null },
      ],
    ],
  ])("%s", (param, values) => {
    for (const value of values) {
      const error = refused({ [param]: value });
      expect(error, String(value)).toMatchObject({ code: "invalid_option", param });
      expect(error.message).toMatch(new RegExp(`^${param} `));
    }
  });

  test.each([[undefined], [null], [7], ["options"], [true]])("options that are %s", (options) => {
    expect(() => resolve(options)).toThrow(/^options must be an object$/);
  });
});

test("whatever is given, the answer is resolved options within their ranges, or an error that names one", () => {
  const value = fc.oneof(fc.anything(), fc.double(), fc.integer(), fc.nat(100));
  const keys = Object.keys(resolve({})).filter((key) => key !== "signal");
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 3 }), (options) => {
      try {
        const resolved = resolve(options);
        const { logitBias, ...numbers } = SAMPLING_RANGES;
        for (const [name, [least, greatest]] of Object.entries(numbers)) {
          expect(resolved[name as keyof typeof numbers]).toBeGreaterThanOrEqual(least);
          expect(resolved[name as keyof typeof numbers]).toBeLessThanOrEqual(greatest);
        }
        for (const [, bias] of resolved.logitBias) expect(Math.abs(bias)).toBeLessThanOrEqual(logitBias[1]);
        expect(resolved.topK).toBeLessThanOrEqual(VOCABULARY);
        const { seed } = resolved;
        expect(
          typeof seed === "bigint" ? BigInt.asUintN(64, seed) === seed : Number.isSafeInteger(seed),
        ).toBe(true);
        for (const id of [...resolved.stopTokenIds, ...resolved.logitBias.map(([id]) => id)])
          expect(Number.isInteger(id) && id >= 0 && id < VOCABULARY).toBe(true);
        for (const one of resolved.stop) expect(one.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toMatchObject({ name: "EdgeformerError", code: "invalid_option" });
        expect(Object.keys(options)).toContain((error as EdgeformerError).param);
      }
    }),
    { numRuns: 1000 },
  );
});
