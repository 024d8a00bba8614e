// Where the microseconds of a token go: V8's sampling profiler over an engine that kept its functions' names.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { machine, pinToOneProcessor } from "./measure.ts";
import { CACHE } from "./models.ts";
import { nodeSubject } from "./node.ts";
import type { ProfileColumn, ProfileResults } from "./profile-results.ts";
import { writeReport } from "./report/index.ts";
import { saveResult } from "./results.ts";
import { bytesPerStep, SHAPES } from "./shapes.ts";
import { mean } from "./statistics.ts";
import type { Task } from "./subject.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SAMPLE_US = 150;
const ROUNDS = 12;

const TASKS: [string, Task, number][] = [
  ["decode at 64", { kind: "decode", context: 64, tokens: 16 }, 1],
  ["decode at 1000", { kind: "decode", context: 1000, tokens: 16 }, 1],
  ["8 together", { kind: "batch", sequences: 8, tokens: 16 }, 8],
  ["prefill of 128", { kind: "prefill", tokens: 128 }, 128],
];

/** What each function of the engine does; the first that matches takes the sample. */
const OPERATIONS: [RegExp, string][] = [
  [/kernels\/(dot|strassen|expand|row-sums)/, "matrix kernels"],
  [/matmul\/(?!addRow)/, "their outputs: scale, bias, activation, residual"],
  [/scoreBlock/, "attention: scores"],
  [/addValues/, "attention: weighted values"],
  [/attend|softmax|storeOutputs/, "attention: softmax, and the rest"],
  [/storeKeyValue/, "quantizing keys and values"],
  [/quantize/, "quantizing activations"],
  [/norm/i, "norms"],
  [/addRow|embed/, "embedding"],
  [/rope|rotary/i, "rotary embedding"],
  [/sampler/, "sampling"],
  [/./, "everything else in the engine"],
];

function namedEngine(): WebAssembly.Module {
  mkdirSync(CACHE, { recursive: true });
  const out = join(CACHE, "named.wasm");
  const asc = ["node_modules/assemblyscript/bin/asc.js", "assembly/index.ts", "--config", "asconfig.json"];
  execFileSync(process.execPath, [...asc, "--target", "release", "--debug", "--outFile", out], { cwd: ROOT });
  return new WebAssembly.Module(readFileSync(out));
}

/** Each operation's share of the samples that fell into the engine. */
async function shares(session: Session, work: () => Promise<number>): Promise<[Map<string, number>, number]> {
  await session.post("Profiler.start");
  const milliseconds = await work();
  const { profile } = await session.post("Profiler.stop");
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame.functionName]));
  const counts = new Map<string, number>();
  let total = 0;
  for (const id of profile.samples ?? []) {
    const name = names.get(id) ?? "";
    if (!name.startsWith("assembly/")) continue;
    const [, operation] = OPERATIONS.find(([pattern]) => pattern.test(name))!;
    counts.set(operation, (counts.get(operation) ?? 0) + 1);
    total++;
  }
  for (const [operation, count] of counts) counts.set(operation, count / total);
  return [counts, milliseconds];
}

/** Microseconds of a token of each task, by operation. */
async function profile(name: string, engine: WebAssembly.Module, session: Session) {
  const shape = SHAPES[name]!;
  const subject = await nodeSubject(shape, engine);
  const columns: ProfileColumn[] = [];
  for (const [what, task, tokens] of TASKS) {
    console.error(`${name}: ${what}`);
    // Compiled, the cache filled, before it is looked at.
    await subject.run(task);
    const rounds: [Map<string, number>, number][] = [];
    for (let round = 0; round < ROUNDS; round++) rounds.push(await shares(session, () => subject.run(task)));
    const total = (mean(rounds.map(([, ms]) => ms)) * 1e3) / tokens;
    const operations = OPERATIONS.map(([, operation]): [string, number] => [
      operation,
      mean(rounds.map(([counts]) => counts.get(operation) ?? 0)) * total,
    ]);
    columns.push({ what, total, operations: Object.fromEntries(operations) });
  }
  const bandwidth = await subject.run({ kind: "bandwidth" });
  return { columns, readBytes: bytesPerStep(shape), bandwidth };
}

pinToOneProcessor();
const engine = namedEngine();
const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_US });
const shapes: ProfileResults["shapes"] = {};
for (const name of ["distilgpt2", "smollm2-4bit"]) shapes[name] = await profile(name, engine, session);
session.disconnect();
saveResult("profile", { machine: machine([]), shapes });
writeReport();
