import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LONG, longTexts } from "../core/long-texts.ts";
import { gpt2Tokenizer } from "../text/gpt2-tokenizer.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

let bundle: string;
let worker: RunningWorker;

beforeAll(async () => {
  bundle = await buildWorker();
  // As large a body as a text of a megabyte can need when every character of it is escaped, and memory for it.
  worker = await startWorker(bundle, {
    vars: { MAX_BODY_BYTES: String(8 * LONG), REQUEST_MEMORY: String(64 * LONG) },
  });
  await worker.post("/tokenize", { prompt: "The model is loaded." });
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
});

/** The answer of /tokenize and the seconds until it was there. */
async function tokenize(prompt: string) {
  const started = performance.now();
  const response = await worker.post("/tokenize", { prompt });
  const body = (await response.json()) as { tokens?: number[]; error?: { code: string } };
  return { status: response.status, seconds: (performance.now() - started) / 1000, ...body };
}

const CONTEXT = 512;
const tokenizer = gpt2Tokenizer();

describe("/tokenize", () => {
  test.each(longTexts(CONTEXT * tokenizer.longestToken))(
    "as long as could fit the context: %s",
    async (_, text) => {
      const { status, tokens, seconds } = await tokenize(text);
      expect(status).toBe(200);
      expect(tokens).toEqual(tokenizer.encode(text));
      expect(seconds).toBeLessThan(2);
    },
  );

  test.each(longTexts(LONG))(
    "a megabyte, up to as many tokens as a request may cost: %s",
    async (_, text) => {
      const { status, tokens, error, seconds } = await tokenize(text);
      expect(seconds).toBeLessThan(2);
      const ids = tokenizer.encode(text);
      if (ids.length <= 65_536) expect({ status, tokens }).toEqual({ status: 200, tokens: ids });
      else expect({ status, error }).toMatchObject({ status: 400, error: { param: "prompt" } });
    },
  );
});
