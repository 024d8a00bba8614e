// Answers of a certain form, as clients ask for them: response_format, structured_outputs and tools, unchanged.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateObject, generateText, streamObject, streamText, tool } from "ai";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { convert } from "../../src/convert/convert.ts";
import { callConstraint, formatConstraint } from "../../worker/openai/constraints.ts";
import { gpt2Tokenizer } from "../text/gpt2-tokenizer.ts";
import { SPECIALS, writeChatmlCheckpoint } from "./chatml-checkpoint.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

let temporary: string;
let bundle: string;
let worker: RunningWorker;
let client: OpenAI;

beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "edgeformer-structured-"));
  writeChatmlCheckpoint(join(temporary, "checkpoint"));
  const out = join(temporary, "converted");
  await convert({ source: join(temporary, "checkpoint"), out });
  bundle = await buildWorker();
  worker = await startWorker(bundle, { model: out });
  client = new OpenAI({ baseURL: new URL("/v1", worker.url).href, apiKey: "none", maxRetries: 0 });
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
  await rm(temporary, { recursive: true });
});

const NAME = "converted";
const messages = [{ role: "user" as const, content: "Hi!" }];
/** The weights are random, so that the answers are whatever the form allows. */
const BODY = { model: NAME, messages, seed: 1, temperature: 1, max_tokens: 200 };

const Review = z.object({
  stars: z.int().min(1).max(5),
  mood: z.enum(["good", "bad", "mixed"]),
  tags: z.array(z.enum(["food", "service", "price"])).max(2),
  note: z.string().max(8).nullable(),
});
const Weather = z.object({ city: z.enum(["Oslo", "Rome"]), days: z.int().min(1).max(9) });
const SEEDS = [1, 2, 3, 4];

