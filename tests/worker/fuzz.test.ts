import { rm } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { modelWith, TEMPLATE } from "./chat-model.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "./harness.ts";
import { HOSTILE_VARS, hostileRequest, REGRESSIONS, survives } from "./hostile.ts";

let bundle: string;
let directory: string;
let worker: RunningWorker;

beforeAll(async () => {
  bundle = await buildWorker();
  directory = await modelWith({ chat_template: TEMPLATE });
  worker = await startWorker(bundle, { model: directory, vars: HOSTILE_VARS });
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
  await rm(directory, { recursive: true });
});

test("what once went wrong goes right", async () => {
  for (const request of REGRESSIONS) await survives(worker, request);
});

// tests/slow/worker-fuzz.test.ts sends 20,000.
test("400 hostile requests get an answer that is no 5xx", async () => {
  const batch = fc.array(hostileRequest, { minLength: 4, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(batch, async (requests) => {
      await Promise.all(requests.map((request) => survives(worker, request)));
    }),
    { numRuns: 100 },
  );
  expect((await fetch(new URL("/health", worker.url))).status).toBe(200);
});
