import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Model } from "../../src/index.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import { completionShape } from "../../worker/openai/answer-schemas.ts";
import type { CompletionShape } from "../../worker/openai/wire/answers.ts";
import stories from "../goldens/fable.json" with { type: "json" };
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

let bundle: string;
let worker: RunningWorker;
let model: Model;

beforeAll(async () => {
  bundle = await buildWorker();
  worker = await startWorker(bundle);
  model = await openModel(bundledModel());
}, 60_000);
afterAll(async () => {
  model.dispose();
  await worker.stop();
  await removeBundle(bundle);
});

async function complete(body: Record<string, unknown>): Promise<CompletionShape> {
  const response = await worker.post("/v1/completions", body);
  expect(response.status, await response.clone().text()).toBe(200);
  return completionShape.strict().parse(await response.json());
}

const PROMPT = "Once upon a time, there was a";

describe("the same as the library", () => {
  test("greedy text and every log-probability, bit for bit", async () => {
    const options = { maxTokens: 60, temperature: 0, logprobs: 5 };
    const expected = await model.complete(PROMPT, options);
    const { choices, usage } = await complete({
      prompt: PROMPT,
      max_tokens: 60,
      temperature: 0,
      logprobs: 5,
    });
    const { text, logprobs, finish_reason } = choices[0]!;
    expect(text).toBe(expected.text);
    expect(finish_reason).toBe(expected.finishReason);
    expect(logprobs!.token_logprobs).toEqual(expected.logprobs!.map((entry) => entry.logprob));
    expect(logprobs!.tokens.join("")).toBe(text);
    logprobs!.top_logprobs.forEach((top, i) => {
      const likeliest = expected.logprobs![i]!.top.map((entry) => entry.logprob);
      expect(Object.values(top!).sort((a, b) => b - a)).toEqual(likeliest);
    });
    expect(usage).toMatchObject({ prompt_tokens: 8, completion_tokens: expected.ids.length });
  });

  test.each([
    [
      { temperature: 0.7, top_p: 0.9 },
      { temperature: 0.7, topP: 0.9 },
    ],
    [{ top_k: 5 }, { topK: 5 }],
    [{ top_k: -1, min_p: 0.1 }, { minP: 0.1 }],
    [
      { presence_penalty: 1, frequency_penalty: 0.5 },
      { presencePenalty: 1, frequencyPenalty: 0.5 },
    ],
    [
      { repetition_penalty: 1.3, temperature: 0 },
      { repetitionPenalty: 1.3, temperature: 0 },
    ],
    [{ logit_bias: { "262": -100, "290": 5 } }, { logitBias: { 262: -100, 290: 5 } }],
    [
      { ignore_eos: true, temperature: 1.5 },
      { ignoreEos: true, temperature: 1.5 },
    ],
    [{ stop_token_ids: [13] }, { stopTokenIds: [13] }],
    [
      { stop_token_ids: [13], min_tokens: 20 },
      { stopTokenIds: [13], minTokens: 20 },
    ],
    [{ stop: [".", " the"] }, { stop: [".", " the"] }],
    [{ stop: "," }, { stop: "," }],
  ])("with %j", async (wire, options) => {
    const expected = await model.complete(PROMPT, { maxTokens: 40, seed: 7, ...options });
    const { choices } = await complete({ prompt: PROMPT, max_tokens: 40, seed: 7, ...wire });
    expect(choices[0]).toMatchObject({ text: expected.text, finish_reason: expected.finishReason });
  });

  test("null means absent, as does top_k of -1, an empty stop list and an empty suffix", async () => {
    const base = { prompt: PROMPT, max_tokens: 20, seed: 3 };
    const nulls = {
      temperature: null,
      top_p: null,
      stop: null,
      logit_bias: null,
      logprobs: null,
      user: null,
    };
    const plain = await complete(base);
    const same = await complete({ ...base, ...nulls, top_k: -1, suffix: "", stop: [] });
    expect(same.choices).toEqual(plain.choices);
  });
});

