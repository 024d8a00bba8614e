import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Engine } from "../../src/engine/engine.ts";
import type { Model } from "../../src/model.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import type { GenerateOptions } from "../../src/options.ts";

let model: Model;
beforeAll(async () => {
  model = await openModel(bundledModel(), { context: 128 });
});
afterAll(() => model.dispose());

const OPTIONS = { maxTokens: 12, seed: 3, ignoreEos: true };

describe("a prompt", () => {
  test.each<[unknown, string]>([
    [[1, undefined, 2], "prompt[1] is of type undefined"],
    // biome-ignore lint/suspicious/noSparseArray: what a caller may give
    [[1, , 2], "prompt[1] is of type undefined"],
    [[1, 2, 1n], "prompt[2] is of type bigint"],
    [["1"], "prompt[0] is of type string"],
    [[1, Number.NaN], "prompt[1] is NaN"],
    [[-1], "prompt[0] is -1"],
    [[0.5], "prompt[0] is 0.5"],
    [[1, 50_257], "prompt[1] is 50257"],
    [[], "empty"],
    [7, "must be a string or an array"],
    [null, "must be a string or an array"],
  ])("that is %o is refused: %s", async (prompt, message) => {
    for (const refused of [model.complete(prompt as string), model.score(prompt as string)])
      await expect(refused).rejects.toMatchObject({
        code: "invalid_prompt",
        message: expect.stringContaining(message),
      });
  });
});

test("an empty text is the beginning of a new one", async () => {
  const { bosTokenId } = model.manifest.recipe;
  const begun = await model.complete([bosTokenId!], OPTIONS);
  expect((await model.complete("", OPTIONS)).ids).toEqual(begun.ids);
});

describe("a seed", () => {
  const drawn = async (seed: number | bigint) => (await model.complete("The", { ...OPTIONS, seed })).ids;

  test("is the same as a number and as a bigint", async () => {
    for (const seed of [0, 7, 2 ** 32, 2 ** 53 - 1])
      expect(await drawn(BigInt(seed))).toEqual(await drawn(seed));
  });

  test("counts in all its 64 bits", async () => {
    const seeds = [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
    const texts = await Promise.all(seeds.map(drawn));
    expect(new Set(texts.map((ids) => ids.join())).size).toBe(seeds.length);
  });
});

test("an error in a step ends those who are in it, and the others get their text", async () => {
  // One sequence at a time, so that the second is behind the first.
  const narrow = await openModel(bundledModel(), { context: 64, maxSequences: 1 });
  const forward = vi.spyOn(Engine.prototype, "forward");
  const expected = await narrow.complete("The", OPTIONS);
  const failure = new WebAssembly.RuntimeError("unreachable");
  forward.mockImplementationOnce(() => {
    throw failure;
  });
  const [inside, behind] = await Promise.allSettled([
    narrow.complete("A", OPTIONS),
    narrow.complete("The", OPTIONS),
  ]);
  expect(inside).toEqual({ status: "rejected", reason: failure });
  expect(behind).toMatchObject({ status: "fulfilled", value: { ids: expected.ids } });
  expect(await narrow.complete("The", OPTIONS)).toEqual(expected);
  forward.mockRestore();
  narrow.dispose();
});

test("log-probabilities are the model's own, whatever is added to the logits before a draw", async () => {
  const prompt = [464, 3290, 290];
  const adjustments: GenerateOptions[] = [
    { logitBias: { 262: 6, 11: 5, 13: 4 } },
    { repetitionPenalty: 1.5, frequencyPenalty: 0.5, presencePenalty: -1 },
    { repetitionPenalty: 0.5, logitBias: { 262: 3 }, minTokens: 12, ignoreEos: false },
  ];
  for (const adjustment of adjustments) {
    const { ids, logprobs } = await model.complete(prompt, { ...OPTIONS, ...adjustment, logprobs: 3 });
    const score = await model.score([...prompt, ...ids], { topLogprobs: 3 });
    expect(logprobs!.map(({ logprob }) => logprob)).toEqual(score.tokenLogprobs.slice(3));
    expect(logprobs!.map(({ top }) => top)).toEqual(score.topLogprobs.slice(3));
  }
});

test("the strongest penalties and biases still draw tokens of the vocabulary", async () => {
  for (const extremes of [
    { repetitionPenalty: 0.01, presencePenalty: -2, frequencyPenalty: -2 },
    { repetitionPenalty: 10, presencePenalty: 2, frequencyPenalty: 2 },
    { repetitionPenalty: 0.01, temperature: 0 },
    { repetitionPenalty: 0.01, temperature: 1e-42, logitBias: { 5: -100, 6: 100 } },
    { repetitionPenalty: 0.01, temperature: 2, topK: 1, topP: 0, minP: 1 },
  ]) {
    const { ids, logprobs } = await model.complete("The dog", { ...OPTIONS, ...extremes, logprobs: 1 });
    expect(ids).toHaveLength(12);
    for (const id of ids) expect(id >= 0 && id < 50_257).toBe(true);
    for (const { logprob } of logprobs!) expect(Number.isFinite(logprob)).toBe(true);
  }
});
