import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import { HOSTILE_VARS, hostileRequest, residentBytes, survives } from "../worker/hostile.ts";

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
const AT_ONCE = 4;
const ROUNDS = 10;
/** What the heap may keep after the first tenth: it grows and shrinks by about a third of this on its own. */
const SLACK_BYTES = 48 * 1024 * 1024;

let bundle: string;
let worker: RunningWorker;

beforeAll(async () => {
  bundle = await buildWorker();
  worker = await startWorker(bundle, { vars: HOSTILE_VARS });
});
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
});

it(`${REQUESTS} hostile requests: no 5xx, no hang, memory flat`, async () => {
  console.log(`FUZZ_SEED=${SEED}`);
  const batch = fc.array(hostileRequest, { minLength: AT_ONCE, maxLength: AT_ONCE });
  const resident: (number | undefined)[] = [];
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
    resident.push(residentBytes());
  }
  const megabytes = resident.map((bytes) => (bytes === undefined ? "?" : Math.round(bytes / 1e6)));
  console.log(`resident MB after each tenth: ${megabytes.join(" ")}`);
  if (resident[0] !== undefined) expect(resident.at(-1)! - resident[0]).toBeLessThan(SLACK_BYTES);
  expect(worker.log.filter((line) => Number(line.status) >= 500)).toEqual([]);
});
