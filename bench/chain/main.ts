// What a chain costs in workerd: memory of each stage, tokens a second against one process, and a hop.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Miniflare } from "miniflare";
import { WebSocket } from "ws";
import { chainMemory, planChain } from "../../src/chain/plan.ts";
import { cutModel, stageModel } from "../../src/convert/split/cut-model.ts";
import { given } from "../../src/given.ts";
import type { Manifest } from "../../src/index.ts";
import { loadManifest } from "../../src/index.ts";
import { directorySource, openModel } from "../../src/node/index.ts";
import { bundleWorkers } from "../../tests/chain/bundle-workers.ts";
import { median } from "../statistics.ts";
import { modelDirectory } from "./shape-model.ts";
import type { Exercise } from "./workers/driver.ts";

const HELP = `Measures a chain of Durable Objects in workerd, and prints what it finds.

  npx tsx chain/main.ts MODEL [--isolates N] [--sequences 8] [--context 512] [--tokens 48]     in bench/, after npm run build

MODEL is a directory, or one of the shapes gpt2-medium, smollm2-360m, qwen3-0.6b.`;

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const ENTRIES = {
  front: here("../../tests/chain/workers/front.ts"),
  coordinator: here("../../tests/chain/workers/coordinator.ts"),
  stage: here("../../tests/chain/workers/faulty-stage.ts"),
  driver: here("workers/driver.ts"),
  echo: here("workers/echo-stage.ts"),
};
const MB = 1e6;
const range = (length: number) => Array.from({ length }, (_, i) => i);

interface Worker {
  name: string;
  code: keyof typeof ENTRIES;
  stage?: number;
  /** Class and Worker that is called next. */
  next?: [binding: string, className: string, script: string];
}

type Post = (path: string, body: object) => Promise<Response>;

/** Runs Workers in a workerd of their own, and hands over what asks the first of them. */
async function within<T>(
  bundle: string,
  out: string,
  workers: readonly Worker[],
  use: (post: Post, inspector: () => Promise<URL>) => Promise<T>,
): Promise<T> {
  const miniflare = new Miniflare({
    workers: workers.map(({ name, code, stage, next }) => ({
      name,
      compatibilityDate: "2026-04-01",
      compatibilityFlags: ["enable_request_signal"],
      modulesRoot: bundle,
      modules: [
        { type: "ESModule", path: join(bundle, `${code}.js`) },
        ...(code === "coordinator" || code === "stage"
          ? [{ type: "CompiledWasm", path: join(bundle, "engine.wasm") }]
          : []),
      ],
      ...(stage === undefined
        ? {}
        : {
            bindings: { STAGE: String(stage), STAGE_STALL_MS: "600000", STAGE_LOAD_MS: "600000" },
            serviceBindings: { ASSETS: { disk: { path: stageModel(out, stage), writable: false } } },
          }),
      ...(next === undefined
        ? {}
        : {
            durableObjects: { [next[0]]: { className: next[1], scriptName: next[2], useSQLite: true } },
          }),
    })),
    host: "127.0.0.1",
    port: 0,
    inspectorPort: 0,
    handleRuntimeStdio: () => {},
  } as unknown as ConstructorParameters<typeof Miniflare>[0]);
  const url = await miniflare.ready;
  const post = (path: string, body: object) =>
    fetch(new URL(path, url), { method: "POST", body: JSON.stringify(body) });
  try {
    return await use(post, () => miniflare.getInspectorURL());
  } finally {
    await miniflare.dispose();
  }
}

const stageWorker = (stage: number, stages: number): Worker => ({
  name: `stage-${stage}`,
  code: stage === 1 ? "coordinator" : "stage",
  stage,
  ...(stage < stages
    ? { next: ["NEXT", "Stage", `stage-${stage + 1}`] as const as [string, string, string] }
    : {}),
});
const FRONT: Worker = { name: "front", code: "front", next: ["CHAIN", "Coordinator", "stage-1"] };

async function json<T>(response: Response): Promise<T> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return JSON.parse(text) as T;
}

async function generate(post: Post, salt: number, tokens: number): Promise<void> {
  const prompt = range(8).map((i) => i * 7 + salt + 1);
  const body = { prompt, max_tokens: tokens, temperature: 0, ignore_eos: true };
  await json(await post("/v1/completions", body));
}

interface HeapUsage {
  totalSize: number;
  backingStorageSize: number;
}

/** What V8 holds for a Worker's isolate, garbage and WebAssembly memory included (Chrome DevTools Protocol). */
async function isolateBytes(inspector: URL, worker: string): Promise<number> {
  const list = await fetch(new URL("/json", `http://${inspector.host}`));
  const targets = (await list.json()) as { webSocketDebuggerUrl: string }[];
  const target = targets.find((one) => one.webSocketDebuggerUrl.endsWith(`:user:${worker}`))!;
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  const usage = new Promise<HeapUsage>((resolve) => {
    socket.on("message", (data) => {
      const { id, result } = JSON.parse(String(data)) as { id?: number; result?: HeapUsage };
      if (id === 2) resolve(result!);
    });
  });
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  socket.send(JSON.stringify({ id: 1, method: "Runtime.enable" }));
  socket.send(JSON.stringify({ id: 2, method: "Runtime.getHeapUsage" }));
  const { totalSize, backingStorageSize } = await usage;
  socket.close();
  return totalSize + backingStorageSize;
}

