import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import type { Model } from "../../src/index.ts";
import { openModel } from "../../src/node/index.ts";
import { roundedWeights, temporaryDirectory, weightsOf } from "../convert/checkpoints.ts";
import { meanError, referenceLogprobs } from "../convert/logprobs.ts";
import goldens from "../goldens/llama-family.json" with { type: "json" };

const FIXTURES = join(import.meta.dirname, "../fixtures/llama-family");
const temporary = temporaryDirectory();

describe.each(Object.entries(goldens))("%s against float32", (name, { ids, token_logprobs, greedy }) => {
  const source = join(FIXTURES, name);
  let model: Model;
  beforeAll(async () => {
    const out = join(temporary, name);
    await convert({ source, out });
    model = await openModel(out);
  });
  afterAll(() => model.dispose());

  test("log-probability of each token, beside what rounding to int8 costs alone", async () => {
    const weights = await weightsOf(source);
    expect(meanError(await referenceLogprobs(weights, ids), token_logprobs)).toBeLessThan(1e-5);
    const floor = meanError(await referenceLogprobs(roundedWeights(weights), ids), token_logprobs);
    await weights.close();
    const { tokenLogprobs } = await model.score(ids);
    expect(floor).toBeGreaterThan(0.005);
    expect(meanError(tokenLogprobs, token_logprobs)).toBeLessThanOrEqual(1.25 * floor + 0.002);
  });

  test("greedy continuation of the first eight tokens, until two are nearly as likely", async () => {
    const expected = greedy.slice(8);
    const found = await model.complete(greedy.slice(0, 8), {
      temperature: 0,
      maxTokens: expected.length,
      ignoreEos: true,
    });
    const at = expected.findIndex((id, i) => id !== found.ids[i]);
    if (at < 0) return;
    const weights = await weightsOf(source);
    const logprobOf = async (id: number) =>
      (await referenceLogprobs(weights, [...greedy.slice(0, 8 + at), id])).at(-1)!;
    const margin = (await logprobOf(expected[at]!)) - (await logprobOf(found.ids[at]!));
    await weights.close();
    expect(margin).toBeLessThan(0.1);
  });
});
