import { rm } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { modelWith, TEMPLATE } from "../worker/chat-model.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import { HOSTILE_VARS, hostileRequest, survives } from "../worker/hostile.ts";

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
const AT_ONCE = 4;
const ROUNDS = 10;
/** Requests between two looks at the heap: some looks come soon after a collection, when little but the living is left. */
const LOOK_EVERY = 10 * AT_ONCE;
/** How much more may be alive in the second half of a run than in the first: 1 to 3 MB measured, compiled code and caches. */
const SLACK_BYTES = 6e6;

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

it(`${REQUESTS} hostile requests: no 5xx, no hang, memory flat`, async () => {
  console.log(`FUZZ_SEED=${SEED}`);
  const batch = fc.array(hostileRequest, { minLength: AT_ONCE, maxLength: AT_ONCE });
  const heap = await worker.heap();
  const alive: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    let least = Number.POSITIVE_INFINITY;
    let sent = 0;
    await fc.assert(
      fc.asyncProperty(batch, async (requests) => {
        if ((sent += AT_ONCE) % LOOK_EVERY === 0) least = Math.min(least, await heap.usedBytes());
        await Promise.all(requests.map((request) => survives(worker, request)));
      }),
      {
        seed: SEED + round,
        numRuns: Math.ceil(REQUESTS / AT_ONCE / ROUNDS),
        interruptAfterTimeLimit: 540_000 / ROUNDS,
        markInterruptAsFailure: true,
      },
    );
    alive.push(least);
  }
  heap.close();
  console.log(
    `least heap in use in each tenth, MB: ${alive.map((bytes) => (bytes / 1e6).toFixed(1)).join(" ")}`,
  );
  expect(Math.min(...alive.slice(ROUNDS / 2)) - Math.min(...alive.slice(0, ROUNDS / 2))).toBeLessThan(
    SLACK_BYTES,
  );
  expect(worker.log.filter((line) => Number(line.status) >= 500)).toEqual([]);
});
