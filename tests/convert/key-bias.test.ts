import { join } from "node:path";
import { expect, test } from "vitest";
import { fusedRows } from "../../src/architectures/recipe.ts";
import { withoutKeyBias } from "../../src/convert/quantize/key-bias.ts";
import { weightsWith } from "../../src/convert/weights.ts";
import { integers } from "../reference/random.ts";
import { roundedWeights, temporaryDirectory, weightsOf } from "./checkpoints.ts";
import { engineLogprobs, meanError, referenceLogprobs } from "./logprobs.ts";
import { RANDOM_CHECKPOINTS, writeRandomCheckpoint } from "./random-checkpoint.ts";

const temporary = temporaryDirectory();
const ids = integers(24, 0, 50, 9);

/** A GPT-2 with a large constant part in every fifth channel of its keys. */
async function withConstantKeys() {
  const weights = await weightsOf(join(import.meta.dirname, "../fixtures/variants/gpt2-sharded"));
  const { key, value } = fusedRows(weights.recipe);
  return weightsWith(weights, {
    async bias(name) {
      const bias = Float32Array.from(await weights.bias(name));
      if (name.endsWith("queryKeyValue")) for (let row = key; row < value; row += 5) bias[row] = 100;
      return bias;
    },
  });
}

test("the bias of keys changes no score, so the function stays the same without it", async () => {
  const weights = await withConstantKeys();
  const after = withoutKeyBias(weights);
  const { key, value } = fusedRows(weights.recipe);
  const name = "blocks.0.queryKeyValue";
  expect((await after.bias(name)).subarray(key, value).every((number) => number === 0)).toBe(true);
  expect((await after.bias(name)).subarray(value)).toEqual((await weights.bias(name)).subarray(value));
  const expected = await referenceLogprobs(weights, ids);
  expect(meanError(await referenceLogprobs(after, ids), expected)).toBeLessThan(1e-5);
  await weights.close();
});

test("a constant part of keys takes no bits of the cache", async () => {
  const weights = await withConstantKeys();
  const expected = await referenceLogprobs(weights, ids);
  const floor = meanError(await referenceLogprobs(roundedWeights(weights), ids), expected);
  const plain = meanError(await engineLogprobs(weights, ids, join(temporary, "plain")), expected);
  const mended = meanError(
    await engineLogprobs(withoutKeyBias(weights), ids, join(temporary, "mended")),
    expected,
  );
  await weights.close();
  expect(mended).toBeLessThan(0.5 * plain);
  expect(mended).toBeLessThanOrEqual(1.25 * floor + 0.002);
});

test("where keys are rotated, their bias matters and stays", async () => {
  const directory = join(temporary, "rotated");
  writeRandomCheckpoint(directory, RANDOM_CHECKPOINTS["qwen2, nine heads of 16 over three"]!);
  const weights = await weightsOf(directory);
  expect(withoutKeyBias(weights)).toBe(weights);
  await weights.close();
});
