import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Model } from "../../src/index.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

const KEY = "sk-test";

let bundle: string;
let worker: RunningWorker;
let limited: RunningWorker;
let broken: RunningWorker;
let model: Model;

beforeAll(async () => {
  bundle = await buildWorker();
  worker = await startWorker(bundle, { vars: { API_KEYS: KEY } });
  limited = await startWorker(bundle, { rateLimit: 1 });
  broken = await startWorker(bundle, { model: new URL(".", import.meta.url).pathname });
  model = await openModel(bundledModel());
}, 120_000);
afterAll(async () => {
  model.dispose();
  for (const one of [worker, limited, broken]) await one.stop();
  await removeBundle(bundle);
});

const openai = (at: RunningWorker, apiKey = KEY) =>
  new OpenAI({ baseURL: new URL("/v1", at.url).href, apiKey, maxRetries: 0 });

const BODY = { model: "fable", prompt: "Once upon a time", max_tokens: 12, seed: 1 };

describe("openai", () => {
  test("completions.create", async () => {
    const { data, request_id } = await openai(worker).completions.create(BODY).withResponse();
    const expected = await model.complete(BODY.prompt, { maxTokens: 12, seed: 1 });
    expect(data.choices).toEqual([
      { index: 0, text: expected.text, logprobs: null, finish_reason: expected.finishReason },
    ]);
    expect(data).toMatchObject({
      object: "text_completion",
      model: "fable",
      id: expect.stringMatching(/^cmpl-/),
    });
    expect(data.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 12, total_tokens: 16 });
    expect(request_id).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("with everything that it offers", async () => {
    const client = openai(worker);
    const { choices } = await client.completions.create({
      ...BODY,
      prompt: [BODY.prompt, "The dog"],
      best_of: 3,
      echo: true,
      frequency_penalty: 0.1,
      logit_bias: { "50256": -100 },
      logprobs: 2,
      n: 2,
      presence_penalty: 0.1,
      stop: ["\n", "zebra"],
      suffix: null,
      temperature: 0.8,
      top_p: 0.9,
      user: "someone",
    });
    expect(choices).toHaveLength(4);
    expect(choices[0]!.text.startsWith(BODY.prompt)).toBe(true);
    expect(choices[3]!.logprobs!.tokens!.join("")).toBe(choices[3]!.text);
  });

  test("completions.create as a stream", async () => {
    const client = openai(worker);
    const stream = await client.completions.create({
      ...BODY,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage: OpenAI.CompletionUsage | null | undefined;
    let finishReason: string | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? "";
      finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
      usage = chunk.usage ?? usage;
    }
    const { choices, usage: expected } = await client.completions.create(BODY);
    expect(text).toBe(choices[0]!.text);
    expect(finishReason).toBe("length");
    expect(usage).toEqual(expected);
  });

  test("leaving a stream early leaves the server free", async () => {
    const stream = await openai(worker).completions.create({ ...BODY, max_tokens: 400, stream: true });
    for await (const _ of stream) break;
    expect((await openai(worker).completions.create(BODY)).choices).toHaveLength(1);
  });

  test("models.list and models.retrieve", async () => {
    const client = openai(worker);
    const ids = [];
    for await (const entry of client.models.list()) ids.push(entry.id);
    expect(ids).toEqual(["fable"]);
    expect(await client.models.retrieve("fable")).toMatchObject({ id: "fable", object: "model" });
  });

  test("errors are its own exceptions", async () => {
    const client = openai(worker);
    const create = (body: object, by = client) => by.completions.create({ ...BODY, ...body });
    await expect(create({ prompt: [] })).rejects.toThrow(OpenAI.BadRequestError);
    await expect(create({ max_tokens: 1000 })).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
      param: "prompt",
      type: "invalid_request_error",
    });
    await expect(create({ stream: true, prompt: [] })).rejects.toThrow(OpenAI.BadRequestError);
    await expect(create({}, openai(worker, "sk-wrong"))).rejects.toThrow(OpenAI.AuthenticationError);
    await expect(create({ model: "gpt-9" })).rejects.toThrow(OpenAI.NotFoundError);
    await expect(create({ prompt: "a".repeat(2_000_000) })).rejects.toMatchObject({ status: 413 });
    await expect(
      client.chat.completions.create({ model: "fable", messages: [{ role: "user", content: "Hi" }] }),
    ).rejects.toThrow(/chat template/);
    await create({}, openai(limited));
    await expect(create({}, openai(limited))).rejects.toThrow(OpenAI.RateLimitError);
    await expect(create({}, openai(broken))).rejects.toMatchObject({
      constructor: OpenAI.InternalServerError,
      status: 503,
      code: "model_unavailable",
    });
  });
});

describe("AI SDK", () => {
  const provider = (at: RunningWorker, apiKey = KEY) =>
    createOpenAICompatible({
      name: "edgeformer",
      baseURL: new URL("/v1", at.url).href,
      apiKey,
      includeUsage: true,
    });
  const call = { prompt: "Once upon a time", maxOutputTokens: 12, seed: 1, maxRetries: 0 };

  test("generateText", async () => {
    const { text, usage, finishReason } = await generateText({
      model: provider(worker).completionModel("fable"),
      ...call,
    });
    expect(text.length).toBeGreaterThan(0);
    expect(finishReason).toBe("length");
    expect(usage.outputTokens).toBe(12);
    expect(usage.inputTokens).toBeGreaterThan(4);
  });

  test("streamText says the same", async () => {
    const settings = {
      model: provider(worker).completionModel("fable"),
      ...call,
      temperature: 0.5,
      topP: 0.9,
    };
    const stream = streamText(settings);
    let text = "";
    let parts = 0;
    for await (const part of stream.textStream) {
      text += part;
      parts++;
    }
    expect(text).toBe((await generateText(settings)).text);
    expect(parts).toBeGreaterThan(5);
    expect(await stream.finishReason).toBe("length");
    expect((await stream.usage).outputTokens).toBe(12);
  });

  test("settings and provider options reach the server", async () => {
    const { text } = await generateText({
      model: provider(worker).completionModel("fable"),
      ...call,
      stopSequences: ["zebra"],
      frequencyPenalty: 0.2,
      presencePenalty: 0.2,
      providerOptions: { edgeformer: { echo: true, user: "someone", logitBias: { "50256": -100 } } },
    });
    expect(text).toContain("Once upon a time");
  });

  test("errors are its own", async () => {
    const failure = (at: RunningWorker, settings: object = {}, key = KEY, id = "fable") =>
      generateText({ model: provider(at, key).completionModel(id), ...call, ...settings }).then(
        () => expect.fail("no error"),
        (error: unknown) => {
          expect(APICallError.isInstance(error)).toBe(true);
          return error as APICallError;
        },
      );
    expect(await failure(worker, { maxOutputTokens: 1000 })).toMatchObject({
      statusCode: 400,
      isRetryable: false,
    });
    expect(await failure(worker, {}, "sk-wrong")).toMatchObject({ statusCode: 401 });
    expect(await failure(worker, {}, KEY, "gpt-9")).toMatchObject({ statusCode: 404 });
    expect(await failure(worker, { prompt: "a".repeat(2_000_000) })).toMatchObject({ statusCode: 413 });
    await failure(limited);
    expect(await failure(limited)).toMatchObject({ statusCode: 429, isRetryable: true });
    const unavailable = await failure(broken);
    expect(unavailable).toMatchObject({ statusCode: 503, isRetryable: true });
    expect(unavailable.message).toContain("model.json");
  });
});
