import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Model } from "../../src/index.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import type { CompletionShape } from "../../worker/openai/wire/answers.ts";
import { buildWorker, eventsOf, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

let bundle: string;
let model: Model;
let running: RunningWorker | undefined;

beforeAll(async () => {
  bundle = await buildWorker();
  model = await openModel(bundledModel());
}, 60_000);
afterEach(async () => {
  await running?.stop();
  running = undefined;
});
afterAll(async () => {
  model.dispose();
  await removeBundle(bundle);
});

const PROMPTS = [
  "Once upon a time",
  "The dog ran to the park and",
  "Lily had a red ball. One day, she",
  "Tom",
];

/** Requests of mixed lengths, each with a text of its own. */
const requests = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    prompt: PROMPTS[i % PROMPTS.length]!.repeat(1 + (i % 5)),
    max_tokens: 4 + ((i * 7) % 60),
    seed: i,
  }));

async function streamed(worker: RunningWorker, body: object): Promise<string> {
  const response = await worker.post("/v1/completions", { ...body, stream: true });
  expect(response.status).toBe(200);
  const events = (await eventsOf(response)).slice(0, -1);
  return events.map((event) => (JSON.parse(event) as CompletionShape).choices[0]!.text).join("");
}

test("64 streams in one process: nobody's next token is more than two steps away", async () => {
  const crowd = await openModel(bundledModel(), { maxQueue: 64 });
  let largestGap = 0;
  const texts = await Promise.all(
    requests(64).map(async ({ prompt, max_tokens: maxTokens, seed }) => {
      let text = "";
      let last = Number.POSITIVE_INFINITY;
      for await (const chunk of crowd.generate(prompt, { maxTokens, seed })) {
        text += chunk.text;
        largestGap = Math.max(largestGap, crowd.steps - last);
        last = crowd.steps;
      }
      return text;
    }),
  );
  console.log(`largest gap between two tokens of one of 64 streams: ${largestGap} steps of ${crowd.steps}`);
  expect(largestGap).toBeGreaterThan(0);
  expect(largestGap).toBeLessThanOrEqual(2);
  for (const [i, { prompt, max_tokens: maxTokens, seed }] of requests(64).entries())
    expect(texts[i]).toBe((await model.complete(prompt, { maxTokens, seed })).text);
  crowd.dispose();
});

test("64 streams at once, each with the text that it gets alone", async () => {
  running = await startWorker(bundle);
  const bodies = requests(64);
  const texts = await Promise.all(bodies.map((body) => streamed(running!, body)));
  for (const [i, { prompt, max_tokens, seed }] of bodies.entries())
    expect(texts[i]).toBe((await model.complete(prompt, { maxTokens: max_tokens, seed })).text);
});

test("a crowd larger than the queue: some are refused with Retry-After, the others get their text", async () => {
  running = await startWorker(bundle, { vars: { MAX_QUEUE: "4", MAX_SEQUENCES: "2" } });
  await fetch(new URL("/ready", running.url));
  const bodies = requests(40);
  const responses = await Promise.all(bodies.map((body) => running!.post("/v1/completions", body)));
  let served = 0;
  for (const [i, response] of responses.entries()) {
    const { prompt, max_tokens, seed } = bodies[i]!;
    if (response.status === 200) {
      served++;
      const { choices } = (await response.json()) as CompletionShape;
      expect(choices[0]!.text).toBe((await model.complete(prompt, { maxTokens: max_tokens, seed })).text);
    } else {
      expect(response.status).toBe(503);
      expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
      expect(await response.json()).toMatchObject({ error: { code: "overloaded" } });
    }
  }
  expect(served).toBeGreaterThanOrEqual(6);
  expect(served).toBeLessThan(40);
  expect((await running.post("/v1/completions", bodies[0])).status).toBe(200);
});
