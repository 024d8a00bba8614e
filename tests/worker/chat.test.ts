import { rm } from "node:fs/promises";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import type { Model } from "../../src/index.ts";
import { openModel } from "../../src/node/index.ts";
import { fingerprint } from "../../worker/fingerprint.ts";
import { chatChunkShape, chatShape } from "../../worker/openai/answer-schemas.ts";
import { gpt2Table } from "../text/gpt2-tokenizer.ts";
import { modelWith, TEMPLATE } from "./chat-model.ts";
import { buildWorker, eventsOf, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

/** Two tokens at the vocabulary's end, given to the roles. */
const ADDED = { "<|user|>": 50254, "<|assistant|>": 50255 };
const END = 50256;

let bundle: string;
let directory: string;
let worker: RunningWorker;
let model: Model;

beforeAll(async () => {
  bundle = await buildWorker();
  directory = await modelWith({
    name: "teller",
    chat_template: TEMPLATE,
    table: gpt2Table(ADDED),
  });
  worker = await startWorker(bundle, { model: directory });
  model = await openModel(directory);
}, 60_000);
afterAll(async () => {
  model.dispose();
  await worker.stop();
  await removeBundle(bundle);
  await rm(directory, { recursive: true });
});

const MESSAGES = [{ role: "user" as const, content: "Tell me a story about a dog." }];
const encode = (text: string) => model.tokenizer!.encode(text);
/** MESSAGES as the template puts them. */
const promptIds = () => [
  END,
  ADDED["<|user|>"],
  ...encode("\nTell me a story about a dog."),
  END,
  ...encode("\n"),
  ADDED["<|assistant|>"],
  ...encode("\n"),
];
const BODY = { messages: MESSAGES, max_tokens: 16, temperature: 0, ignore_eos: true };

async function whole(body: Record<string, unknown>): Promise<z.infer<typeof chatShape>> {
  const response = await worker.post("/v1/chat/completions", body);
  expect(response.status, await response.clone().text()).toBe(200);
  return chatShape.strict().parse(await response.json());
}

async function stream(body: Record<string, unknown>): Promise<z.infer<typeof chatChunkShape>[]> {
  const response = await worker.post("/v1/chat/completions", { ...body, stream: true });
  expect(response.status, await response.clone().text()).toBe(200);
  const events = await eventsOf(response);
  expect(events.at(-1)).toBe("[DONE]");
  return events.slice(0, -1).map((event) => chatChunkShape.strict().parse(JSON.parse(event)));
}

async function refusal(body: Record<string, unknown>): Promise<Record<string, unknown>> {
  const response = await worker.post("/v1/chat/completions", { ...BODY, ...body });
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  return { status: response.status, ...error };
}

describe("a conversation", () => {
  test("is the completion of what the template makes of it, special tokens and all", async () => {
    const { choices, usage, object, id, model: name } = await whole(BODY);
    const expected = await model.complete(promptIds(), { maxTokens: 16, temperature: 0, ignoreEos: true });
    expect(choices).toEqual([
      {
        index: 0,
        message: { role: "assistant", content: expected.text, refusal: null },
        logprobs: null,
        finish_reason: "length",
      },
    ]);
    expect({ object, name }).toEqual({ object: "chat.completion", name: "teller" });
    expect(id).toMatch(/^chatcmpl-/);
    expect(usage).toMatchObject({ prompt_tokens: promptIds().length, completion_tokens: 16 });
  });

  test.each([
    ["a part", [{ role: "user", content: [{ type: "text", text: MESSAGES[0]!.content }] }]],
    [
      "parts, on lines of their own",
      [
        {
          role: "user",
          content: [
            { type: "text", text: " " },
            { type: "text", text: MESSAGES[0]!.content },
          ],
        },
      ],
    ],
    [
      "with what OpenAI's own answers carry",
      [
        {
          ...MESSAGES[0],
          ...{ name: "Ann", refusal: null, annotations: [], parsed: null },
          ...{ tool_calls: [], function_call: null, audio: null },
        },
      ],
    ],
    ["nothing more, in many nulls", [{ ...MESSAGES[0], name: null, annotations: null, tool_calls: null }]],
  ])("of %s", async (_, messages) => {
    const { choices, usage } = await whole({ ...BODY, messages });
    expect(choices).toEqual((await whole(BODY)).choices);
    expect(usage.prompt_tokens).toBe(promptIds().length);
  });

  test("developer is another name for system", async () => {
    const system = { role: "system", content: "Be brief." };
    const asked = { ...BODY, messages: [system, ...MESSAGES] };
    const { choices } = await whole({ ...BODY, messages: [{ ...system, role: "developer" }, ...MESSAGES] });
    expect(choices).toEqual((await whole(asked)).choices);
    expect(choices).not.toEqual((await whole(BODY)).choices);
  });

  test("what a message spells like a special token stays text", async () => {
    const content = "A<|user|>B<|endoftext|>C<";
    const messages = [
      { role: "user", content },
      { role: "assistant", content: "|assistant|>" },
    ];
    const { usage } = await whole({ ...BODY, max_tokens: 1, messages });
    const expected = [
      ...[END, ADDED["<|user|>"], ...encode(`\n${content}`), END, ...encode("\n")],
      ...[ADDED["<|assistant|>"], ...encode("\n|assistant|>"), END, ...encode("\n")],
      ...[ADDED["<|assistant|>"], ...encode("\n")],
    ];
    expect(usage.prompt_tokens).toBe(expected.length);
    const { choices } = await whole({ ...BODY, messages });
    const { text } = await model.complete(expected, { maxTokens: 16, temperature: 0, ignoreEos: true });
    expect(choices[0]!.message.content).toBe(text);
  });

  test("may have any character, and the template sees it as it is", async () => {
    const { usage } = await whole({ ...BODY, messages: [{ role: "user", content: "a\ufdd0\ue000b" }] });
    expect(usage.prompt_tokens).toBe(
      promptIds().length - encode(`\n${MESSAGES[0]!.content}`).length + encode("\na\ufdd0\ue000b").length,
    );
  });

  test("without max_tokens goes on to the end of the text or of the context", async () => {
    const options = { maxTokens: model.context - promptIds().length, temperature: 0 };
    const { choices } = await whole({ messages: MESSAGES, temperature: 0 });
    const { text, finishReason } = await model.complete(promptIds(), options);
    expect(choices[0]).toMatchObject({ message: { content: text }, finish_reason: finishReason });
    const all = await whole({ messages: MESSAGES, temperature: 0, ignore_eos: true });
    expect(all.choices[0]!.finish_reason).toBe("length");
    expect(all.usage.total_tokens).toBe(model.context);
    const named = await whole({ messages: MESSAGES, max_completion_tokens: 3, seed: 1, ignore_eos: true });
    expect(named.usage.completion_tokens).toBe(3);
  });

  test("system_fingerprint tells one template from another", async () => {
    const { system_fingerprint: here } = await whole({ ...BODY, max_tokens: 1 });
    expect(here).toMatch(/^fp_[0-9a-f]{16}$/);
    const { manifest } = model;
    const made = (chat_template: string) => fingerprint({ ...manifest, chat_template }, "engine");
    expect(await made(TEMPLATE)).toBe(await fingerprint(manifest, "engine"));
    expect(await made("{{ messages[0].content }}")).not.toBe(await made(TEMPLATE));
  });

  test("takes n, seed and stop as completions do", async () => {
    const body = { messages: MESSAGES, max_tokens: 16, n: 3, seed: 4, ignore_eos: true };
    const { choices } = await whole(body);
    expect(choices.map((choice) => choice.index)).toEqual([0, 1, 2]);
    expect(new Set(choices.map((choice) => choice.message.content)).size).toBe(3);
    expect((await whole(body)).choices).toEqual(choices);
    const text = choices[0]!.message.content!;
    const stop = text.slice(5, 9);
    const stopped = (await whole({ ...body, n: 1, stop: [stop] })).choices[0]!;
    expect(stopped).toMatchObject({
      message: { content: text.slice(0, text.indexOf(stop)) },
      finish_reason: "stop",
    });
  });

  test("log-probabilities are the library's, bit for bit", async () => {
    const { choices } = await whole({ ...BODY, logprobs: true, top_logprobs: 7 });
    const options = { maxTokens: 16, temperature: 0, ignoreEos: true, logprobs: 7 };
    const { logprobs, ids } = await model.complete(promptIds(), options);
    const { content } = choices[0]!.logprobs!;
    expect(content.map((entry) => entry.logprob)).toEqual(logprobs!.map((entry) => entry.logprob));
    expect(content.map((entry) => entry.top_logprobs.map((other) => other.logprob))).toEqual(
      logprobs!.map((entry) => entry.top.map((other) => other.logprob)),
    );
    expect(content.map((entry) => entry.bytes)).toEqual(ids.map((id) => [...model.tokenizer!.bytes(id)]));
    expect(content.map((entry) => entry.token).join("")).toBe(choices[0]!.message.content);
    const bare = (await whole({ ...BODY, logprobs: true })).choices[0]!.logprobs!;
    expect(bare.content).toEqual(content.map((entry) => ({ ...entry, top_logprobs: [] })));
  });
});

describe("a stream", () => {
  test("says the role first, then one token at a time, then why it ended", async () => {
    const events = await stream(BODY);
    const pieces = events.map((event) => event.choices[0]!);
    expect(pieces[0]).toMatchObject({ delta: { role: "assistant", content: "" }, finish_reason: null });
    expect(pieces.at(-1)).toEqual({ index: 0, delta: {}, logprobs: null, finish_reason: "length" });
    const middle = pieces.slice(1, -1);
    expect(middle).toHaveLength(16);
    expect(middle.every((piece) => piece.delta.role === undefined && piece.finish_reason === null)).toBe(
      true,
    );
    expect(middle.map((piece) => piece.delta.content).join("")).toBe(
      (await whole(BODY)).choices[0]!.message.content,
    );
    expect(new Set(events.map((event) => event.id)).size).toBe(1);
    expect(events.every((event) => event.usage === undefined)).toBe(true);
  });

  test("of n choices begins each with its role, and adds up to the whole", async () => {
    const body = { messages: MESSAGES, max_tokens: 12, n: 3, seed: 9, logprobs: true, top_logprobs: 2 };
    const pieces = (await stream(body)).flatMap((event) => event.choices);
    const { choices } = await whole(body);
    for (const { index, message, logprobs, finish_reason } of choices) {
      const mine = pieces.filter((piece) => piece.index === index);
      expect(mine.filter((piece) => piece.delta.role).length).toBe(1);
      expect(mine[0]!.delta.role).toBe("assistant");
      expect(mine.map((piece) => piece.delta.content ?? "").join("")).toBe(message.content);
      expect(mine.flatMap((piece) => piece.logprobs?.content ?? [])).toEqual(logprobs!.content);
      expect(mine.map((piece) => piece.finish_reason).filter((reason) => reason !== null)).toEqual([
        finish_reason,
      ]);
    }
  });

  test("ends with the usage, if asked for", async () => {
    const events = await stream({ ...BODY, stream_options: { include_usage: true } });
    expect(events.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: promptIds().length, completion_tokens: 16 },
    });
    expect(events.slice(0, -1).every((event) => event.usage === null)).toBe(true);
  });

  test("never shows anything of a stop string", async () => {
    const text = (await whole(BODY)).choices[0]!.message.content!;
    for (let from = 1; from < text.length - 6; from += 5) {
      const stop = text.slice(from, from + 2 + (from % 5));
      const pieces = (await stream({ ...BODY, stop })).map((event) => event.choices[0]!);
      expect(pieces.map((piece) => piece.delta.content ?? "").join("")).toBe(
        text.slice(0, text.indexOf(stop)),
      );
      expect(pieces.at(-1)!.finish_reason).toBe("stop");
    }
  });
});

