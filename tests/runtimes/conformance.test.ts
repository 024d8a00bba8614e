import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { OTHER_CHECKPOINTS, writeRandomCheckpoint } from "../convert/random-checkpoint.ts";
import { type Results, RUNTIMES } from "./runtimes.ts";

const project = inject("project");
const results = new Map<string, Results>();

beforeAll(async () => {
  await cp(new URL("programs/", import.meta.url), project, { recursive: true });
  const checkpoint = join(project, "grouped");
  writeRandomCheckpoint(checkpoint, OTHER_CHECKPOINTS["qwen3, grouped, every other layer with a window"]!);
  await convert({ source: checkpoint, out: join(project, "node_modules/edgeformer/models/grouped") });
  await rm(checkpoint, { recursive: true });
});

afterAll(() => {
  console.table(
    Object.fromEntries(
      [...results].flatMap(([runtime, models]) =>
        Object.entries(models).map(
          ([model, { completions, tokens, logprobs, idsDigest, logprobsDigest }]) => [
            `${runtime}: ${model}`,
            {
              completions,
              ids: tokens,
              "ids, SHA-256": idsDigest.slice(0, 16),
              logprobs,
              "logprob bits, SHA-256": logprobsDigest.slice(0, 16),
            },
          ],
        ),
      ),
    ),
  );
});

describe("the packed library, in every runtime", () => {
  const [first, ...others] = Object.entries(RUNTIMES);

  test(`${first![0]} completes 20 prompts in 6 ways with each model, and in 3 under a constraint`, async () => {
    const result = await first![1](project);
    results.set(first![0], result);
    const { fable, grouped } = result;
    expect([fable!.completions, grouped!.completions]).toEqual([180, 120]);
    for (const { tokens, logprobs } of [fable!, grouped!]) {
      expect(tokens).toBeGreaterThan(1000);
      expect(logprobs).toBeGreaterThan(10_000);
    }
  });

  test.each(others)("%s gives the same ids, and log-probabilities to the last bit", async (name, run) => {
    const result = await run(project);
    results.set(name, result);
    expect(result).toEqual(results.get(first![0]));
  });
});
