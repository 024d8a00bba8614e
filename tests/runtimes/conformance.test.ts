import { cp } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type Result, RUNTIMES } from "./runtimes.ts";

const project = inject("project");
const results = new Map<string, Result>();

beforeAll(() => cp(new URL("programs/", import.meta.url), project, { recursive: true }));

afterAll(() => {
  console.table(
    Object.fromEntries(
      [...results].map(([name, { completions, tokens, logprobs, idsDigest, logprobsDigest }]) => [
        name,
        {
          completions,
          ids: tokens,
          "ids, SHA-256": idsDigest.slice(0, 16),
          logprobs,
          "logprob bits, SHA-256": logprobsDigest.slice(0, 16),
        },
      ]),
    ),
  );
});

describe("the packed library, in every runtime", () => {
  const [first, ...others] = Object.entries(RUNTIMES);

  test(`${first![0]} completes 20 prompts in 6 ways`, async () => {
    const result = await first![1](project);
    results.set(first![0], result);
    expect(result.completions).toBe(120);
    expect(result.tokens).toBeGreaterThan(1000);
    expect(result.logprobs).toBeGreaterThan(10_000);
  });

  test.each(others)("%s gives the same ids, and log-probabilities to the last bit", async (name, run) => {
    const result = await run(project);
    results.set(name, result);
    expect(result).toEqual(results.get(first![0]));
  });
});