describe("prompts", () => {
  test("text, ids, lists of texts and lists of ids", async () => {
    const texts = [PROMPT, "The dog", "She said"];
    const ids = texts.map((text) => model.tokenizer!.encode(text));
    const rest = { max_tokens: 12, seed: 5 };
    const alone = [];
    for (const prompt of texts) alone.push((await complete({ prompt, ...rest })).choices[0]!.text);
    for (const prompt of [texts, ids]) {
      const { choices, usage } = await complete({ prompt, ...rest });
      expect(choices.map((choice) => choice.index)).toEqual([0, 1, 2]);
      expect(choices.map((choice) => choice.text)).toEqual(alone);
      expect(usage!.prompt_tokens).toBe(ids.flat().length);
    }
    expect((await complete({ prompt: ids[0], ...rest })).choices[0]!.text).toBe(alone[0]);
  });

  test("echo puts the prompt before the text", async () => {
    const rest = { prompt: PROMPT, max_tokens: 10, temperature: 0 };
    const plain = await complete(rest);
    const echo = await complete({ ...rest, echo: true });
    expect(echo.choices[0]!.text).toBe(PROMPT + plain.choices[0]!.text);
    expect(echo.usage).toEqual(plain.usage);
  });
});

describe("several choices", () => {
  test("n = 4 with a seed is reproducible, and the four differ", async () => {
    const body = { prompt: PROMPT, max_tokens: 24, n: 4, seed: 11 };
    const texts = (await complete(body)).choices.map((choice) => choice.text);
    expect(new Set(texts).size).toBe(4);
    expect((await complete(body)).choices.map((choice) => choice.text)).toEqual(texts);
    expect((await complete({ ...body, n: 1 })).choices[0]!.text).toBe(texts[0]);
    for (const seed of [-1, Number.MAX_SAFE_INTEGER]) {
      const wrapped = (await complete({ ...body, seed })).choices.map((choice) => choice.text);
      expect(new Set(wrapped).size).toBe(4);
    }
  });

  test("a seed has all of its 64 bits, as they are written", async () => {
    const ask = async (seed: string, more = "") => {
      const json = `{"prompt": ${JSON.stringify(PROMPT)}, "max_tokens": 24, "seed": ${seed}${more}}`;
      const response = await worker.post("/v1/completions", json);
      expect(response.status, await response.clone().text()).toBe(200);
      return ((await response.json()) as CompletionShape).choices.map((choice) => choice.text);
    };
    const library = async (seed: bigint) => (await model.complete(PROMPT, { maxTokens: 24, seed })).text;
    for (const seed of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 64n - 1n])
      expect(await ask(String(seed))).toEqual([await library(seed)]);
    expect(await ask(String(-(2n ** 63n)))).toEqual([await library(2n ** 63n)]);
    expect(await ask("-1", ', "n": 2')).toEqual([await library(2n ** 64n - 1n), await library(0n)]);
    // Another field of that name is not the seed.
    const other = ', "logit_bias": {}, "stop": null, "stream_options": null';
    expect(await ask("9007199254740993", other)).toEqual([await library(2n ** 53n + 1n)]);
    for (const seed of ["18446744073709551616", "-9223372036854775809", "1e300"]) {
      const response = await worker.post("/v1/completions", `{"prompt": "a", "seed": ${seed}}`);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { param: "seed" } });
    }
  });

  test("choices of several prompts come prompt by prompt", async () => {
    const body = { max_tokens: 8, n: 2, seed: 2 };
    const both = await complete({ ...body, prompt: [PROMPT, "The dog"] });
    const one = await complete({ ...body, prompt: PROMPT });
    const two = await complete({ ...body, prompt: "The dog" });
    expect(both.choices.map((choice) => choice.text)).toEqual(
      [...one.choices, ...two.choices].map((choice) => choice.text),
    );
    expect(both.choices.map((choice) => choice.index)).toEqual([0, 1, 2, 3]);
    expect(both.usage).toMatchObject({
      prompt_tokens: one.usage!.prompt_tokens + two.usage!.prompt_tokens,
      completion_tokens: one.usage!.completion_tokens + two.usage!.completion_tokens,
    });
  });

  test("best_of returns the candidates with the likeliest tokens and counts them all", async () => {
    const body = { prompt: PROMPT, max_tokens: 12, seed: 4, logprobs: 0 };
    const all = await complete({ ...body, n: 5 });
    const mean = (choice: CompletionShape["choices"][number]) =>
      choice.logprobs!.token_logprobs.reduce<number>((sum, value) => sum + value!, 0) / 12;
    const ranked = [...all.choices].sort((a, b) => mean(b) - mean(a)).map((choice) => choice.text);
    const best = await complete({ ...body, n: 2, best_of: 5 });
    expect(best.choices.map((choice) => choice.text)).toEqual(ranked.slice(0, 2));
    expect(best.choices.map((choice) => choice.index)).toEqual([0, 1]);
    expect(best.usage).toEqual(all.usage);
    const silent = await complete({ ...body, logprobs: undefined, best_of: 5 });
    expect(silent.choices).toMatchObject([{ text: ranked[0], logprobs: null }]);
  });
});