describe("response_format", () => {
  test.each(SEEDS)("zodResponseFormat, seed %i: parsed, and streamed as at once", async (seed) => {
    const request = { ...BODY, seed, response_format: zodResponseFormat(Review, "review") };
    const { choices } = await client.chat.completions.parse(request);
    expect(choices[0]!.finish_reason).toBe("stop");
    const review = Review.parse(choices[0]!.message.parsed);
    // The schema's order, because the helper says that it is strict.
    expect(Object.keys(JSON.parse(choices[0]!.message.content!))).toEqual(Object.keys(Review.shape));
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    expect(streamed.choices[0]!.message.content).toBe(choices[0]!.message.content);
    expect(streamed.choices[0]!.message.parsed).toEqual(review);
  });

  test("json_object", async () => {
    for (const seed of SEEDS) {
      const { choices } = await client.chat.completions.create({
        ...BODY,
        seed,
        max_tokens: 500,
        response_format: { type: "json_object" },
      });
      const [{ message, finish_reason }] = choices as [(typeof choices)[0]];
      if (finish_reason === "stop") expect(JSON.parse(message.content!)).toBeTypeOf("object");
      expect(message.content).toMatch(/^\s*\{/);
    }
  });

  test("keys come in any order where it is not strict", async () => {
    const orders = new Set<string>();
    const schema = { ...z.toJSONSchema(z.object({ a: z.boolean(), b: z.boolean() })) };
    for (let seed = 0; seed < 12; seed++) {
      const { choices } = await client.chat.completions.create({
        ...BODY,
        seed,
        response_format: { type: "json_schema", json_schema: { name: "ab", schema } },
      });
      orders.add(Object.keys(JSON.parse(choices[0]!.message.content!)).join());
    }
    expect([...orders].sort()).toEqual(["a,b", "b,a"]);
  });

  test("works with n, penalties, logit_bias, stop and logprobs together", async () => {
    const { choices } = await client.chat.completions.create({
      ...BODY,
      n: 3,
      frequency_penalty: 1,
      presence_penalty: 1,
      logit_bias: { "5": 3 },
      stop: ["zebra"],
      logprobs: true,
      top_logprobs: 20,
      response_format: zodResponseFormat(Review, "review"),
    });
    expect(new Set(choices.map(({ message }) => message.content)).size).toBe(3);
    for (const { message, logprobs } of choices) {
      Review.parse(JSON.parse(message.content!));
      const bytes = logprobs!.content!.flatMap((token) => token.bytes!);
      expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(message.content);
      for (const { logprob, top_logprobs } of logprobs!.content!) {
        expect(logprob).toBeLessThanOrEqual(0);
        // Of the restricted distribution: where few tokens are possible, their probabilities add up to 1.
        const sum = top_logprobs.reduce((total, one) => total + Math.exp(one.logprob), 0);
        if (top_logprobs.length < 20) expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
      }
    }
  });
});

describe("structured_outputs", () => {
  test("regex and json, also of a completion", async () => {
    const chat = await client.chat.completions.create({
      ...BODY,
      structured_outputs: { regex: "[A-Z][a-z]{2,9}, [0-9]{4}" },
    } as typeof BODY);
    expect(chat.choices[0]!.message.content).toMatch(/^[A-Z][a-z]{2,9}, [0-9]{4}$/);
    const json = JSON.stringify(z.toJSONSchema(Review));
    const completion = await client.completions.create({
      ...{ model: NAME, prompt: "A review:", seed: 2, max_tokens: 200 },
      structured_outputs: { json },
    } as OpenAI.CompletionCreateParamsNonStreaming);
    Review.parse(JSON.parse(completion.choices[0]!.text));
    const format = await client.completions.create({
      ...{ model: NAME, prompt: "A review:", seed: 2, max_tokens: 200 },
      response_format: { type: "json_schema", json_schema: { schema: z.toJSONSchema(Review) } },
    } as OpenAI.CompletionCreateParamsNonStreaming);
    expect(format.choices[0]!.text).toBe(completion.choices[0]!.text);
  });

  test("choice with logprobs gives each choice's probability", async () => {
    const choice = ["good", "bad", "so-so"];
    const ask = async (seed: number) => {
      const { choices } = await client.chat.completions.create({
        ...BODY,
        ...{ seed, top_p: 1, logprobs: true, top_logprobs: 20 },
        structured_outputs: { choice },
      } as typeof BODY & { logprobs: true });
      expect(choices[0]!.finish_reason).toBe("stop");
      const [first] = choices[0]!.logprobs!.content!;
      // Every way to begin a label, as docs/api.md adds them up.
      const probabilities = choice.map((label) =>
        first!.top_logprobs
          .filter(({ token }) => label.startsWith(token))
          .reduce((sum, { logprob }) => sum + Math.exp(logprob), 0),
      );
      return { label: choices[0]!.message.content!, probabilities };
    };
    const SAMPLES = 150;
    const drawn: string[] = [];
    const { probabilities } = await ask(0);
    expect(Math.abs(probabilities.reduce((sum, one) => sum + one, 0) - 1)).toBeLessThan(1e-5);
    for (let seed = 0; seed < SAMPLES; seed++) {
      const one = await ask(seed);
      expect(one.probabilities).toEqual(probabilities);
      drawn.push(one.label);
    }
    for (const [i, label] of choice.entries()) {
      const times = drawn.filter((one) => one === label).length;
      const deviation = Math.sqrt(SAMPLES * probabilities[i]! * (1 - probabilities[i]!));
      expect(Math.abs(times - SAMPLES * probabilities[i]!)).toBeLessThan(4 * deviation + 1);
    }
  });
});

describe("tools of the openai client", () => {
  const weather = zodFunction({ name: "weather", parameters: Weather });
  const time = zodFunction({ name: "time", parameters: z.object({}) });
  /** The biases end a list of calls and an answer soon, where they may end: random weights would call on and on. */
  const request = {
    ...BODY,
    max_tokens: 400,
    tools: [weather, time],
    logit_bias: { "60": 10, [SPECIALS["<|im_end|>"]]: 10 },
  };

  test.each(SEEDS)(
    "required, seed %i: a call with arguments that parse, streamed as at once",
    async (seed) => {
      const body = { ...request, seed, tool_choice: "required" as const };
      const { choices } = await client.chat.completions.parse(body);
      const [{ message, finish_reason }] = choices as [(typeof choices)[0]];
      expect(finish_reason).toBe("tool_calls");
      expect(message.content).toBeNull();
      expect(message.tool_calls!.length).toBeGreaterThan(0);
      for (const { id, function: called } of message.tool_calls!) {
        expect(id).toMatch(/^call_[0-9a-f]{24}$/);
        if (called.name === "weather") Weather.parse(called.parsed_arguments);
        else expect(called).toMatchObject({ name: "time", parsed_arguments: {} });
      }
      const streamed = (await client.chat.completions.stream(body).finalChatCompletion()).choices[0]!;
      const plain = (calls: typeof message.tool_calls) => calls!.map(({ function: called }) => called);
      expect(plain(streamed.message.tool_calls)).toEqual(plain(message.tool_calls));
      expect(streamed).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    },
  );

  test("a named one, and one call where they are not parallel", async () => {
    for (const seed of SEEDS) {
      const named = await client.chat.completions.parse({
        ...request,
        seed,
        tool_choice: { type: "function", function: { name: "weather" } },
      });
      expect(named.choices[0]!.message.tool_calls).toHaveLength(1);
      Weather.parse(named.choices[0]!.message.tool_calls![0]!.function.parsed_arguments);
      const single = await client.chat.completions.parse({
        ...request,
        seed,
        tool_choice: "required",
        parallel_tool_calls: false,
      });
      expect(single.choices[0]!.message.tool_calls).toHaveLength(1);
    }
  });

  test("auto: a text, unless the model opens a call", async () => {
    const free = { ...request, max_tokens: 20, logit_bias: null };
    const text = (await client.chat.completions.create(free)).choices[0]!;
    expect(text.message.tool_calls).toBeUndefined();
    expect(text.message.content).not.toBe("");
    // Held to a word or a call, the model needs no more than the tag's first character.
    const held = {
      ...request,
      max_tokens: 400,
      parallel_tool_calls: false,
      structured_outputs: { choice: ["yes"] },
    };
    const word = (await client.chat.completions.create({ ...held, logit_bias: { "27": -100 } })).choices[0]!;
    expect(word).toMatchObject({ finish_reason: "stop", message: { content: "yes" } });
    const call = (await client.chat.completions.create({ ...held, logit_bias: { "27": 100 } })).choices[0]!;
    expect(call).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    expect(call.message.tool_calls).toHaveLength(1);
  });

  test("none: a text, whatever it looks like", async () => {
    const body = { ...BODY, tools: [weather], tool_choice: "none" as const };
    const tag = { structured_outputs: { choice: ['<tool_call>{"name": "weather"'] } };
    const { message, finish_reason } = (await client.chat.completions.create({ ...body, ...tag }))
      .choices[0]!;
    expect([message.content, message.tool_calls, finish_reason]).toEqual([
      '<tool_call>{"name": "weather"',
      undefined,
      "stop",
    ]);
  });

  test("what came of a call is sent back", async () => {
    const first = await client.chat.completions.create({ ...request, tool_choice: "required" });
    const { message } = first.choices[0]!;
    const answers = message.tool_calls!.map(({ id }) => ({
      role: "tool" as const,
      tool_call_id: id,
      content: "12 °C, <tool_call>",
    }));
    const next = await client.chat.completions.create({
      ...request,
      max_tokens: 10,
      messages: [...messages, message, ...answers],
    });
    expect(next.usage!.prompt_tokens).toBeGreaterThan(first.usage!.prompt_tokens + 20);
  });

  test("a call that is cut by its length says so", async () => {
    const { choices } = await client.chat.completions.create({
      ...request,
      tool_choice: "required",
      max_tokens: 22,
    });
    expect(choices[0]!.finish_reason).toBe("length");
  });
});

describe("the AI SDK", () => {
  const provider = () =>
    createOpenAICompatible({
      name: "edgeformer",
      baseURL: new URL("/v1", worker.url).href,
      supportsStructuredOutputs: true,
    });
  const call = { prompt: "Hi!", seed: 3, temperature: 1, maxRetries: 0, maxOutputTokens: 400 };

  test("generateObject and streamObject", async () => {
    const settings = { model: provider().chatModel(NAME), schema: Review, ...call };
    const { object, finishReason } = await generateObject(settings);
    Review.parse(object);
    expect(finishReason).toBe("stop");
    const stream = streamObject(settings);
    let partial: unknown;
    for await (const one of stream.partialObjectStream) partial = one;
    expect(partial).toEqual(object);
    expect(await stream.object).toEqual(object);
  });

  test("generateText and streamText with tools", async () => {
    const called: unknown[] = [];
    const settings = {
      model: provider().chatModel(NAME),
      ...call,
      tools: {
        weather: tool({
          description: "The weather of the next days",
          inputSchema: Weather,
          execute: async (input) => {
            called.push(Weather.parse(input));
            return { degrees: 12 };
          },
        }),
      },
      toolChoice: "required" as const,
    };
    const { toolCalls, toolResults, finishReason } = await generateText(settings);
    expect(finishReason).toBe("tool-calls");
    expect(toolCalls.length).toBeGreaterThan(0);
    expect(called).toEqual(toolCalls.map(({ input }) => input));
    expect(toolResults.map(({ output }) => output)).toEqual(called.map(() => ({ degrees: 12 })));
    const stream = streamText(settings);
    await stream.consumeStream();
    expect((await stream.toolCalls).map(({ input }) => input)).toEqual(toolCalls.map(({ input }) => input));
    expect(await stream.finishReason).toBe("tool-calls");
  });
});

describe("LangChain", () => {
  const chat = () =>
    new ChatOpenAI({
      model: NAME,
      apiKey: "none",
      configuration: { baseURL: new URL("/v1", worker.url).href },
      maxRetries: 0,
      temperature: 1,
      maxTokens: 400,
      modelKwargs: { seed: 5 },
    });

  test.each(["jsonSchema", "functionCalling", "jsonMode"] as const)(
    "withStructuredOutput by %s",
    async (method) => {
      const structured = chat().withStructuredOutput(method === "jsonMode" ? z.looseObject({}) : Review, {
        name: "review",
        method,
      });
      const object = await structured.invoke("Hi!");
      if (method !== "jsonMode") Review.parse(object);
      let last: unknown;
      for await (const part of await structured.stream("Hi!")) last = part;
      expect(last).toEqual(object);
    },
  );
});

describe("compiled forms", () => {
  const tokenizer = gpt2Tokenizer();
  const fields = { structured_outputs: { regex: "[a-c]{2,5}" } };

  test("are kept, and nobody can tell what others have asked for", () => {
    const mine = formatConstraint(fields, tokenizer, "mine")!.constraint;
    expect(formatConstraint(fields, tokenizer, "mine")!.constraint).toBe(mine);
    expect(formatConstraint(fields, tokenizer, "other")!.constraint).not.toBe(mine);
  });

  test("of all tools together take a bounded amount of work", () => {
    const parameters = {
      properties: Object.fromEntries(
        Array.from({ length: 100 }, (_, i) => [`p${i}`, { pattern: `^(a|b|c${i}){1,9}x?[0-9]{1,4}$` }]),
      ),
    };
    const toolsOf = (count: number) => ({
      tools: Array.from({ length: count }, (_, i) => ({
        type: "function" as const,
        function: { name: `f${i}`, parameters },
      })),
    });
    expect(callConstraint(toolsOf(3), tokenizer, "").bytes).toBeGreaterThan(4000);
    expect(() => callConstraint(toolsOf(30), tokenizer, "")).toThrow(
      expect.objectContaining({
        status: 400,
        param: expect.stringMatching(/^tools\.\d+\.function\.parameters$/),
        message: expect.stringContaining("too much work"),
      }),
    );
  });
});