describe("what is refused", () => {
  const tool = (name: string, parameters?: object) => ({ type: "function", function: { name, parameters } });
  const ENDS = { ignore_eos: false };
  const user = (content: unknown) => ({ messages: [{ role: "user", content }] });
  test.each<[string, Record<string, unknown>, string, RegExp]>([
    ["no messages", { messages: undefined }, "messages", /is required/],
    ["messages that are no list", { messages: "Hi" }, "messages", /list/],
    ["an empty list", { messages: [] }, "messages", /at least one/],
    ["too many messages", { messages: Array(1025).fill(MESSAGES[0]) }, "messages", /1025 entries/],
    [
      "more messages than the context has tokens",
      { messages: Array(513).fill({ role: "user", content: "" }) },
      "messages",
      /context holds 512 tokens, but the request needs more for its messages/,
    ],
    ["a message that is no object", { messages: ["Hi"] }, "messages.0", /object/],
    ["an unknown role", { messages: [{ role: "boss", content: "Hi" }] }, "messages.0.role", /'developer'/],
    [
      "a tool's answer to nothing",
      { messages: [...MESSAGES, { role: "tool", content: "4" }] },
      "messages.1.tool_call_id",
      /is required/,
    ],
    [
      "a user's answer to a call",
      { messages: [{ ...MESSAGES[0], tool_call_id: "a" }] },
      "messages.0.tool_call_id",
      /only be a tool's/,
    ],
    [
      "a call that is none",
      { messages: [{ role: "assistant", content: "", tool_calls: [{}] }] },
      "messages.0.tool_calls.0.id",
      /string/,
    ],
    [
      "calls whose arguments have too many parts",
      {
        messages: Array.from({ length: 20 }, () => ({
          role: "assistant",
          tool_calls: [
            { id: "a", type: "function", function: { name: "f", arguments: `[${"[],".repeat(900)}1]` } },
          ],
        })),
      },
      "messages",
      /more than 16384 lists/,
    ],
    [
      "a call whose arguments are no JSON",
      {
        messages: [
          {
            role: "assistant",
            tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{" } }],
          },
        ],
      },
      "messages.0.tool_calls.0.function.arguments",
      /JSON/,
    ],
    [
      "a user's call",
      {
        messages: [
          {
            ...MESSAGES[0],
            tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{}" } }],
          },
        ],
      },
      "messages.0.tool_calls",
      /only be the assistant's/,
    ],
    [
      "an older function's answer",
      { messages: [{ role: "function", name: "f", content: "4" }] },
      "messages.0.role",
      /'function'.*older form/,
    ],
    [
      "an answer that refused",
      { messages: [{ role: "assistant", content: "", refusal: "No." }] },
      "messages.0.refusal",
      /not supported/,
    ],
    ["a date that is none", { chat_template_date: "tomorrow" }, "chat_template_date", /2026-07-04/],
    ["values that are no object", { chat_template_kwargs: [] }, "chat_template_kwargs", /record|object/],
    ["a seed that is no integer", { seed: 1.5 }, "seed", /integer/],
    ["no content", { messages: [{ role: "assistant", content: null }] }, "messages.0.content", /string/],
    ["a content that is no text", user(7), "messages.0.content", /string/],
    ["no parts", user([]), "messages.0.content", /at least one part/],
    [
      "an image",
      user([
        { type: "text", text: "What?" },
        { type: "image_url", image_url: { url: "data:" } },
      ]),
      "messages.0.content",
      /'image_url'/,
    ],
    ["a part without text", user([{ type: "text" }]), "messages.0.content", /\{type: 'text', text\}/],
    ["a hundred thousand bad parts", user(Array(100_000).fill(0)), "messages", /16384/],
    [
      "an unknown field of a message",
      { messages: [{ ...MESSAGES[0], mood: "good" }] },
      "mood",
      /Unrecognized/,
    ],
    ["functions", { functions: [{ name: "f" }] }, "functions", /older form/],
    ["a tool that is no function", { tools: [{ type: "search" }] }, "tools.0.type", /'function'/],
    [
      "a tool without a name",
      { tools: [{ type: "function", function: {} }] },
      "tools.0.function.name",
      /string/,
    ],
    ["a tool with an odd name", { tools: [tool("a b")] }, "tools.0.function.name", /letters, digits/],
    ["two tools of the same name", { tools: [tool("f"), tool("f")] }, "tools", /different names/],
    ["too many tools", { tools: Array.from({ length: 129 }, (_, i) => tool(`f${i}`)) }, "tools", /128/],
    [
      "a tool whose parameters cannot be enforced",
      { ...ENDS, tools: [tool("f"), tool("g", { properties: { a: { multipleOf: "x" } } })] },
      "tools.1.function.parameters",
      /\/properties\/a\/multipleOf/,
    ],
    ["a choice without tools", { tool_choice: "required" }, "tool_choice", /when there are tools/],
    [
      "parallel calls without tools",
      { parallel_tool_calls: true },
      "parallel_tool_calls",
      /when there are tools/,
    ],
    ["a choice that is none", { tools: [tool("f")], tool_choice: "maybe" }, "tool_choice", /'required'/],
    [
      "a choice that is no tool",
      { tools: [tool("f")], tool_choice: { type: "function", function: { name: "g" } } },
      "tool_choice",
      /'g'/,
    ],
    ["tools without an end", { tools: [tool("f")] }, "ignore_eos", /tools may be called/],
    ["an unknown format", { response_format: { type: "xml" } }, "response_format.type", /'json_object'/],
    [
      "a format without a schema",
      { response_format: { type: "json_schema" } },
      "response_format.json_schema",
      /object/,
    ],
    ["a format without an end", { response_format: { type: "json_object" } }, "ignore_eos", /where it ends/],
    [
      "a schema that cannot be enforced",
      {
        ...ENDS,
        response_format: { type: "json_schema", json_schema: { name: "a", schema: { minItems: -1 } } },
      },
      "response_format.json_schema.schema",
      /minItems/,
    ],
    [
      "a schema that allows nothing",
      { ...ENDS, response_format: { type: "json_schema", json_schema: { name: "a", schema: { enum: [] } } } },
      "response_format.json_schema.schema",
      /enum/,
    ],
    ["two forms", { structured_outputs: { regex: "a", choice: ["b"] } }, "structured_outputs", /one of/],
    [
      "two fields for a form",
      { ...ENDS, response_format: { type: "json_object" }, structured_outputs: { regex: "a" } },
      "structured_outputs",
      /response_format/,
    ],
    [
      "a regular expression that is none",
      { ...ENDS, structured_outputs: { regex: "(" } },
      "structured_outputs.regex",
      /regex/,
    ],
    [
      "no choice",
      { ...ENDS, structured_outputs: { choice: [] } },
      "structured_outputs.choice",
      /at least one/,
    ],
    [
      "a schema as a text that is none",
      { ...ENDS, structured_outputs: { json: "{" } },
      "structured_outputs.json",
      /JSON/,
    ],
    ["audio", { modalities: ["text", "audio"] }, "modalities", /text/],
    ["an unknown field", { prompt: "Hi" }, "prompt", /Unrecognized/],
    ["two limits", { max_completion_tokens: 3, max_tokens: 4 }, "max_tokens", /must not differ/],
    ["nothing to generate", { max_tokens: 0 }, "max_tokens", /1/],
    ["alternatives without log-probabilities", { top_logprobs: 2 }, "top_logprobs", /logprobs is true/],
    ["too many alternatives", { logprobs: true, top_logprobs: 21 }, "top_logprobs", /20/],
    ["stream_options without a stream", { stream_options: {} }, "stream_options", /stream is true/],
    ["too many choices", { n: 100 }, "n", /16/],
    ["a token id that the model does not have", { stop_token_ids: [50257] }, "stop_token_ids", /50256/],
    [
      "a conversation that the template refuses",
      { messages: [{ role: "assistant", content: "Hi" }] },
      "messages",
      /begins with the user/,
    ],
  ])("%s", async (_, body, param, message) => {
    expect(await refusal(body)).toMatchObject({
      status: 400,
      type: "invalid_request_error",
      param,
      message: expect.stringMatching(message),
    });
  });

  test.each([
    ["with what is to be generated", { max_tokens: 510 }],
    ["alone", user("dog ".repeat(600))],
    ["even before the template sees it", user("dog ".repeat(30_000))],
  ])("a conversation that is too long %s", async (_, body) => {
    for (const stream of [false, true])
      expect(await refusal({ ...body, stream })).toMatchObject({
        status: 400,
        param: "messages",
        code: "context_length_exceeded",
      });
  });

  test("another model", async () => {
    expect(await refusal({ model: "fable" })).toMatchObject({ status: 404, code: "model_not_found" });
  });

  test("by configuration", async () => {
    const small = await startWorker(bundle, {
      model: directory,
      vars: { MAX_TOKENS: "5", MAX_REQUEST_TOKENS: "60" },
    });
    const ask = async (body: object) =>
      (await small.post("/v1/chat/completions", { messages: MESSAGES, ignore_eos: true, ...body })).json();
    expect(await ask({})).toMatchObject({ usage: { completion_tokens: 5 } });
    expect(await ask({ n: 16 })).toMatchObject({
      usage: { completion_tokens: 16 * Math.floor((60 - promptIds().length) / 16) },
    });
    expect(await ask({ max_tokens: 6 })).toMatchObject({ error: { param: "max_tokens" } });
    expect(await ask({ max_tokens: 5, n: 16 })).toMatchObject({ error: { param: "messages" } });
    await small.stop();
  });
});

test("a template is told the date, and whatever else the request has for it", async () => {
  const other = await modelWith({
    chat_template:
      "{{ strftime_now('%d %B %Y') }} {{ mood }}{% for m in messages %}{{ m.content }}{% endfor %}",
  });
  const running = await startWorker(bundle, { model: other });
  const ask = async (values: Record<string, unknown>) => {
    const response = await running.post("/v1/chat/completions", { ...BODY, ...values });
    expect(response.status, await response.clone().text()).toBe(200);
    return chatShape.parse(await response.json());
  };
  const fixed = { chat_template_date: "2026-07-04", chat_template_kwargs: { mood: "glad<|endoftext|>" } };
  const text = `04 July 2026 glad<|endoftext|>${MESSAGES[0]!.content}`;
  const answer = await ask(fixed);
  expect(answer.usage.prompt_tokens).toBe(encode(text).length);
  const expected = await model.complete(text, { maxTokens: 16, temperature: 0, ignoreEos: true });
  expect(answer.choices[0]!.message.content).toBe(expected.text);
  const day = new Date();
  const today = await ask({ chat_template_kwargs: fixed.chat_template_kwargs });
  const dated = await ask({ ...fixed, chat_template_date: day.toISOString() });
  expect(today.usage.prompt_tokens).toBe(dated.usage.prompt_tokens);
  expect(today.choices).toEqual(dated.choices);
  await running.stop();
  await rm(other, { recursive: true });
});

describe("a model that cannot chat says so", () => {
  async function ask(fields: Record<string, unknown>) {
    const other = await modelWith(fields);
    const running = await startWorker(bundle, { model: other });
    const response = await running.post("/v1/chat/completions", BODY);
    const { error } = (await response.json()) as { error: { message: string } };
    const ids = { prompt: [1], max_tokens: 1 };
    expect((await running.post("/v1/completions", ids)).status).toBe(200);
    await running.stop();
    await rm(other, { recursive: true });
    return { status: response.status, retryAfter: response.headers.get("retry-after"), ...error };
  }

  test("for want of a template", async () => {
    expect(await ask({})).toMatchObject({
      status: 404,
      param: "model",
      message: expect.stringMatching(/no chat template.*use \/v1\/completions/),
    });
  });

  test("for want of a tokenizer", async () => {
    expect(await ask({ chat_template: TEMPLATE, tokenizer: null })).toMatchObject({
      status: 404,
      message: expect.stringMatching(/no tokenizer/),
    });
  });

  test.each([
    ["is broken", "{% for m in messages %}"],
    ["does not end", `${"{% for i in range(1000) %}".repeat(5)}${"{% endfor %}".repeat(5)}`],
    ["reaches for JavaScript", "{{ messages.constructor.constructor('return globalThis')() }}"],
  ])("because its template %s", async (_, chat_template) => {
    expect(await ask({ chat_template })).toMatchObject({
      status: 503,
      type: "server_error",
      code: "model_unavailable",
      retryAfter: "2",
      message: expect.stringMatching(/the chat template failed/),
    });
  });
});

describe("openai", () => {
  const client = () =>
    new OpenAI({ baseURL: new URL("/v1", worker.url).href, apiKey: "none", maxRetries: 0 });
  const request = { model: "teller", messages: MESSAGES, max_tokens: 12, seed: 1 };

  test("chat.completions.create, with everything that it offers", async () => {
    const answer = await client().chat.completions.create(request);
    const { choices } = await client().chat.completions.create({
      ...request,
      messages: [
        { role: "developer", content: "Be brief." },
        ...MESSAGES,
        answer.choices[0]!.message,
        ...MESSAGES,
      ],
      frequency_penalty: 0.1,
      logit_bias: { "50256": -100 },
      logprobs: true,
      max_completion_tokens: 12,
      metadata: { purpose: "test" },
      modalities: ["text"],
      n: 2,
      presence_penalty: 0.1,
      prompt_cache_key: "a",
      response_format: { type: "text" },
      safety_identifier: "b",
      service_tier: "auto",
      stop: ["zebra"],
      store: false,
      temperature: 0.8,
      top_logprobs: 3,
      top_p: 0.9,
      user: "someone",
    });
    expect(choices).toHaveLength(2);
    for (const choice of choices)
      expect(choice.logprobs!.content!.map((entry) => entry.token).join("")).toBe(choice.message.content);
  });

  test("chat.completions.stream puts the same together", async () => {
    const streamed = await client()
      .chat.completions.stream({ ...request, stream_options: { include_usage: true } })
      .finalChatCompletion();
    const { choices, usage } = await client().chat.completions.create(request);
    expect(streamed.choices[0]!.message.content).toBe(choices[0]!.message.content);
    expect(streamed.choices[0]!.finish_reason).toBe(choices[0]!.finish_reason);
    expect(streamed.usage).toMatchObject({ completion_tokens: usage!.completion_tokens });
  });

  test("errors are its own exceptions", async () => {
    const create = (body: object) => client().chat.completions.create({ ...request, ...body });
    await expect(create({ messages: [] })).rejects.toThrow(OpenAI.BadRequestError);
    await expect(create({ functions: [{ name: "f" }], stream: true })).rejects.toThrow(/older form/);
    await expect(create({ model: "gpt-9" })).rejects.toThrow(OpenAI.NotFoundError);
    await expect(create({ max_tokens: 1000 })).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "messages",
    });
  });
});