describe("scoring with echo", () => {
  test("100 texts as token arrays, as an evaluation harness sends them, equal score's", async () => {
    const texts = stories.cases.flatMap(({ ids }) =>
      Array.from({ length: 20 }, (_, i) => ids.slice(i * 3, i * 3 + 8 + i)).filter((part) => part.length > 1),
    );
    const hundred = Array.from({ length: 100 }, (_, i) => texts[i % texts.length]!.concat(i));
    for (let first = 0; first < 100; first += 25) {
      const prompts = hundred.slice(first, first + 25);
      const answer = await complete({
        prompt: prompts,
        max_tokens: 0,
        temperature: 0,
        logprobs: 1,
        echo: true,
      });
      for (const [i, ids] of prompts.entries()) {
        const { logprobs, text, finish_reason } = answer.choices[i]!;
        const expected = await model.score(ids, { topLogprobs: 1 });
        expect(logprobs!.token_logprobs).toEqual(expected.tokenLogprobs);
        expect(logprobs!.top_logprobs[0]).toBeNull();
        expected.topLogprobs.forEach((top, at) => {
          if (top) expect(Math.max(...Object.values(logprobs!.top_logprobs[at]!))).toBe(top[0]!.logprob);
        });
        expect(text).toBe(model.tokenizer!.decode(ids));
        expect(finish_reason).toBe("length");
      }
      expect(answer.usage).toMatchObject({ completion_tokens: 0 });
    }
  });

  test("with max_tokens 1 the prompt's scores are followed by the token's", async () => {
    const ids = model.tokenizer!.encode(PROMPT);
    const { choices } = await complete({
      prompt: ids,
      max_tokens: 1,
      temperature: 0,
      logprobs: 1,
      echo: true,
    });
    const { logprobs } = choices[0]!;
    const { tokenLogprobs } = await model.score(ids);
    expect(logprobs!.token_logprobs.slice(0, -1)).toEqual(tokenLogprobs);
    const next = await model.complete(ids, { maxTokens: 1, temperature: 0, logprobs: 1 });
    expect(logprobs!.token_logprobs.at(-1)).toBe(next.logprobs![0]!.logprob);
    expect(logprobs!.tokens.at(-1)).toBe(next.text);
  });

  test("echo alone computes nothing", async () => {
    const { choices } = await complete({ prompt: [PROMPT, "x"], max_tokens: 0, echo: true });
    expect(choices.map((choice) => choice.text)).toEqual([PROMPT, "x"]);
    expect(choices[0]!.logprobs).toBeNull();
  });
});

