import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bundledModel } from "../../src/node/index.ts";
import { buildWorker, type RunningWorker, removeBundle, type StartOptions, startWorker } from "./harness.ts";

const PART = "weights.00.bin";

let bundle: string;
let manifest: string;
let weights: Uint8Array;
let tokenizer: Uint8Array;
let running: RunningWorker | undefined;

beforeAll(async () => {
  bundle = await buildWorker();
  manifest = await readFile(join(bundledModel(), "model.json"), "utf8");
  tokenizer = new Uint8Array(await readFile(join(bundledModel(), "tokenizer.bin")));
  weights = new Uint8Array(await readFile(join(bundledModel(), PART)));
}, 60_000);
afterEach(async () => {
  await running?.stop();
  running = undefined;
});
afterAll(() => removeBundle(bundle));

type Files = Record<string, () => Response | Promise<Response>>;

const good = (): Files => ({
  "model.json": () => new Response(manifest),
  "tokenizer.bin": () => new Response(tokenizer as Uint8Array<ArrayBuffer>),
  [PART]: () => new Response(weights as Uint8Array<ArrayBuffer>),
});

/** A Worker whose model directory is `files`, which a test may change while it runs. */
async function start(
  files: Files,
  options: StartOptions = {},
): Promise<RunningWorker & { opened: string[] }> {
  const opened: string[] = [];
  running = await startWorker(bundle, {
    ...options,
    // So that a test need not wait until a damaged model is tried again.
    vars: { LOAD_RETRY_MS: "0", ...options.vars },
    files: (path) => {
      opened.push(path);
      return files[path]?.() ?? new Response("no such file", { status: 404 });
    },
  });
  return Object.assign(running, { opened });
}

const complete = (worker: RunningWorker) =>
  worker.post("/v1/completions", { prompt: "Once", max_tokens: 2, ignore_eos: true });

const health = async (worker: RunningWorker) => (await fetch(new URL("/health", worker.url))).json();

function flip(bytes: Uint8Array, at: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  copy[at]! ^= 1;
  return copy;
}

const edited = (edit: (manifest: Record<string, unknown>) => void) => {
  const value = JSON.parse(manifest) as Record<string, unknown>;
  edit(value);
  return JSON.stringify(value);
};

describe("a model directory that is damaged", () => {
  const cases: [name: string, files: () => Files, says: string][] = [
    [
      "no manifest",
      () => ({ ...good(), "model.json": () => new Response("", { status: 404 }) }),
      "model.json",
    ],
    [
      "a manifest that is not JSON",
      () => ({ ...good(), "model.json": () => new Response("{") }),
      "model.json",
    ],
    [
      "a manifest of another version",
      () => ({ ...good(), "model.json": () => new Response(edited((value) => (value.version = 99))) }),
      "version 99",
    ],
    ["a missing part", () => ({ ...good(), [PART]: () => new Response("", { status: 404 }) }), PART],
    [
      "a part behind a failing server",
      () => ({ ...good(), [PART]: () => new Response("", { status: 500 }) }),
      PART,
    ],
    [
      "a truncated part",
      () => ({ ...good(), [PART]: () => new Response(weights.slice(0, 5_000_000)) }),
      PART,
    ],
    ["a flipped byte", () => ({ ...good(), [PART]: () => new Response(flip(weights, 7_654_321)) }), PART],
    [
      "a last byte that is flipped",
      () => ({ ...good(), [PART]: () => new Response(flip(weights, weights.length - 1)) }),
      PART,
    ],
    [
      "a part that is too long",
      () => ({ ...good(), [PART]: () => new Response(Buffer.concat([weights, weights])) }),
      PART,
    ],
  ];
  test.each(cases)("%s: 503, no text, and recovery without a restart", async (_, damaged, says) => {
    const files = damaged();
    const worker = await start(files);
    for (const stream of [false, true]) {
      const response = await worker.post("/v1/completions", { prompt: "Once", max_tokens: 2, stream });
      expect(response.status).toBe(503);
      expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
      expect(await response.json()).toMatchObject({
        error: { type: "server_error", code: "model_unavailable", message: expect.stringContaining(says) },
      });
    }
    expect(await health(worker)).toMatchObject({
      model: { status: "failed", message: expect.stringContaining(says) },
    });
    expect((await fetch(new URL("/ready", worker.url))).status).toBe(503);
    const line = await worker.logged((entry) => entry.event === "model_load_failed");
    expect(line.error).toContain(says);
    Object.assign(files, good());
    expect((await complete(worker)).status).toBe(200);
    expect(await health(worker)).toMatchObject({ model: { status: "ready" } });
  });

  test("a model that needs more than the limit says how much", async () => {
    const worker = await start(good(), { vars: { MEMORY_LIMIT: "12000000" } });
    const response = await complete(worker);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(/\d/) } });
    expect(worker.opened).toEqual(["model.json"]);
  });
});

/** A part whose bytes come only when they are let. */
function gated() {
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const part = () =>
    new Response(
      new ReadableStream({
        async start(controller) {
          controller.enqueue(weights.slice(0, 1_000_000));
          await gate;
          controller.enqueue(weights.slice(1_000_000));
          controller.close();
        },
      }),
    );
  return { part, open };
}

describe("loading", () => {
  test("50 first requests at once cause one load, which /health shows", async () => {
    const { part, open } = gated();
    const worker = await start({ ...good(), [PART]: part });
    const requests = Array.from({ length: 50 }, () => complete(worker));
    let state = (await health(worker)) as { model: { status: string; loaded_bytes?: number } };
    while (!state.model.loaded_bytes) state = (await health(worker)) as typeof state;
    expect(state.model).toMatchObject({ status: "loading", total_bytes: weights.length });
    open();
    for (const response of await Promise.all(requests)) expect(response.status).toBe(200);
    expect(worker.opened).toEqual(["model.json", "tokenizer.bin", PART]);
    expect(worker.log.filter((line) => line.event === "model_loaded")).toHaveLength(1);
  });

  test("50 first requests share a failure too, and the next one tries again", async () => {
    const files: Files = { ...good(), [PART]: () => new Response(flip(weights, 0)) };
    const worker = await start(files);
    const responses = await Promise.all(Array.from({ length: 50 }, () => complete(worker)));
    expect(responses.map((response) => response.status)).toEqual(Array(50).fill(503));
    Object.assign(files, good());
    expect((await complete(worker)).status).toBe(200);
  });

  test("a part that stops coming is given up, and the next request tries again", async () => {
    const { part } = gated();
    const files: Files = { ...good(), [PART]: part };
    const worker = await start(files, { vars: { LOAD_STALL_MS: "300" } });
    const responses = await Promise.all([complete(worker), complete(worker)]);
    for (const response of responses) {
      expect(response.status).toBe(503);
      expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining("stalled") } });
    }
    Object.assign(files, good());
    expect((await complete(worker)).status).toBe(200);
  });

  test("a client that leaves during the load does not stop it for the others", async () => {
    const { part, open } = gated();
    const worker = await start({ ...good(), [PART]: part });
    const leave = new AbortController();
    const first = fetch(new URL("/ready", worker.url), { signal: leave.signal });
    while (!worker.opened.includes(PART)) await health(worker);
    const second = complete(worker);
    leave.abort();
    await expect(first).rejects.toThrow();
    await health(worker);
    open();
    expect((await second).status).toBe(200);
    expect(worker.opened).toEqual(["model.json", "tokenizer.bin", PART]);
  });
});
