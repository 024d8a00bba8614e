// What a model costs in workerd, in memory and until its first token; docs/deploy.md quotes it.
import { writeFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ISOLATE_WASM_BYTES, JAVASCRIPT_BYTES, parseManifest, planMemory } from "../../src/index.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../../tests/worker/harness.ts";
import { modelDirectory } from "../models.ts";
import { SHAPES } from "../shapes.ts";
import { emptyWorker } from "./empty.ts";
import { type Resident, workerdCpuMs, workerdMemory } from "./resident.ts";

const HELP = `Measures the Worker with a DistilGPT-2-shaped model in workerd, and writes bench/memory/results.json.

  npm run memory -- [--rounds 5]     in bench/, on Linux, after npm run build
  npm run memory -- --model DIR [--context 768] [--memory-limit 110000000]
                                     the memory and CPU time of any model, which are printed only`;

const RESULTS = fileURLToPath(new URL("results.json", import.meta.url));
const TOKENS = 1000;
const MB = 1e6;

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

async function json<T>(worker: RunningWorker, path: string): Promise<T> {
  const response = await fetch(new URL(path, worker.url));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

async function within<T>(
  bundle: string,
  model: string,
  use: (worker: RunningWorker) => Promise<T>,
  vars: Record<string, string> = {},
): Promise<T> {
  const worker = await startWorker(bundle, { model, vars });
  try {
    return await use(worker);
  } finally {
    await worker.stop();
  }
}

/** Milliseconds from a streamed request to the first event with a token, in a Worker that has done nothing yet. */
async function firstToken(worker: RunningWorker): Promise<number> {
  const start = performance.now();
  const response = await worker.post("/v1/completions", {
    prompt: "Once upon a time",
    max_tokens: 1,
    stream: true,
    ignore_eos: true,
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the stream ended without a token: ${text}`);
    text += value;
    if (text.includes("data: {")) return performance.now() - start;
  }
}

/** Milliseconds of a load, as the Worker logs it. */
async function loadMs(worker: RunningWorker): Promise<number> {
  return (await worker.logged((line) => line.event === "model_loaded")).duration_ms as number;
}

async function generate(worker: RunningWorker, tokens: number): Promise<void> {
  const response = await worker.post("/v1/completions", {
    prompt: "Once upon a time",
    max_tokens: tokens,
    ignore_eos: true,
  });
  const { usage } = (await response.json()) as { usage?: { completion_tokens: number } };
  if (usage?.completion_tokens !== tokens) throw new Error(`the Worker answered ${response.status}`);
}

/** Reads prompts that share no prefix. */
async function readPrompts(worker: RunningWorker, prompts: number, tokens: number): Promise<void> {
  for (let first = 0; first < prompts; first++) {
    const prompt = Array.from({ length: tokens }, (_, i) => 1000 + first * tokens + i);
    const response = await worker.post("/v1/completions", { prompt, max_tokens: 1, ignore_eos: true });
    if (!response.ok) throw new Error(`the Worker answered ${response.status}`);
  }
}

/**
 * CPU time of a load, of a token in the middle of a text of `tokens` tokens, and of a token of a prompt of 128: what
 * Cloudflare bills.
 */
async function measureCpu(bundle: string, model: string, tokens = 400, vars?: Record<string, string>) {
  const measure = async (worker: RunningWorker) => {
    await json(worker, "/health");
    const start = workerdCpuMs();
    await json(worker, "/ready");
    const loaded = workerdCpuMs();
    // The first tokens pay for the compilers.
    await generate(worker, Math.min(100, tokens));
    const warm = workerdCpuMs();
    await generate(worker, tokens);
    const generated = workerdCpuMs();
    await readPrompts(worker, 10, 128);
    return {
      load: loaded - start,
      token: (generated - warm) / tokens,
      promptToken: (workerdCpuMs() - generated) / (10 * 128),
    };
  };
  return within(bundle, model, measure, vars);
}

/** A process with an empty Worker, then one with the model: what the second has above the first. */
async function measureMemory(
  bundle: string,
  empty: string,
  model: string,
  tokens: number,
  vars?: Record<string, string>,
) {
  const baseline = await within(empty, model, async (worker) => {
    await (await fetch(new URL("/asset", worker.url))).text();
    return workerdMemory();
  });
  const above = () => {
    const { total, anonymous, peak } = workerdMemory();
    return {
      total: total - baseline.total,
      anonymous: anonymous - baseline.anonymous,
      peak: peak - baseline.total,
    };
  };
  const measure = async (worker: RunningWorker) => {
    await json(worker, "/health");
    const started = above();
    const { model: state } = await json<{ model: State }>(worker, "/ready");
    const loaded = above();
    await generate(worker, tokens);
    const generated = above();
    // Eight sequences at once use every KV block and all of the scratch.
    await Promise.all(Array.from({ length: 8 }, (_, i) => generate(worker, Math.floor(tokens / 7) + i)));
    return { baseline, started, loaded, generated, full: above(), state };
  };
  return within(bundle, model, measure, vars);
}

interface State {
  memory_bytes: number;
  context: number;
}

async function measureTimes(bundle: string, empty: string, model: string, rounds: number) {
  const times = {
    readChunks: [] as number[],
    readBuffer: [] as number[],
    load: [] as number[],
    first: [] as number[],
  };
  // By turns, so that whatever else the machine does touches all alike; each in a process of its own.
  for (let round = 0; round < rounds; round++) {
    for (const [kind, path] of [
      ["readChunks", "/read/chunks"],
      ["readBuffer", "/read/buffer"],
    ] as const)
      times[kind].push(
        await within(empty, model, async (worker) => (await json<{ ms: number }>(worker, path)).ms),
      );
    await within(bundle, model, async (worker) => {
      times.first.push(await firstToken(worker));
      times.load.push(await loadMs(worker));
    });
  }
  return Object.fromEntries(Object.entries(times).map(([kind, values]) => [kind, median(values)]));
}

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean" },
    rounds: { type: "string", default: "5" },
    model: { type: "string" },
    context: { type: "string" },
    "memory-limit": { type: "string" },
  },
});
if (flags.help) {
  console.error(HELP);
  process.exit(0);
}
const rounds = Number(flags.rounds);

function printRow(name: string, { total, anonymous, peak }: Resident): void {
  console.error(
    `${name.padEnd(26)} ${(total / MB).toFixed(1).padStart(6)} MB, peak ${(peak / MB).toFixed(1)}, of it heaps and wasm ${(anonymous / MB).toFixed(1)}`,
  );
}

type Memory = Awaited<ReturnType<typeof measureMemory>>;

function printMemory(memory: Memory, tokens: number): void {
  printRow("an empty Worker", memory.baseline);
  printRow("above it: started", memory.started);
  printRow("loaded", memory.loaded);
  printRow(`after ${tokens} tokens`, memory.generated);
  printRow("eight sequences", memory.full);
}

/** The median of as many processes by what they have after `tokens` tokens, and the range of that. */
async function medianMemory(bundle: string, empty: string, model: string, tokens: number, vars = {}) {
  const runs: Memory[] = [];
  for (let round = 0; round < rounds; round++)
    runs.push(await measureMemory(bundle, empty, model, tokens, vars));
  runs.sort((a, b) => a.generated.total - b.generated.total);
  return {
    memory: runs[runs.length >> 1]!,
    range: [runs[0]!.generated.total, runs.at(-1)!.generated.total] as const,
  };
}

/** The memory of a model that somebody names. */
async function measureNamed(bundle: string, empty: string, model: string): Promise<void> {
  const { context, "memory-limit": memoryLimit } = flags;
  const vars = {
    ...(context && { CONTEXT: context }),
    ...(memoryLimit && { MEMORY_LIMIT: memoryLimit }),
  };
  const plan = planMemory(parseManifest(JSON.parse(await readFile(join(model, "model.json"), "utf8"))), {
    context: Number(context) || undefined,
    memoryLimit: Number(memoryLimit) || ISOLATE_WASM_BYTES,
  });
  const tokens = Math.min(TOKENS, plan.context - 24);
  const cpu = await measureCpu(bundle, model, Math.min(400, tokens), vars);
  const { memory, range } = await medianMemory(bundle, empty, model, tokens, vars);
  printMemory(memory, tokens);
  const megabytes = range.map((bytes) => (bytes / MB).toFixed(1));
  console.error(
    `the median of ${rounds} processes, from ${megabytes.join(" to ")} MB; wasm memory ${memory.state.memory_bytes}, context ${memory.state.context}\n` +
      `CPU milliseconds of a load, of a token and of a prompt's token: ${JSON.stringify(cpu)}`,
  );
}

async function measureShape(bundle: string, empty: string): Promise<void> {
  const model = await modelDirectory(SHAPES.distilgpt2!);
  const manifest = parseManifest(JSON.parse(await readFile(join(model, "model.json"), "utf8")));
  const plan = planMemory(manifest, { memoryLimit: ISOLATE_WASM_BYTES });
  const { memory, range } = await medianMemory(bundle, empty, model, TOKENS);
  const cpu = {
    distilgpt2: await measureCpu(bundle, model),
    fable: await measureCpu(bundle, await modelDirectory(SHAPES.fable!)),
  };
  const times = await measureTimes(bundle, empty, model, rounds);
  const predicted = { wasm: plan.bytes, total: plan.bytes + JAVASCRIPT_BYTES };
  printMemory(memory, TOKENS);
  console.error(
    `the median of ${rounds} processes; after ${TOKENS} tokens from ${(range[0] / MB).toFixed(1)} to ${(range[1] / MB).toFixed(1)} MB\n` +
      `wasm memory ${memory.state.memory_bytes}, predicted ${predicted.wasm}; total predicted ${(predicted.total / MB).toFixed(1)} MB; context ${memory.state.context}\n` +
      `milliseconds (median of ${rounds}): ${JSON.stringify(times)}\n` +
      `CPU milliseconds of a load, of a token and of a prompt's token: ${JSON.stringify(cpu)}`,
  );
  writeFileSync(RESULTS, `${JSON.stringify({ ...memory, range, predicted, cpu, times }, null, 1)}\n`);
}

const bundle = await buildWorker();
const empty = await emptyWorker();
try {
  if (flags.model !== undefined) await measureNamed(bundle, empty, flags.model);
  else await measureShape(bundle, empty);
} finally {
  await removeBundle(bundle);
  await rm(empty, { recursive: true });
}
