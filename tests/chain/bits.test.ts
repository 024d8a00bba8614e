// A model over several stages gives the bits of the model in one process, whatever is asked of it.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileConstraint } from "../../src/constrain/index.ts";
import { convert } from "../../src/convert/convert.ts";
import type { Model } from "../../src/model.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import type { GenerateOptions } from "../../src/options.ts";
import { withDirectory } from "../numerics/harness.ts";
import { CutModel } from "./local-chain.ts";

const range = (length: number, first = 0, step = 1) =>
  Array.from({ length }, (_, i) => (first + i * step) % 500);

interface Case {
  prompt: number[];
  options: GenerateOptions;
}

/** One request for each way in which a token can come about. */
const CASES: Case[] = [
  { prompt: range(5, 40), options: { temperature: 0 } },
  { prompt: range(90, 7, 11), options: { temperature: 1, topK: 40, topP: 0.9, seed: 3 } },
  {
    prompt: range(33, 9, 3),
    options: { temperature: 0.8, minP: 0.05, repetitionPenalty: 1.2, seed: 4, logprobs: 3 },
  },
  {
    prompt: range(17, 100),
    options: { temperature: 1, presencePenalty: 0.5, logitBias: { 7: 3 }, seed: 5, logprobs: 0 },
  },
  // Repeats itself, so that guesses are right.
  { prompt: range(24, 3), options: { temperature: 0, logitBias: { 5: 100, 6: 97 }, maxTokens: 40 } },
  { prompt: [1], options: { temperature: 1, seed: 2n ** 63n, minTokens: 12, stopTokenIds: [9] } },
  { prompt: range(70, 7, 11), options: { temperature: 0, logprobs: 1 } },
  { prompt: range(64, 200, 7), options: { temperature: 1.5, seed: 8 } },
];

const request = ({ options }: Case): GenerateOptions => ({ maxTokens: 20, ignoreEos: true, ...options });

/** Each alone, then all at once, then the scores of a text. */
async function everything(model: Model) {
  const alone = [];
  for (const one of CASES) alone.push(await model.complete(one.prompt, request(one)));
  const together = await Promise.all(CASES.map((one) => model.complete(one.prompt, request(one))));
  const score = await model.score(range(100, 5, 13), { topLogprobs: 2 });
  return { alone, together, score };
}

/** What does not depend on who else was there and what was cached. */
const texts = ({ alone, together, score }: Awaited<ReturnType<typeof everything>>) => ({
  alone: alone.map(({ ids, logprobs, text }) => ({ ids, logprobs, text })),
  together: together.map(({ ids, logprobs, text }) => ({ ids, logprobs, text })),
  score,
});

async function compare(directory: string, isolates: number[], context: number): Promise<void> {
  const whole = await openModel(directory, { context });
  const expected = texts(await everything(whole));
  expect(expected.together).toEqual(expected.alone);
  for (const count of isolates) {
    const cut = await CutModel.make(directory, { isolates: count, context });
    try {
      // What is guessed must change nothing, whether there is one stage or several.
      for (const promptLookup of count === isolates[0] ? [0, 3] : [3]) {
        const model = await cut.open({ promptLookup });
        const found = await everything(model);
        expect(texts(found)).toEqual(expected);
        // Prompts of 90 and 70 tokens begin alike; the second time all of them are in the cache.
        expect(found.alone[6]!.usage.cachedTokens).toBe(64);
        expect(found.together[1]!.usage.cachedTokens).toBe(80);
        if (promptLookup > 0) expect(model.steps).toBeLessThan(600);
      }
    } finally {
      await cut.remove();
    }
  }
}

describe("over several stages", () => {
  // Four layers, and the embedding by itself: five stages are the most that there can be.
  test("fable gives the bits of one process", () => compare(bundledModel(), [1, 2, 3, 5], 256));

  test.each(["tiny-qwen3", "tiny-llama", "tiny-mistral"])("%s does, over each of its layers", (name) =>
    withDirectory(async (directory) => {
      const out = join(directory, name);
      await convert({ source: `tests/fixtures/llama-family/${name}`, out });
      await compare(out, [2, 3, 4], 128);
    }),
  );

  test("a model in four bits does", () =>
    withDirectory(async (directory) => {
      const out = join(directory, "four-bits");
      await convert({ source: "tests/fixtures/gguf/bpe-Q4_0.gguf", out });
      await compare(out, [2], 128);
    }));
});

describe("chat", () => {
  let cut: CutModel;
  let model: Model;
  beforeAll(async () => {
    cut = await CutModel.make(bundledModel(), { isolates: 3, context: 256 });
    model = await cut.open();
  });
  afterAll(() => cut.remove());

  test("text, stop strings and streams are those of one process", async () => {
    const whole = await openModel(bundledModel(), { context: 256 });
    const options = { maxTokens: 60, temperature: 0.8, seed: 1, stop: [" the"] };
    const prompt = "Once upon a time";
    const chunks = [];
    for await (const chunk of model.generate(prompt, options)) chunks.push(chunk);
    const expected = [];
    for await (const chunk of whole.generate(prompt, options)) expected.push(chunk);
    expect(chunks).toEqual(expected);
  });

  test("a text that is held to a form is that of one process", async () => {
    const whole = await openModel(bundledModel(), { context: 256 });
    const constraint = compileConstraint({ regex: 'The (cat|dog) said: "[a-z ]{4,20}"\\.' });
    const options = { maxTokens: 40, temperature: 1, seed: 3, logprobs: 1, constraint };
    const requests = ["Once", "There was"].map((prompt) => [prompt, options] as const);
    const found = await Promise.all(requests.map((request) => model.complete(...request)));
    const expected = await Promise.all(requests.map((request) => whole.complete(...request)));
    expect(found).toEqual(expected);
    expect(found[0]!.text).toMatch(/^The (cat|dog) said: /);
  });

  test("a stream that is left gives everything back", async () => {
    const before = model.steps;
    for await (const chunk of model.generate("Once upon a time", { maxTokens: 200 }))
      if (chunk.ids.length > 0) break;
    const controller = new AbortController();
    const aborted = model.complete("There was", { maxTokens: 200, signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    expect(model.steps).toBeGreaterThan(before);
    // All blocks and slots at once: they are there.
    const prompts = range(8).map((i) => range(200, i + 20, 7));
    const all = await Promise.all(
      prompts.map((ids) => model.complete(ids, { maxTokens: 56, ignoreEos: true })),
    );
    expect(all.map(({ ids }) => ids.length)).toEqual(new Array(8).fill(56));
  });
});