describe("log-probabilities in OpenAI's shape", () => {
  test("offsets count code points and point at each token", async () => {
    const prompt = "naïve 😀 café — “quoted” 日本";
    const { choices } = await complete({ prompt, max_tokens: 8, temperature: 0, logprobs: 2, echo: true });
    const { text, logprobs } = choices[0]!;
    const characters = [...text];
    logprobs!.tokens.forEach((token, i) => {
      if (token.startsWith("bytes:")) return;
      const at = logprobs!.text_offset[i]!;
      expect(characters.slice(at, at + [...token].length).join("")).toBe(token);
    });
    expect(logprobs!.tokens.some((token) => /^bytes:(\\x[0-9a-f]{2})+$/.test(token))).toBe(true);
    logprobs!.top_logprobs.slice(1).forEach((top, i) => {
      expect(top).toHaveProperty([logprobs!.tokens[i + 1]!], logprobs!.token_logprobs[i + 1]);
    });
  });

  test("logprobs 0 reports the chosen tokens alone", async () => {
    const { choices } = await complete({ prompt: PROMPT, max_tokens: 5, temperature: 0, logprobs: 0 });
    const { tokens, token_logprobs, top_logprobs } = choices[0]!.logprobs!;
    expect(top_logprobs).toEqual(tokens.map((token, i) => ({ [token]: token_logprobs[i] })));
  });

  test("tokens that a stop string cuts off are not shown", async () => {
    const rest = { prompt: PROMPT, max_tokens: 40, temperature: 0, logprobs: 1 };
    const { text } = (await complete(rest)).choices[0]!;
    for (const [from, length] of [
      [3, 2],
      [10, 5],
      [20, 9],
      [31, 3],
    ] as const) {
      const stop = text.slice(from, from + length);
      const stopped = (await complete({ ...rest, stop })).choices[0]!;
      expect(stopped).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: "stop" });
      const shown = stopped.logprobs!.tokens.join("");
      expect(stopped.text.startsWith(shown)).toBe(true);
      expect(stopped.text.length - shown.length).toBeLessThan(12);
    }
  });
});

describe("where a text ends", () => {
  /** Ends at once: the likeliest token is made the end of text. */
  const ENDS = { max_tokens: 5, temperature: 0, logit_bias: { "50256": 100 } };

  test("the token that ends it has its log-probability, but no text", async () => {
    const { choices, usage } = await complete({ ...ENDS, prompt: PROMPT, logprobs: 1, echo: true });
    const ids = model.tokenizer!.encode(PROMPT);
    const { text, finish_reason, logprobs } = choices[0]!;
    expect({ text, finish_reason }).toEqual({ text: PROMPT, finish_reason: "stop" });
    expect(usage).toMatchObject({ completion_tokens: 0 });
    expect(logprobs!.tokens).toHaveLength(ids.length + 1);
    expect(logprobs!.tokens.at(-1)).toBe("<|endoftext|>");
    expect(logprobs!.text_offset.at(-1)).toBe(PROMPT.length);
    // Evaluation harnesses leave out the last entry, of the token that they had to ask for.
    const score = await model.score([...ids, 50256]);
    expect(logprobs!.token_logprobs).toEqual(score.tokenLogprobs);
    const bare = (await complete({ ...ENDS, prompt: PROMPT, logprobs: 1 })).choices[0]!.logprobs!;
    expect(bare.tokens).toEqual(["<|endoftext|>"]);
  });

  test("an end of text within a prompt keeps its own", async () => {
    const ids = [...model.tokenizer!.encode("The end."), 50256, ...model.tokenizer!.encode("Once")];
    const { choices } = await complete({ prompt: [ids], max_tokens: 0, echo: true, logprobs: 0 });
    expect(choices[0]!.logprobs!.token_logprobs).toEqual((await model.score(ids)).tokenLogprobs);
  });

  test("stop strings count only behind min_tokens", async () => {
    const rest = { prompt: PROMPT, max_tokens: 40, temperature: 0, ignore_eos: true };
    const { text } = (await complete(rest)).choices[0]!;
    const early = (await complete({ ...rest, stop: [" "] })).choices[0]!;
    expect(early.text).toBe("");
    const { ids } = await model.complete(PROMPT, { maxTokens: 12, temperature: 0, ignoreEos: true });
    const kept = model.tokenizer!.decode(ids).length;
    const late = (await complete({ ...rest, stop: [" "], min_tokens: 12 })).choices[0]!;
    expect(late).toMatchObject({ text: text.slice(0, text.indexOf(" ", kept)), finish_reason: "stop" });
  });
});