/** The clock of a Worker stands still while it computes, so this one's is Node's. */
async function measureHop(bundle: string, out: string, hiddenSize: number): Promise<void> {
  const workers: Worker[] = [
    { name: "driver", code: "driver", next: ["NEXT", "Stage", "stage-2"] },
    { name: "stage-2", code: "echo" },
  ];
  await within(bundle, out, workers, async (post) => {
    for (const rows of [1, 8, 64]) {
      const timed = async (batches: number) => {
        const start = performance.now();
        await json(
          await post("/", { hiddenSize, rows, wanted: rows === 64 ? 0 : rows, batches } satisfies Exercise),
        );
        return performance.now() - start;
      };
      await timed(100);
      const few = await timed(1);
      const us = (await timed(1001)) - few;
      const there = rows * (hiddenSize * 4 + 8);
      const back = rows === 64 ? 0 : rows * hiddenSize * 4;
      console.log(
        `hop, ${rows} rows: ${there} bytes there, ${back} back, ${us.toFixed(0)} µs there and back`,
      );
    }
  });
}

/** Tokens a second of texts that run at the same time. */
async function rate(run: (salt: number) => Promise<void>, count: number, tokens: number): Promise<number> {
  const start = performance.now();
  await Promise.all(range(count).map(run));
  return (count * tokens * 1000) / (performance.now() - start);
}

async function measureSpeed(
  bundle: string,
  out: string,
  model: string,
  manifest: Manifest,
  tokens: number,
): Promise<void> {
  const { cuts, context } = manifest.chain!;
  const stages = cuts.length + 1;
  const whole = await openModel(model, { context });
  const here = async (salt: number) => {
    const prompt = range(8).map((i) => i * 7 + salt + 1);
    await whole.complete(prompt, { maxTokens: tokens, temperature: 0, ignoreEos: true });
  };
  await within(
    bundle,
    out,
    [FRONT, ...range(stages).map((i) => stageWorker(i + 1, stages))],
    async (post, inspector) => {
      const there = (salt: number) => generate(post, salt, tokens);
      await here(99);
      await there(99);
      for (const count of [1, 8]) {
        const rates = { chain: [] as number[], node: [] as number[], share: [] as number[] };
        // By turns, so that whatever else the machine does touches both.
        for (let round = 0; round < 5; round++) {
          const node = await rate((i) => here(round * 100 + i), count, tokens);
          const chain = await rate((i) => there(round * 100 + i), count, tokens);
          rates.node.push(node);
          rates.chain.push(chain);
          rates.share.push(chain / node);
        }
        for (const { index, bytes } of chainMemory(manifest, manifest.chain!)) {
          const used = await isolateBytes(await inspector(), `stage-${index + 1}`);
          console.log(
            `stage ${index + 1}: ${(bytes / MB).toFixed(1)} MB of WebAssembly planned, ${(used / MB).toFixed(1)} MB with JavaScript and garbage`,
          );
        }
        console.log(
          `${count} at once: ${median(rates.chain).toFixed(1)} tokens/s over ${stages} stages in workerd, ${median(rates.node).toFixed(1)} in one process of Node, ratio of a round ${median(rates.share).toFixed(2)}`,
        );
      }
    },
  );
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean" },
    isolates: { type: "string" },
    sequences: { type: "string", default: "8" },
    context: { type: "string", default: "512" },
    tokens: { type: "string", default: "48" },
  },
});
const [name] = positionals;
if (flags.help || name === undefined) {
  console.error(HELP);
  process.exit(flags.help ? 0 : 2);
}
const model = await modelDirectory(name);
const source = directorySource(model);
const whole = await loadManifest(source);
const isolates = flags.isolates === undefined ? undefined : Number(flags.isolates);
const plan = planChain(whole, {
  context: Number(flags.context),
  ...given({ isolates }),
  maxSequences: Number(flags.sequences),
});
const out = await mkdtemp(join(tmpdir(), "edgeformer-bench-split-"));
const bundle = await bundleWorkers(ENTRIES, true);
try {
  const manifest = await cutModel(source, whole, plan, out);
  console.log(
    `${whole.name}: ${plan.cuts.length + 1} stages, cut at ${plan.cuts.join(", ")}, ${plan.kv_blocks} blocks`,
  );
  await measureHop(bundle, out, whole.recipe.hiddenSize);
  await measureSpeed(bundle, out, model, manifest, Number(flags.tokens));
} finally {
  await rm(out, { recursive: true });
  await rm(bundle, { recursive: true });
}
