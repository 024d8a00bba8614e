import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { completionShape } from "../../worker/openai/answer-schemas.ts";
import type { CompletionShape } from "../../worker/openai/wire/answers.ts";
import { buildWorker, eventsOf, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

let bundle: string;
let worker: RunningWorker;

beforeAll(async () => {
  bundle = await buildWorker();
  worker = await startWorker(bundle);
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
});

const PROMPT = "Once upon a time, there was a";

async function stream(body: Record<string, unknown>): Promise<CompletionShape[]> {
  const response = await worker.post("/v1/completions", { ...body, stream: true });
  expect(response.status, await response.clone().text()).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  const events = await eventsOf(response);
  expect(events.at(-1)).toBe("[DONE]");
  return events.slice(0, -1).map((event) => completionShape.strict().parse(JSON.parse(event)));
}

async function whole(body: Record<string, unknown>): Promise<CompletionShape> {
  return (await (await worker.post("/v1/completions", body)).json()) as CompletionShape;
}

/** The choices that the events of a stream add up to. */
function collect(events: CompletionShape[]) {
  const choices: Record<
    number,
    { text: string; finish_reason: string | null; tokens: string[]; offsets: number[] }
  > = {};
  for (const { index, text, finish_reason, logprobs } of events.flatMap((event) => event.choices)) {
    const choice = (choices[index] ??= { text: "", finish_reason: null, tokens: [], offsets: [] });
    expect(choice.finish_reason).toBeNull();
    choice.text += text;
    choice.finish_reason = finish_reason;
    choice.tokens.push(...(logprobs?.tokens ?? []));
    choice.offsets.push(...(logprobs?.text_offset ?? []));
  }
  return choices;
}

describe("a stream is the whole completion in pieces", () => {
  test("one event for each token, one id for all", async () => {
    const body = { prompt: PROMPT, max_tokens: 30, seed: 1, ignore_eos: true };
    const events = await stream(body);
    expect(events.length).toBe(30);
    expect(new Set(events.map((event) => event.id)).size).toBe(1);
    expect(new Set(events.map((event) => event.created)).size).toBe(1);
    expect(events.every((event) => event.object === "text_completion" && event.usage === undefined)).toBe(
      true,
    );
    const { choices } = await whole(body);
    expect(collect(events)[0]).toMatchObject({ text: choices[0]!.text, finish_reason: "length" });
  });

  test("n choices, side by side", async () => {
    const body = { prompt: [PROMPT, "The dog"], max_tokens: 16, n: 3, seed: 9 };
    const pieces = collect(await stream(body));
    const { choices } = await whole(body);
    expect(Object.keys(pieces)).toHaveLength(6);
    for (const { index, text, finish_reason } of choices)
      expect(pieces[index]).toMatchObject({ text, finish_reason });
  });

  test("echo, log-probabilities and offsets", async () => {
    const body = { prompt: "naïve 😀", max_tokens: 20, seed: 2, logprobs: 2, echo: true };
    const pieces = collect(await stream(body))[0]!;
    const { text, logprobs } = (await whole(body)).choices[0]!;
    expect(pieces).toMatchObject({ text, tokens: logprobs!.tokens, offsets: logprobs!.text_offset });
  });

  test("usage comes last, and only if asked for", async () => {
    const body = { prompt: PROMPT, max_tokens: 5, seed: 1 };
    const events = await stream({ ...body, stream_options: { include_usage: true } });
    expect(events.at(-1)).toMatchObject({ choices: [], usage: (await whole(body)).usage });
    expect(events.slice(0, -1).every((event) => event.usage === null)).toBe(true);
  });

  test("max_tokens 0 with echo streams the prompt", async () => {
    const pieces = collect(await stream({ prompt: PROMPT, max_tokens: 0, echo: true }));
    expect(pieces[0]).toMatchObject({ text: PROMPT, finish_reason: "length" });
  });

  test("a character in several tokens is never cut", async () => {
    // The three bytes of U+2014 and the four of an emoji, forced one token after the other.
    const emoji = ((await (await worker.post("/tokenize", { prompt: "😀" })).json()) as { tokens: number[] })
      .tokens;
    expect(emoji.length).toBeGreaterThan(1);
    for (const piece of emoji) {
      const bias = { [piece]: 100 };
      const events = await stream({ prompt: PROMPT, max_tokens: 6, temperature: 0, logit_bias: bias });
      const { choices } = await whole({ prompt: PROMPT, max_tokens: 6, temperature: 0, logit_bias: bias });
      expect(collect(events)[0]!.text).toBe(choices[0]!.text);
      expect(events).toHaveLength(6);
    }
  });

  test("nothing of a stop string leaks, wherever it lies across tokens", async () => {
    const body = { prompt: PROMPT, max_tokens: 40, temperature: 0, logprobs: 1 };
    const { text } = (await whole(body)).choices[0]!;
    for (let from = 1; from < text.length - 8; from += 7) {
      const stop = text.slice(from, from + 2 + (from % 7));
      const end = text.indexOf(stop);
      const events = await stream({ ...body, stop: [stop, "never said"] });
      let shown = "";
      for (const event of events) {
        shown += event.choices[0]!.text;
        expect(text.slice(0, end).startsWith(shown)).toBe(true);
      }
      const pieces = collect(events)[0]!;
      expect(pieces).toMatchObject({ text: text.slice(0, end), finish_reason: "stop" });
      expect(pieces.text.startsWith(pieces.tokens.join(""))).toBe(true);
    }
  });
});

describe("errors of a stream", () => {
  test("what is wrong with the request is an ordinary error", async () => {
    for (const [body, status] of [
      [{ prompt: [] }, 400],
      [{ prompt: "a", max_tokens: 512 }, 400],
      [{ prompt: "a", stop: [""] }, 400],
      [{ prompt: "a", model: "gpt-9" }, 404],
    ] as const) {
      const response = await worker.post("/v1/completions", { ...body, stream: true });
      expect(response.status).toBe(status);
      expect(await response.json()).toHaveProperty("error.message");
    }
  });
});

describe("over a connection", () => {
  test("the first event arrives while the rest is still to be computed", async () => {
    const response = await worker.post(
      "/v1/completions",
      { prompt: PROMPT, max_tokens: 400, ignore_eos: true, stream: true },
      { "x-request-id": "first-event" },
    );
    const reader = response.body!.getReader();
    await reader.read();
    // The Worker answers others in between; its line about the stream comes when the stream is over.
    expect((await fetch(new URL("/health", worker.url))).status).toBe(200);
    expect(worker.log.some((line) => line.request_id === "first-event")).toBe(false);
    while (!(await reader.read()).done);
    expect(await worker.logged((line) => line.request_id === "first-event")).toMatchObject({
      outcome: "ok",
      completion_tokens: 400,
    });
  });

  test("a client that hangs up is noticed, and the model is free for the next", async () => {
    const body = JSON.stringify({ prompt: PROMPT, max_tokens: 480, ignore_eos: true, stream: true });
    const request = `POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-request-id: hang-up\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    await new Promise<void>((resolve) => {
      let received = "";
      const socket = connect(Number(worker.url.port), "127.0.0.1", () => socket.write(request));
      socket.on("data", (data) => {
        received += data;
        if (received.split("data: {").length > 5) socket.destroy();
      });
      socket.on("close", () => resolve());
    });
    const line = await worker.logged((entry) => entry.request_id === "hang-up");
    expect(line).toMatchObject({ outcome: "client_gone", status: 200 });
    expect(line.completion_tokens).toBeLessThan(480);
    const next = await whole({ prompt: PROMPT, max_tokens: 3, ignore_eos: true });
    expect(next.usage).toMatchObject({ completion_tokens: 3 });
  });

  test("one that hangs up on a whole answer, too", async () => {
    const impatient = await startWorker(bundle, { vars: { PING_MS: "50" } });
    const fields = { prompt: PROMPT, max_tokens: 400, ignore_eos: true, n: 8, seed: 1 };
    const body = JSON.stringify(fields);
    const request = `POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-request-id: gone\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    await new Promise<void>((resolve) => {
      const socket = connect(Number(impatient.url.port), "127.0.0.1", () => socket.write(request));
      socket.on("data", () => socket.destroy());
      socket.on("close", () => resolve());
    });
    const line = await impatient.logged((entry) => entry.request_id === "gone");
    expect(line).toMatchObject({ outcome: "client_gone", stream: false });
    expect(line.completion_tokens).toBeLessThan(8 * 400);
    // Who waits gets the same as ever, behind some white space.
    const slow = await impatient.post("/v1/completions", { ...fields, n: 2 });
    const text = await slow.text();
    expect(text).toMatch(/^ +\{/);
    expect((JSON.parse(text) as CompletionShape).choices).toEqual((await whole({ ...fields, n: 2 })).choices);
    await impatient.stop();
  });
});