describe("how a text is read", () => {
  test("an empty one is the beginning of a new one", async () => {
    const options = { maxTokens: 12, seed: 4 };
    const expected = await model.complete([50256], options);
    expect((await model.complete("", options)).text).toBe(expected.text);
    const { choices, usage } = await complete({ prompt: ["", "Tom"], max_tokens: 12, seed: 4 });
    expect(choices[0]!.text).toBe(expected.text);
    expect(usage!.prompt_tokens).toBe(2);
  });

  test("special tokens that are spelled are text, or tokens where the request says so", async () => {
    const text = "The end.<|endoftext|>Once";
    const ids = (allowSpecial: boolean) => model.tokenizer!.encode(text, { allowSpecial });
    expect(ids(true)).toContain(50256);
    for (const allow_special_tokens of [undefined, false, true]) {
      const fields = { prompt: text, allow_special_tokens };
      const wanted = ids(allow_special_tokens === true);
      const { usage } = await complete({ ...fields, max_tokens: 1 });
      expect(usage!.prompt_tokens).toBe(wanted.length);
      expect(await (await worker.post("/tokenize", fields)).json()).toMatchObject({ tokens: wanted });
    }
  });
});

describe("models, tokens and health", () => {
  const get = async (path: string) => (await fetch(new URL(path, worker.url))).json();

  test("lists the model, and finds it by its name", async () => {
    const entry = {
      ...{ id: "fable", object: "model", created: 0, owned_by: "edgeformer", max_model_len: 512 },
      ...{ generation: {}, eos_token_ids: [50256] },
    };
    expect(await get("/v1/models")).toEqual({ object: "list", data: [entry] });
    expect(await get("/v1/models/fable")).toEqual(entry);
    expect((await fetch(new URL("/v1/models/gpt-9", worker.url))).status).toBe(404);
  });

  test("answers without /v1, and with a slash at the end", async () => {
    const models = await get("/v1/models");
    for (const path of ["/models", "/models/", "/v1/models/"]) expect(await get(path), path).toEqual(models);
    const one = await get("/v1/models/fable");
    for (const path of ["/models/fable", "/models/fable/"]) expect(await get(path), path).toEqual(one);
    const ask = async (path: string) => {
      const body = { prompt: PROMPT, max_tokens: 4, temperature: 0 };
      return ((await (await worker.post(path, body)).json()) as CompletionShape).choices;
    };
    const choices = await ask("/v1/completions");
    for (const path of ["/completions", "/completions/", "/v1/completions/"])
      expect(await ask(path), path).toEqual(choices);
    expect((await worker.post("/v1/tokenize/", { prompt: "a" })).status).toBe(200);
    expect((await worker.post("/chat/completions", {})).status).toBe(404);
    expect((await fetch(new URL("/completions", worker.url))).headers.get("allow")).toBe("POST");
    expect((await worker.post("/v2/completions", {})).status).toBe(404);
    expect(await get("/health/")).toEqual(await get("/health"));
  });

  test("tokenizes and detokenizes", async () => {
    const text = "naïve 😀 <|endoftext|> 日本";
    const expected = model.tokenizer!.encode(text);
    for (const body of [{ prompt: text }, { content: text, model: "fable" }]) {
      const answer = await (await worker.post("/tokenize", body)).json();
      expect(answer).toEqual({ tokens: expected, count: expected.length, max_model_len: 512 });
    }
    const back = await (await worker.post("/detokenize", { tokens: expected })).json();
    expect(back).toEqual({ prompt: text, content: text });
    expect(await (await worker.post("/tokenize", { prompt: "" })).json()).toMatchObject({
      tokens: [],
      count: 0,
    });
  });

  test("says that it is alive and ready", async () => {
    const ready = { status: "ok", model: { status: "ready", name: "fable", context: 512 } };
    expect(await get("/ready")).toMatchObject(ready);
    expect(await get("/health")).toMatchObject(ready);
  });

  test("refuses chat, and says why", async () => {
    const response = await worker.post("/v1/chat/completions", {
      messages: [{ role: "user", content: "Hi" }],
    });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      error: { type: "invalid_request_error", message: expect.stringContaining("chat template") },
    });
  });

  test("the fingerprint stays the same", async () => {
    const { system_fingerprint } = await complete({ prompt: "a", max_tokens: 1 });
    expect(system_fingerprint).toMatch(/^fp_[0-9a-f]{16}$/);
    expect((await complete({ prompt: "b", max_tokens: 1 })).system_fingerprint).toBe(system_fingerprint);
  });
});
