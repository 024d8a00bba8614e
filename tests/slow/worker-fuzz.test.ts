import { rm } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { modelWith, TEMPLATE } from "../worker/chat-model.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import { HOSTILE_VARS, hostileRequest, survives } from "../worker/hostile.ts";

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
const AT_ONCE = 4;
const ROUNDS = 10;
/** How much more may be alive at the end than after the first tenth. */
const SLACK_BYTES = 1e6;

let bundle: string;
let directory: string;
let worker: RunningWorker;

beforeAll(async () => {
  bundle = await buildWorker();
  directory = await modelWith({ chat_template: TEMPLATE });
  worker = await startWorker(bundle, { model: directory, vars: HOSTILE_VARS, inspect: true });
});
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
  await rm(directory, { recursive: true });
});

test(`${REQUESTS} hostile requests: no 5xx, no hang, memory flat`, async () => {
  console.log(`FUZZ_SEED=${SEED}`);
  const batch = fc.array(hostileRequest, { minLength: AT_ONCE, maxLength: AT_ONCE });
  const heap = await worker.heap();
  const alive: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await fc.assert(
      fc.asyncProperty(batch, async (requests) => {
        await Promise.all(requests.map((request) => survives(worker, request)));
      }),
      {
        seed: SEED + round,
        numRuns: Math.ceil(REQUESTS / AT_ONCE / ROUNDS),
        interruptAfterTimeLimit: 540_000 / ROUNDS,
        markInterruptAsFailure: true,
      },
    );
    alive.push(await heap.aliveBytes());
  }
  heap.close();
  console.log(`heap alive after each tenth, MB: ${alive.map((bytes) => (bytes / 1e6).toFixed(2)).join(" ")}`);
  expect(alive.at(-1)! - alive[0]!).toBeLessThan(SLACK_BYTES);
  expect(worker.log.filter((line) => Number(line.status) >= 500)).toEqual([]);
});
