// Where the microseconds of a token go: V8's sampling profiler over an engine that kept its functions' names.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { directorySource } from "../src/node/index.ts";
import { readerBinary } from "./bandwidth.ts";
import { CACHE, modelDirectory } from "./models.ts";
import { bytesPerStep, SHAPES } from "./shapes.ts";
import { Subject, type Task } from "./subject.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGE = join(ROOT, "docs/performance.md");
const [START, END] = ["<!-- profile: written by npm run profile -->", "<!-- end of profile -->"];
const SAMPLE_US = 150;
const ROUNDS = 20;

const TASKS: [string, Task, number][] = [
  ["decode at 64", { kind: "decode", context: 64, tokens: 16 }, 1],
  ["decode at 1000", { kind: "decode", context: 1000, tokens: 16 }, 1],
  ["8 together", { kind: "batch", sequences: 8, tokens: 16 }, 8],
  ["prefill of 128", { kind: "prefill", tokens: 128 }, 128],
];

/** What each function of the engine does; the first that matches takes the sample. */
const OPERATIONS: [RegExp, string][] = [
  [/dot\/|strassen\//, "matrix kernels"],
  [/matmul\/(?!addRow)/, "their outputs: scale, bias, GELU, residual"],
  [/scoreBlock/, "attention: scores"],
  [/addValues/, "attention: weighted values"],
  [/attend|softmax|storeOutputs/, "attention: softmax, and the rest"],
  [/storeKeyValue/, "quantizing keys and values"],
  [/quantize/, "quantizing activations"],
  [/layerNorm|normalize/, "LayerNorm"],
  [/addRow|embed/, "embedding"],
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

const shape = SHAPES.distilgpt2!;
const readBytes = bytesPerStep(shape);
const subject = await Subject.create({
  engine: namedEngine(),
  readers: await WebAssembly.compile(readerBinary(readBytes)),
  source: directorySource(await modelDirectory(shape)),
  readBytes,
  pause: () => new Promise((resolve) => setImmediate(resolve)),
});
const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_US });
const columns: Map<string, number>[] = [];
const heads: string[] = [];
for (const [label, task, tokens] of TASKS) {
  console.error(label);
  // Compiled, the cache filled, before it is looked at.
  await subject.run(task);
  const rounds: [Map<string, number>, number][] = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push(await shares(session, () => subject.run(task)));
  const column = new Map<string, number>();
  const mean = rounds.reduce((sum, [, ms]) => sum + ms, 0) / rounds.length;
  for (const [, operation] of OPERATIONS) {
    const share = rounds.reduce((sum, [counts]) => sum + (counts.get(operation) ?? 0), 0) / rounds.length;
    column.set(operation, (share * mean * 1e3) / tokens);
  }
  columns.push(column);
  heads.push(`${label}: ${((mean * 1e3) / tokens).toFixed(0)}`);
}
const bandwidth = await subject.run({ kind: "bandwidth" });
session.disconnect();

const rows = OPERATIONS.map(([, operation]) => {
  const cells = columns.map((column) => column.get(operation)!.toFixed(0));
  return `| ${operation} | ${cells.join(" | ")} |`;
}).filter((row) => /[1-9]/.test(row.slice(row.indexOf(" | "))));
const limit = (readBytes / bandwidth) * 1e6;
const block = [
  START,
  `| µs per token | ${heads.join(" | ")} |`,
  `| --- |${" ---: |".repeat(heads.length)}`,
  ...rows,
  "",
  `Reading the ${(readBytes / 1e6).toFixed(1)} MB of weights once took ${limit.toFixed(0)} µs in the same run (${(bandwidth / 1e9).toFixed(1)} GB/s).`,
  END,
].join("\n");
const page = readFileSync(PAGE, "utf8");
const [before, after] = [page.indexOf(START), page.indexOf(END)];
if (before < 0 || after < 0) throw new Error(`${PAGE} has lost its markers ${START} … ${END}`);
writeFileSync(PAGE, page.slice(0, before) + block + page.slice(after + END.length));
console.log(block);
