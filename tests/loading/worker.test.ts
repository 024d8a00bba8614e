import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import { placeTensors } from "../../src/format/layout.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import { type Files, flipped, fourParts, PARTS } from "./directory.ts";

let bundle: string;
let whole: Files;
let worker: RunningWorker | undefined;

beforeAll(async () => {
  bundle = await buildWorker();
  whole = await fourParts();
});
afterEach(async () => {
  await worker?.stop();
  worker = undefined;
});
afterAll(() => removeBundle(bundle));

/** A Worker over `files`, which a test may change while it runs; a promise among them is a part that hangs. */
async function start(files: Map<string, Uint8Array<ArrayBuffer> | ReadableStream>, vars = {}) {
  const opened: string[] = [];
  worker = await startWorker(bundle, {
    vars: { LOAD_RETRY_MS: "0", ...vars },
    files: (path) => {
      opened.push(path);
      const body = files.get(path);
      return body === undefined ? new Response("no such file", { status: 404 }) : new Response(body);
    },
  });
  return Object.assign(worker, { opened });
}

const complete = (running: RunningWorker) =>
  running.post("/v1/completions", { prompt: "Once", max_tokens: 2, ignore_eos: true });

const health = async (running: RunningWorker) =>
  ((await (await fetch(new URL("/health", running.url))).json()) as { model: Record<string, unknown> }).model;

/** The first bytes of a part, and then nothing more. */
function hanging(bytes: Uint8Array): ReadableStream {
  return new ReadableStream({ start: (controller) => controller.enqueue(bytes.slice(0, 600_000)) });
}

describe("a model in several parts", () => {
  test("50 first requests at once read each part once, and the log says which is being read", async () => {
    const running = await start(whole);
    const responses = await Promise.all(Array.from({ length: 50 }, () => complete(running)));
    expect(responses.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(running.opened).toEqual(["model.json", "tokenizer.bin", ...PARTS]);
    await running.logged((line) => line.event === "model_loaded");
    const loading = running.log.filter((line) => line.event === "model_loading");
    expect(loading.map((line) => line.file)).toEqual(PARTS);
    const total = PARTS.reduce((sum, file) => sum + whole.get(file)!.length, 0);
    expect(loading[2]).toMatchObject({
      total_bytes: total,
      loaded_bytes: whole.get(PARTS[0]!)!.length + whole.get(PARTS[1]!)!.length,
    });
  });

  test.each([
    ["corrupted", (files: Files) => files.set(PARTS[2]!, flipped(files.get(PARTS[2]!)!, 12_345))],
    ["missing", (files: Files) => files.delete(PARTS[2]!)],
    ["truncated", (files: Files) => files.set(PARTS[2]!, files.get(PARTS[2]!)!.slice(0, 1_000_000))],
  ])("a %s part: 503 with its name in the log, then recovery without a restart", async (_, damage) => {
    const files: Files = new Map(whole);
    damage(files);
    const running = await start(files);
    const responses = await Promise.all([complete(running), complete(running)]);
    for (const response of responses) {
      expect(response.status).toBe(503);
      expect(await response.json()).not.toHaveProperty("choices");
    }
    const line = await running.logged(({ event }) => event === "model_load_failed");
    expect(line.error).toContain(PARTS[2]);
    files.set(PARTS[2]!, whole.get(PARTS[2]!)!);
    expect((await complete(running)).status).toBe(200);
    expect(await health(running)).toMatchObject({ status: "ready" });
  });

  test("a part that stops coming is named by /health and the log, and can be mended", async () => {
    const files = new Map<string, Uint8Array<ArrayBuffer> | ReadableStream>(whole);
    files.set(PARTS[1]!, hanging(whole.get(PARTS[1]!)!));
    const running = await start(files, { LOAD_STALL_MS: "500" });
    const waiting = complete(running);
    for (let state = await health(running); state.file !== PARTS[1]; state = await health(running))
      expect(["idle", "loading"]).toContain(state.status);
    const response = await waiting;
    expect(response.status).toBe(503);
    expect(await response.text()).toContain(PARTS[1]);
    const line = await running.logged(({ event }) => event === "model_load_failed");
    expect(line.error).toMatch(/^weights\.01\.bin: loading stalled/);
    files.set(PARTS[1]!, whole.get(PARTS[1]!)!);
    expect((await complete(running)).status).toBe(200);
  });
});

test("GPT-2 with 124 M parameters is refused before any weights are read, with what to do", async () => {
  const manifest = JSON.parse(new TextDecoder().decode(whole.get("model.json")));
  const config = {
    ...manifest.config,
    ...{ n_embd: 768, n_head: 12, n_layer: 12, n_inner: 3072, n_positions: 1024 },
  };
  const { tensors, bytes } = placeTensors(recipeOf(new ConfigFields({ ...config, model_type: "gpt2" })));
  const parts = [{ file: "weights.00.bin", bytes, sha256: "0".repeat(64) }];
  const json = new TextEncoder().encode(JSON.stringify({ ...manifest, config, tensors, parts }));
  const running = await start(new Map([["model.json", json]]));
  const response = await complete(running);
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({
    error: {
      message: expect.stringMatching(/needs 13\d\.\d MB .* but 107\.0 MB are allowed: use a smaller model/),
    },
  });
  expect(running.opened).toEqual(["model.json"]);
  expect(await health(running)).toMatchObject({
    status: "failed",
    message: expect.stringContaining("107.0 MB"),
  });
});
