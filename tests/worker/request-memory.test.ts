// What bodies and answers take of the isolate's memory, and for how long.
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type Model, REQUEST_BYTES } from "../../src/index.ts";
import { allAtOnce } from "../../src/parts.ts";
import { type Env, readConfig } from "../../worker/config.ts";
import { answerBytes } from "../../worker/openai/answer-bytes.ts";
import { planCompletion } from "../../worker/openai/completions-plan.ts";
import { completionRequest } from "../../worker/openai/completions-schema.ts";
import { RequestMemory } from "../../worker/request-memory.ts";
import { buildWorker, type RunningWorker, removeBundle, type StartOptions, startWorker } from "./harness.ts";

describe("the ledger", () => {
  test("gives no more than there is, and takes back", () => {
    const memory = new RequestMemory(1_000_000);
    expect(memory.most).toBe(750_000);
    const [one, two] = [memory.lease(), memory.lease()];
    one.hold(700_000, 1000);
    expect(() => two.hold(200_000, 1000)).toThrow(
      expect.objectContaining({ status: 503, headers: { "retry-after": expect.any(String) } }),
    );
    two.hold(50_000, 1000);
    expect(memory.held).toBe(750_000);
    one.hold(10, 1000);
    two.hold(700_000, 1000);
    one.release();
    two.release();
    expect(memory.held).toBe(0);
  });

  test("keeps a part for small requests", () => {
    const memory = new RequestMemory(1_000_000);
    memory.lease().hold(750_000, 1000);
    expect(() => memory.lease().hold(100_000, 1000)).toThrow("busy");
    for (let i = 0; i < 4; i++) memory.lease().hold(60_000, 1000);
    expect(() => memory.lease().hold(60_000, 1000)).toThrow("busy");
  });

  test("has the slowest uploads make room, as many as it takes, and nobody who moves", () => {
    vi.useFakeTimers();
    try {
      const memory = new RequestMemory(1_000_000);
      const uploads = [1000, 10, 60_000, 20].map((bytes) => {
        const lease = memory.lease();
        lease.hold(60_000, 10_000);
        lease.beginUpload();
        lease.arrived(bytes);
        return lease;
      });
      const answer = memory.lease();
      answer.hold(700_000, 10_000);
      const lost = () => uploads.map(({ isLost }) => isLost);
      memory.makeRoom(50_000);
      expect(lost()).toEqual([false, false, false, false]);
      vi.advanceTimersByTime(1000);
      memory.makeRoom(50_000);
      memory.makeRoom(60_000);
      expect(lost()).toEqual([false, true, false, false]);
      memory.makeRoom(61_000);
      expect(lost()).toEqual([false, true, false, true]);
      // Small ones make no room for large ones.
      memory.makeRoom(200_000);
      expect(lost()).toEqual([false, true, false, true]);
      uploads[0]!.endUpload();
      memory.makeRoom(64_000);
      memory.makeRoom(64_000);
      expect([...lost(), answer.isLost]).toEqual([false, true, false, true, false]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("forgets who has died without a word", () => {
    vi.useFakeTimers();
    try {
      const memory = new RequestMemory(1_000_000);
      memory.lease().hold(750_000, 1000);
      vi.advanceTimersByTime(999);
      expect(memory.held).toBe(750_000);
      vi.advanceTimersByTime(1);
      expect(memory.held).toBe(0);
      memory.lease().hold(750_000, 1000);
    } finally {
      vi.useRealTimers();
    }
  });
});

test("a request that waits holds what it keeps: its stop strings, its biases and what it is held to", () => {
  const request = { max_tokens: 1, n: 1, stream: true, echo: false };
  const bytesOf = (fields: object, heldBytes = 0) =>
    answerBytes({
      request: { ...request, ...fields },
      prompts: [{ ids: [1], text: "" }],
      candidates: 1,
      heldTo: { constraint: { matcher: vi.fn() }, bytes: heldBytes },
    });
  const least = bytesOf({});
  expect(bytesOf({ stop: "a".repeat(1000) })).toBe(least + 2000);
  expect(bytesOf({ stop: ["a".repeat(500), "b"] })).toBe(least + 1002);
  expect(bytesOf({ logit_bias: { "1": 1, "2": 2 } })).toBe(least + 200);
  expect(bytesOf({}, 4_000_000)).toBe(least + 4_000_000);
});

test("what is not read any more is not kept while a request waits", () => {
  const fields = { stop: "x", response_format: { type: "text" }, user: "u", metadata: { a: "b" } };
  const request = completionRequest.parse({ prompt: [1, 2], stop: "x" });
  const model = {
    manifest: { recipe: { vocabSize: 10 } },
    context: 100,
    tokenizer: { decode: vi.fn() },
  } as unknown as Model;
  const plan = allAtOnce(
    planCompletion(model, { ...request, ...fields } as typeof request, readConfig({} as Env)),
  );
  expect(plan.request.stop).toBe("x");
  for (const field of ["prompt", "response_format", "user", "metadata"])
    expect(plan.request).not.toHaveProperty(field);
});

describe("in a Worker", () => {
  let bundle: string;
  let running: RunningWorker | undefined;
  beforeAll(async () => {
    bundle = await buildWorker();
  }, 60_000);
  afterEach(async () => {
    await running?.stop();
    running = undefined;
  });
  afterAll(() => removeBundle(bundle));

  async function start(options: StartOptions): Promise<RunningWorker> {
    running = await startWorker(bundle, options);
    expect((await fetch(new URL("/ready", running.url))).status).toBe(200);
    return running;
  }

  test("a body that could never have its memory is refused at once", async () => {
    const worker = await start({ vars: { REQUEST_MEMORY: "1000000" } });
    const started = performance.now();
    const { status } = await worker.post("/tokenize", { prompt: "a".repeat(200_000) });
    expect(status).toBe(413);
    // Whoever waits for memory waits five seconds.
    expect(performance.now() - started).toBeLessThan(4000);
    expect((await worker.post("/tokenize", { prompt: "a".repeat(180_000) })).status).toBe(200);
  });

  /** Sends a head and a part of a body, and then nothing; the answer, if one comes. */
  function stalled(worker: RunningWorker, path: string, method: string, length: number, sent: number) {
    let socket!: Socket;
    const answer = new Promise<string>((resolve) => {
      socket = connect(Number(worker.url.port), "127.0.0.1", () => {
        socket.write(`${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${length}\r\n\r\n`);
        socket.write(`{"prompt": "${"a".repeat(Math.max(0, sent - 12))}`.slice(0, sent));
      });
      let text = "";
      socket.on("data", (data) => {
        text += String(data);
        if (text.includes("\r\n\r\n")) resolve(text);
      });
      socket.on("error", () => resolve(text));
      socket.on("close", () => resolve(text));
    });
    return { answer, close: () => socket.destroy() };
  }

  const QUESTION = { prompt: "Tom had a red ball.", max_tokens: 8, temperature: 0 };

  test("uploads that stall are given up, and keep nobody else waiting", async () => {
    const worker = await start({ vars: { BODY_STALL_MS: "1500" } });
    const uploads = Array.from({ length: 30 }, () =>
      stalled(worker, "/v1/completions", "POST", 1_000_000, 900_000),
    );
    for (let i = 0; i < 5; i++) expect((await worker.post("/v1/completions", QUESTION)).status).toBe(200);
    for (const { answer } of uploads) expect(await answer).toMatch(/^HTTP\/1\.1 (408|503) /);
    expect((await Promise.all(uploads.map(({ answer }) => answer))).some((one) => one.includes("408"))).toBe(
      true,
    );
    // All of the memory is there again.
    const long = await worker.post("/v1/completions", { prompt: "word ".repeat(180_000) });
    expect(long.status).toBe(400);
    for (const { close } of uploads) close();
  });

  test("a body that drips is given up, too", async () => {
    const worker = await start({ vars: { BODY_STALL_MS: "200" } });
    const { answer, close } = stalled(worker, "/tokenize", "POST", 1_000_000, 10);
    expect(await answer).toContain("HTTP/1.1 408 ");
    close();
    const socket = connect(Number(worker.url.port), "127.0.0.1");
    const text = new Promise<string>((resolve) => {
      socket.on("data", (data) => resolve(String(data)));
      socket.on("error", () => {});
    });
    socket.write("POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n");
    const drip = setInterval(() => socket.write("a"), 50);
    expect(await text).toContain("HTTP/1.1 408 ");
    clearInterval(drip);
    socket.destroy();
  });

  test("a body that never ends is no reason not to answer: on open routes, unknown ones and refused ones", async () => {
    const worker = await start({ vars: { BODY_STALL_MS: "300" } });
    for (const [method, path, status] of [
      ["POST", "/health", 405],
      ["PUT", "/nowhere", 404],
      ["POST", "/openapi.json", 405],
    ] as const) {
      const { answer, close } = stalled(worker, path, method, 1_000_000, 100);
      expect(await answer).toContain(`HTTP/1.1 ${status} `);
      close();
    }
    expect((await worker.post("/v1/completions", QUESTION)).status).toBe(200);
  });

  test("an answer that could take too much is refused beforehand, with what to do", async () => {
    const worker = await start({ vars: { REQUEST_MEMORY: "1000000" } });
    const most = { prompt: "Once", n: 16, max_tokens: 500 };
    for (const [more, param] of [
      [{ logprobs: 5 }, "logprobs"],
      [{}, "max_tokens"],
    ] as const) {
      const response = await worker.post("/v1/completions", { ...most, ...more });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: { param, message: expect.stringContaining("stream it, or split it") },
      });
    }
    const small = await worker.post("/v1/completions", { ...QUESTION, n: 4, logprobs: 5 });
    expect(small.status).toBe(200);
  });

  test("bodies and answers of a crowd take no more than the plan leaves them: 12 MB", async () => {
    const worker = await start({ inspect: true, vars: { BODY_STALL_MS: "20000" } });
    const alone = await (await worker.post("/v1/completions", QUESTION)).json();
    const heap = await worker.heap();
    const rest = await heap.aliveBytes();
    const uploads = Array.from({ length: 20 }, () =>
      stalled(worker, "/v1/completions", "POST", 1_000_000, 990_000),
    );
    const leave = new AbortController();
    const answers = Array.from({ length: 12 }, (_, i) =>
      fetch(new URL("/v1/completions", worker.url), {
        method: "POST",
        signal: leave.signal,
        body: JSON.stringify({
          prompt: Array.from({ length: 2 }, () =>
            Array.from({ length: 400 }, (_, k) => 1 + ((k * 7 + i) % 9000)),
          ),
          ...{ echo: true, logprobs: 5, n: 2, max_tokens: 100, ignore_eos: true },
        }),
      }).then(
        (response) => response.status,
        () => 0,
      ),
    );
    let most = 0;
    for (let i = 0; i < 6; i++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      most = Math.max(most, (await heap.aliveBytes()) - rest);
    }
    expect(await (await worker.post("/v1/completions", QUESTION)).json()).toMatchObject({
      choices: (alone as { choices: object[] }).choices,
    });
    console.log(`live memory of a crowd: ${(most / 1e6).toFixed(1)} MB above rest`);
    expect(most).toBeLessThan(REQUEST_BYTES);
    leave.abort();
    for (const { close } of uploads) close();
    await Promise.all(answers);
    heap.close();
  });

  test("a connection survives a body that is no UTF-8", async () => {
    const worker = await start({});
    // One connection: what is left of a body unread would be taken for the next request.
    const socket = connect(Number(worker.url.port), "127.0.0.1");
    const body = Buffer.concat([Buffer.from([0x7b, 0xff]), Buffer.alloc(200_000, 97)]);
    let text = "";
    socket.on("data", (data) => {
      text += String(data);
    });
    for (let i = 0; i < 3; i++) {
      socket.write(`POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n`);
      socket.write(body);
      await vi.waitFor(() => expect(text.split("HTTP/1.1 400 ")).toHaveLength(i + 2), { timeout: 10_000 });
    }
    socket.destroy();
  });
});
