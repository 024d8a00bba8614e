import { copyFile, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningWorker, removeBundle, startWorker } from "./harness.ts";

let bundle: string;
let worker: RunningWorker;

beforeAll(async () => {
  bundle = await mkdtemp(join(tmpdir(), "edgeformer-inside-"));
  await build({
    entryPoints: [new URL("inside.ts", import.meta.url).pathname],
    outfile: join(bundle, "index.js"),
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    plugins: [
      {
        name: "wasm",
        setup: ({ onResolve }) =>
          onResolve({ filter: /\.wasm$/ }, () => ({ path: "./engine.wasm", external: true })),
      },
    ],
  });
  await copyFile(new URL("../../build/engine.wasm", import.meta.url), join(bundle, "engine.wasm"));
  worker = await startWorker(bundle);
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
});

interface Question {
  body: Record<string, unknown>;
  leave?: number;
  idle?: boolean;
  vars?: Record<string, string>;
}

async function ask(question: Question): Promise<{ status: number; record: string[] }> {
  const body = { prompt: "Once upon a time", seed: 1, ignore_eos: true, stream: true, ...question.body };
  const response = await worker.post("/", { ...question, body });
  expect(response.status).toBe(200);
  return (await response.json()) as { status: number; record: string[] };
}

/** Tokens computed after an entry of the record. */
function computedAfter(record: string[], entry: string): number {
  const at = record.indexOf(entry);
  expect(at).not.toBe(-1);
  return record.slice(at + 1).filter((line) => line.startsWith("computed")).length;
}

describe("the order of events", () => {
  test("each event arrives before the next token is computed", async () => {
    const { record } = await ask({ body: { max_tokens: 20 } });
    const expected = Array.from({ length: 20 }, (_, i) => [`computed ${i + 1}`, `received ${i + 1}`]).flat();
    expect(record).toEqual([...expected, "data: [DONE]"]);
  });

  test.each([1, 2, 7])(
    "a client that leaves after %i events stops the work within two tokens",
    async (leave) => {
      const { record } = await ask({ body: { max_tokens: 200 }, leave });
      expect(computedAfter(record, "left")).toBeLessThanOrEqual(2);
      const line = await worker.logged(
        (entry) => entry.outcome === "client_gone" && entry.seen === undefined,
      );
      line.seen = true;
      expect(line.completion_tokens).toBeLessThanOrEqual(leave + 2);
    },
  );

  test("leaving stops every choice", async () => {
    const { record } = await ask({ body: { max_tokens: 100, n: 4 }, leave: 6 });
    expect(computedAfter(record, "left")).toBeLessThanOrEqual(8);
  });

  test("a client that does not read is not computed for", async () => {
    const { record } = await ask({
      body: { max_tokens: 100 },
      idle: true,
      vars: { PING_MS: "10", CLIENT_STALL_MS: "50" },
    });
    expect(record).toEqual(["computed 1"]);
  });

  test("a long answer that nobody reads is given up, though it is whole", async () => {
    const prompt = Array.from({ length: 500 }, (_, i) => i + 3000);
    const { status, record } = await ask({
      body: { prompt, stream: false, max_tokens: 0, echo: true, logprobs: 5 },
      idle: true,
      vars: { PING_MS: "400", CLIENT_STALL_MS: "400" },
    });
    expect({ status, record }).toEqual({ status: 200, record: [] });
    await worker.logged((line) => line.outcome === "client_gone" && line.stream === false);
  });

  test("comments are sent while a long prompt is read", async () => {
    const prompt = Array.from({ length: 500 }, (_, i) => i + 1000);
    const { status, record } = await ask({ body: { prompt, max_tokens: 3 }, vars: { PING_MS: "1" } });
    expect(status).toBe(200);
    expect(record[0]).toBe(": ping");
    expect(record.filter((line) => line !== ": ping")).toEqual([
      ...["computed 1", "received 1", "computed 2", "received 2", "computed 3", "received 3"],
      "data: [DONE]",
    ]);
  });
});
