// The library's models under compiled constraints: whole texts, through tokenizer, scheduler and engine.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileConstraint } from "../../src/constrain/index.ts";
import type { GenerateOptions, Model } from "../../src/index.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";

let model: Model;
let plain: Model;

beforeAll(async () => {
  model = await openModel(bundledModel());
  plain = await openModel(bundledModel(), { fastForward: false, promptLookup: 0, maxSequences: 1 });
});
afterAll(() => {
  model.dispose();
  plain.dispose();
});

const PERSON = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 12, pattern: "^[A-Z][a-z]*$" },
    age: { type: "integer", minimum: 0, maximum: 120 },
    pets: { type: "array", items: { enum: ["dog", "cat", "a very slow turtle"] }, maxItems: 2 },
  },
  required: ["name", "age", "pets"],
  additionalProperties: false,
};
const CONSTRAINTS = {
  schema: compileConstraint({ jsonSchema: PERSON }),
  compact: compileConstraint({ jsonSchema: PERSON }, { propertyOrder: "declared", whitespace: "none" }),
  regex: compileConstraint({ regex: "(Tom|Ann) (ran|sat)( and (ran|sat)){0,3}\\." }),
  choice: compileConstraint({ choice: ["happy", "sad", "not so sure, but rather happy"] }),
};

describe.each(Object.entries(CONSTRAINTS))("a text held to a %s", (_, constraint) => {
  const requests = Array.from({ length: 6 }, (_, seed): [string, GenerateOptions] => [
    ["Once upon a time", "The dog", "Tom and Ann"][seed % 3]!,
    {
      constraint,
      maxTokens: 120,
      seed,
      logprobs: 1,
      temperature: [1, 0, 1.5][seed % 3]!,
      ...(seed === 4 && { frequencyPenalty: 1, repetitionPenalty: 1.2, logitBias: { 11: 2 } }),
    },
  ]);

  test("is the same with others and alone, cached and cold, with tokens drawn together or one by one", async () => {
    const together = await Promise.all(requests.map(([prompt, options]) => model.complete(prompt, options)));
    for (const [i, [prompt, options]] of requests.entries()) {
      const { usage: _, ...alone } = await plain.complete(prompt, options);
      const { usage, ...found } = together[i]!;
      expect(found).toEqual(alone);
      expect(usage.forcedTokens).toBeGreaterThanOrEqual(0);
      const again = await model.complete(prompt, options);
      expect(again.text).toBe(alone.text);
    }
  });

  test("has that form where it ends", async () => {
    let ended = 0;
    for (const [prompt, options] of requests) {
      const { text, finishReason } = await model.complete(prompt, options);
      if (finishReason !== "stop") continue;
      ended++;
      const matcher = constraint.matcher(model.tokenizer!);
      for (const id of model.tokenizer!.encode(text)) expect(matcher.accept(id)).toBe(true);
      expect(matcher.mayEnd).toBe(true);
    }
    expect(ended).toBeGreaterThan(3);
  });
});

test("the first token's alternatives add up to the probability of each choice", async () => {
  const labels = ["happy", "sad", "cold"];
  const constraint = compileConstraint({ choice: labels });
  const settings = { constraint, logprobs: 20 };
  const { logprobs } = await model.complete("The dog was", { ...settings, maxTokens: 1 });
  const probability = (label: string) =>
    logprobs![0]!.top
      .filter(({ id }) => label.startsWith(model.tokenizer!.decode([id])))
      .reduce((sum, { logprob }) => sum + Math.exp(logprob), 0);
  expect(labels.map(probability).reduce((sum, each) => sum + each)).toBeCloseTo(1, 5);
  // What is drawn is each label about as often as that says: four standard deviations of 400 draws.
  const drawn = await Promise.all(
    Array.from({ length: 400 }, (_, seed) =>
      model.complete("The dog was", { ...settings, maxTokens: 10, seed }),
    ),
  );
  for (const label of labels) {
    const expected = probability(label);
    const share = drawn.filter(({ text }) => text === label).length / drawn.length;
    expect(Math.abs(share - expected)).toBeLessThan(
      4 * Math.sqrt((expected * (1 - expected)) / drawn.length) + 1e-3,
    );
  }
});

test("a stop string cuts a constrained text, too", async () => {
  const whole = await model.complete("Tom", { constraint: CONSTRAINTS.compact, seed: 1, maxTokens: 120 });
  const cut = await model.complete("Tom", {
    constraint: CONSTRAINTS.compact,
    seed: 1,
    maxTokens: 120,
    stop: '"age"',
  });
  expect(cut).toMatchObject({ text: whole.text.slice(0, whole.text.indexOf('"age"')), finishReason: "stop" });
});

test.each<[string, GenerateOptions, string]>([
  ["something else", { constraint: {} as never }, "constraint"],
  ["no end", { constraint: CONSTRAINTS.regex, ignoreEos: true }, "ignoreEos"],
  ["more tokens than it has", { constraint: CONSTRAINTS.choice, minTokens: 90, maxTokens: 100 }, "minTokens"],
])("%s is refused", async (_, options, param) => {
  await expect(model.complete("Tom", options)).rejects.toMatchObject({ code: "invalid_option", param });
});
