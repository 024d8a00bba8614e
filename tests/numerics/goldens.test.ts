import { beforeAll, describe, expect, test } from "vitest";
import type { Model } from "../../src/index.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import fable from "../goldens/fable.json" with { type: "json" };
import fableText from "../goldens/fable-text.json" with { type: "json" };
import odd from "../goldens/odd-gpt2.json" with { type: "json" };
import { convertOdd, withDirectory } from "./harness.ts";

interface Golden {
  float32: { perplexity: number };
  int8_rounding_alone: {
    perplexity: number;
    token_logprob_mean_abs_error: number;
    top1_agreement: number;
  };
  cases: { ids: number[]; token_logprobs: (number | null)[]; top_ids: number[][] }[];
}

/** What the tolerances of tests/goldens/README.md are about, over all cases. */
async function measure(golden: Golden, model: Model) {
  let logprobs = 0;
  let error = 0;
  let tokens = 0;
  let agreed = 0;
  let places = 0;
  for (const { ids, token_logprobs, top_ids } of golden.cases) {
    // A token more makes the place after the last one count, too.
    const text = ids.length < model.context ? [...ids, 0] : ids;
    const { tokenLogprobs, topLogprobs } = await model.score(text, { topLogprobs: 1 });
    for (let t = 1; t < text.length; t++) {
      places++;
      if (topLogprobs[t]![0]!.id === top_ids[t - 1]![0]) agreed++;
      if (t === ids.length) continue;
      tokens++;
      logprobs += tokenLogprobs[t]!;
      error += Math.abs(tokenLogprobs[t]! - token_logprobs[t]!);
    }
  }
  return { perplexity: Math.exp(-logprobs / tokens), meanError: error / tokens, top1: agreed / places };
}

/** 1.25 × what rounding alone costs, plus 0.0005. */
function perplexityTolerance(float32: number, roundingAlone: number) {
  return 1.25 * Math.abs(roundingAlone / float32 - 1) + 0.0005;
}

describe.each([
  { name: "fable", golden: fable as Golden, open: () => openModel(bundledModel()) },
  {
    name: "odd-gpt2",
    golden: odd as Golden,
    open: () => withDirectory(async (directory) => openModel(await convertOdd(directory))),
  },
])("$name against float32", ({ golden, open }) => {
  let measured: Awaited<ReturnType<typeof measure>>;
  beforeAll(async () => {
    measured = await measure(golden, await open());
  });
  const { float32, int8_rounding_alone: floor } = golden;

  test("perplexity", () => {
    const ratio = measured.perplexity / float32.perplexity;
    expect(Math.abs(ratio - 1)).toBeLessThanOrEqual(
      perplexityTolerance(float32.perplexity, floor.perplexity),
    );
  });
  test("log-probability of each token", () => {
    expect(measured.meanError).toBeLessThanOrEqual(1.25 * floor.token_logprob_mean_abs_error + 0.002);
  });
  test("likeliest token", () => {
    expect(measured.top1).toBeGreaterThanOrEqual(floor.top1_agreement - 0.01);
  });
});

describe("fable", () => {
  let model: Model;
  beforeAll(async () => {
    model = await openModel(bundledModel());
  });

  test.each(fable.cases.map((item, i) => ({ i, item })))("continues story $i greedily", async ({ item }) => {
    const { ids } = await model.complete(item.ids.slice(0, 8), {
      temperature: 0,
      maxTokens: 8,
      ignoreEos: true,
    });
    // Stricter than the tolerance, which lets near ties (below 0.1 nats) fall the other way: none does.
    expect(ids).toEqual(item.greedy.slice(0, 8));
  });

  test("has the perplexity of held-out text", async () => {
    let logprobs = 0;
    let tokens = 0;
    for (const window of fableText.windows) {
      const { tokenLogprobs } = await model.score(window);
      for (const logprob of tokenLogprobs) logprobs += logprob ?? 0;
      tokens += window.length - 1;
    }
    const ratio = Math.exp(-logprobs / tokens) / fableText.float32_perplexity;
    expect(Math.abs(ratio - 1)).toBeLessThanOrEqual(
      perplexityTolerance(fableText.float32_perplexity, fableText.int8_rounding_alone_perplexity),
    );
  });
});
