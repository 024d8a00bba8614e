import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { resolveOptions } from "../../src/options.ts";
import { SAMPLING_RANGES } from "../../src/sampling-ranges.ts";
import { camelCase, snakeCase } from "../../worker/openai/wire/names.ts";
import {
  type ChatFields,
  type CompletionFields,
  effectiveFields,
  NEUTRAL,
} from "../../worker/page/client/page-request.ts";

const html = await readFile(new URL("../../worker/page/client/index.html", import.meta.url), "utf8");

/** An attribute of the input with an id. */
function attribute(id: string, name: string): number {
  const tag = new RegExp(`<input id="${id}"[^>]*>`).exec(html)?.[0] ?? "";
  return Number(new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1] ?? Number.NaN);
}

describe("the page's form asks for nothing that the library refuses", () => {
  const { logitBias: _, ...controls } = SAMPLING_RANGES;
  test.each(Object.entries(controls))("%s", (option, [least, greatest]) => {
    const id = snakeCase(option);
    expect(attribute(id, "min")).toBeGreaterThanOrEqual(least);
    expect(attribute(id, "max")).toBeLessThanOrEqual(greatest);
    expect(attribute(id, "value")).toBeGreaterThanOrEqual(attribute(id, "min"));
    expect(attribute(id, "value")).toBeLessThanOrEqual(attribute(id, "max"));
  });
});

test("what is not sent is the library's default", () => {
  const defaults: Record<string, unknown> = { ...resolveOptions({}, 100) };
  for (const [field, value] of Object.entries(NEUTRAL)) expect(defaults[camelCase(field)], field).toBe(value);
});

test("only fields that change anything are sent", () => {
  const neutral: CompletionFields = {
    prompt: "Once",
    max_tokens: 1,
    temperature: 1,
    top_p: 1,
    top_k: 0,
    min_p: 0,
    repetition_penalty: 1,
    presence_penalty: 0,
    frequency_penalty: 0,
    stop: [],
    seed: 0,
    logprobs: 5,
  };
  expect(effectiveFields(neutral)).toEqual({ prompt: "Once", max_tokens: 1, seed: 0, logprobs: 5 });
  const set = { ...neutral, temperature: 0, top_k: 3, presence_penalty: -1, stop: ["."] };
  expect(effectiveFields(set)).toMatchObject({ temperature: 0, top_k: 3, presence_penalty: -1, stop: ["."] });
  // Where the model has another default, the library's own has to be asked for.
  const own = { temperature: 0.6, top_k: 20 };
  expect(effectiveFields(neutral, own)).toMatchObject({ temperature: 1, top_k: 0 });
  expect(effectiveFields({ ...neutral, ...own }, own)).not.toHaveProperty("temperature");
  const { prompt: _, max_tokens, logprobs: __, ...sampling } = neutral;
  const chat: ChatFields = {
    messages: [{ role: "user", content: "Once" }],
    max_completion_tokens: max_tokens,
    ...sampling,
    logprobs: true,
    top_logprobs: 5,
  };
  expect(effectiveFields(chat)).toEqual({
    messages: chat.messages,
    ...{ max_completion_tokens: 1, seed: 0, logprobs: true, top_logprobs: 5 },
  });
});
