import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { readGeneration, withEosTokens } from "../../src/convert/generation-config.ts";
import { localSource } from "../../src/convert/inputs/files.ts";
import { checkChatTemplate } from "../../src/convert/tokenizers/check-template.ts";
import { openModel } from "../../src/node/index.ts";
import { gpt2Table } from "../text/gpt2-tokenizer.ts";
import { temporaryDirectory } from "./checkpoints.ts";

const ODD = join(import.meta.dirname, "../fixtures/odd-gpt2");
const temporary = temporaryDirectory();
let count = 0;

/** The odd checkpoint with further files. */
function checkpoint(files: Record<string, unknown>): string {
  const directory = join(temporary, `checkpoint-${count++}`);
  mkdirSync(directory);
  cpSync(ODD, directory, { recursive: true });
  for (const [name, value] of Object.entries(files))
    writeFileSync(join(directory, name), typeof value === "string" ? value : JSON.stringify(value));
  return directory;
}

const read = async (json: unknown) =>
  readGeneration((await localSource(checkpoint({ "generation_config.json": json })))!);

describe("generation_config.json", () => {
  test.each<[string, unknown, unknown]>([
    ["nothing of ours", { transformers_version: "5.18.0", bos_token_id: 1 }, undefined],
    [
      "what vLLM takes, too",
      { do_sample: true, temperature: 0.6, top_p: 0.95, top_k: 20, min_p: 0.05, repetition_penalty: 1.05 },
      { temperature: 0.6, top_p: 0.95, top_k: 20, min_p: 0.05, repetition_penalty: 1.05 },
    ],
    ["filters that are off", { top_k: -1, top_p: null, temperature: 1 }, { temperature: 1, top_k: 0 }],
    ["no sampling", { do_sample: false }, { temperature: 0 }],
    ["numbers though there is no sampling", { do_sample: false, temperature: 0.6 }, { temperature: 0.6 }],
  ])("%s", async (_, json, expected) => {
    expect(await read(json)).toMatchObject({ settings: expected, warnings: [] });
  });

  test.each<[string, unknown, RegExp]>([
    ["a list", [], /generation_config\.json is left out: it must be an object, not \[\]/],
    [
      "a text for a number",
      { temperature: "hot" },
      /temperature must be a number from 0 to 2, not "hot"; it is/,
    ],
    [
      "a number out of range",
      { repetition_penalty: 1e-38 },
      /repetition_penalty must be a number from 0\.01/,
    ],
    ["a fraction of a token", { top_k: 1.5 }, /top_k must be an integer/],
  ])("%s is left out, and said", async (_, json, warning) => {
    const { settings, warnings } = await read(json);
    expect(settings).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(warning)]);
  });

  test("no JSON at all is refused", async () => {
    await expect(read("{")).rejects.toThrow(/generation_config\.json is not JSON/);
  });
});

test("a text ends at every token that any file names", () => {
  const of = (config: object, ...more: unknown[]) =>
    withEosTokens(config as Record<string, unknown>, ...more).eos_token_id;
  expect(of({ eos_token_id: 2 }, [7, 2], 9)).toEqual([2, 7, 9]);
  expect(of({ eos_token_id: [2, 3] }, undefined, null)).toEqual([2, 3]);
  expect(of({}, 7)).toEqual([7]);
  expect(of({}, undefined, null)).toBeUndefined();
  expect(of({ eos_token_id: null }, undefined)).toBeNull();
});

test("a converted model is sampled as its authors meant it, and ends where they say", async () => {
  const source = checkpoint({
    "generation_config.json": { do_sample: false, top_k: 7, eos_token_id: [11, 12] },
  });
  const out = join(temporary, "converted");
  const manifest = await convert({ source, out });
  expect(manifest.generation).toEqual({ temperature: 0, top_k: 7 });
  const config = JSON.parse(readFileSync(join(source, "config.json"), "utf8")) as { eos_token_id?: number };
  expect(manifest.recipe.eosTokenIds).toEqual(
    expect.arrayContaining([11, 12, ...[config.eos_token_id ?? []].flat()]),
  );
  const model = await openModel(out);
  expect(model.manifest.generation).toEqual(manifest.generation);
  const greedy = await model.complete([1, 2], { maxTokens: 8, temperature: 0 });
  expect(await model.complete([1, 2], { maxTokens: 8 })).toEqual(greedy);
  const other = await model.complete([1, 2], { maxTokens: 8, temperature: 2, topK: 0, seed: 1 });
  expect(other.ids).not.toEqual(greedy.ids);
  for (const end of [11, 12]) {
    const ended = await model.complete([1, 2], { maxTokens: 8, logitBias: { [end]: 100 }, logprobs: 1 });
    expect(ended).toMatchObject({ ids: [], finishReason: "stop", stopLogprob: { id: end } });
  }
  model.dispose();
});

describe("a chat template is tried", () => {
  const table = gpt2Table();
  const check = (template: string) => checkChatTemplate(template, table);

  test("and nothing is said of one that works", () => {
    expect(check("{% for m in messages %}{{ m.content }}{% endfor %}")).toEqual([]);
  });

  test.each<[string, string]>([
    ["is none", "{% for m in messages %}"],
    ["is too long", `{# ${"a".repeat(40_000)} #}`],
    ["loops", "{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}"],
    [
      "doubles a text",
      "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    ],
  ])("one that %s is refused in one line", (_, template) => {
    const refusal = expect.objectContaining({
      code: "invalid_model",
      message: expect.stringMatching(/^chat_template: the chat template failed: .*; mend it/),
    });
    expect(() => check(template)).toThrow(refusal);
    expect(() => check(template)).not.toThrow(/\n/);
  });

  test("what only some conversations need is said", () => {
    expect(check("{{ raise_exception('a system message is needed') }}")).toEqual([
      expect.stringMatching(/ordinary conversation.*a system message is needed/),
    ]);
    expect(check("{{ messages[0].parts + 'x' }}")).toEqual([expect.stringMatching(/ordinary/)]);
    expect(check("{{ strftime_now('%Y') }}")).toEqual([expect.stringMatching(/strftime_now/)]);
    expect(checkChatTemplate("{{ messages }}", null)).toEqual([expect.stringMatching(/no tokenizer/)]);
  });
});
