// Answers of a certain form, as clients ask for them: response_format, structured_outputs and tools, unchanged.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { writeChatmlCheckpoint } from "./chatml-checkpoint.ts";
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

describe("structured_outputs", () => {
  test("regex, also of a completion", async () => {
    const structured_outputs = { regex: "[A-Z][a-z]{2,9}, [0-9]{4}" };
    const chat = await client.chat.completions.create({ ...BODY, structured_outputs } as typeof BODY);
    expect(chat.choices[0]!.message.content).toMatch(/^[A-Z][a-z]{2,9}, [0-9]{4}$/);
    const completion = await client.completions.create({
      ...{ model: NAME, prompt: "A name and a year:", seed: 2, max_tokens: 200 },
      structured_outputs,
    } as OpenAI.CompletionCreateParamsNonStreaming);
    expect(completion.choices[0]!.text).toMatch(/^[A-Z][a-z]{2,9}, [0-9]{4}$/);
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