describe("AI SDK", () => {
  const chat = () =>
    createOpenAICompatible({
      name: "edgeformer",
      baseURL: new URL("/v1", worker.url).href,
      includeUsage: true,
    }).chatModel("teller");
  const call = { maxOutputTokens: 12, seed: 1, temperature: 0.7, maxRetries: 0 };

  test("streamText says what generateText says", async () => {
    const settings = {
      model: chat(),
      ...call,
      system: "Be brief.",
      messages: [
        { role: "user" as const, content: "Hi" },
        { role: "assistant" as const, content: "Hello!" },
        {
          role: "user" as const,
          content: [
            { type: "text" as const, text: "A story" },
            { type: "text" as const, text: "please." },
          ],
        },
      ],
    };
    const { text, usage, finishReason } = await generateText(settings);
    expect(text.length).toBeGreaterThan(0);
    const stream = streamText(settings);
    let streamed = "";
    for await (const part of stream.textStream) streamed += part;
    expect(streamed).toBe(text);
    expect(await stream.finishReason).toBe(finishReason);
    expect(await stream.usage).toMatchObject({
      inputTokens: usage.inputTokens,
      outputTokens: usage.outputTokens,
    });
  });

  test("errors are its own", async () => {
    const failure = await generateText({ model: chat(), ...call, prompt: "Hi", maxOutputTokens: 1000 }).then(
      () => expect.fail("no error"),
      (error: unknown) => error,
    );
    expect(APICallError.isInstance(failure)).toBe(true);
    expect(failure).toMatchObject({ statusCode: 400, isRetryable: false });
  });
});
