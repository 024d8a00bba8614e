import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { Miniflare, type Request, Response } from "miniflare";
import { bundledModel } from "../../src/node/index.ts";
import { machine, pinToOneProcessor } from "../measure.ts";
import { modelDirectory } from "../models.ts";
import { writeReport } from "../report/index.ts";
import { saveResult } from "../results.ts";
import { prompt, SHAPES } from "../shapes.ts";
import { CROWD, CROWDED, crowdKey, GUESSES, lookupKey, PROMPTS, type ServingResults } from "./results.ts";
import type { BatchResult, Job, Task } from "./task.ts";
import { lookupCases } from "./texts.ts";

const HELP = `Measures the scheduler in workerd and writes bench/results/serving.json.

  npm run serving -- --smollm2 DIR     8 at once, a shared prefix, and prompt lookup
  npm run serving -- --rounds 3        fewer rounds than 5: quicker, noisier

DIR is SmolLM2-135M-Instruct converted to four bits.`;

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const SHARED = 512;

async function start(directories: Record<string, string>): Promise<Miniflare> {
  const { outputFiles } = await build({
    entryPoints: [here("worker.ts")],
    bundle: true,
    format: "esm",
    target: "es2022",
    external: ["*.wasm"],
    write: false,
  });
  const miniflare = new Miniflare({
    compatibilityDate: "2026-01-01",
    modulesRoot: "/",
    modules: [
      { type: "ESModule", path: "/worker.js", contents: outputFiles[0]!.text },
      { type: "CompiledWasm", path: "/engine.wasm", contents: readFileSync(here("../../build/engine.wasm")) },
    ],
    serviceBindings: {
      MODELS: (request: Request) => {
        const [, name, path] = new URL(request.url).pathname.split("/");
        return new Response(
          Readable.toWeb(createReadStream(join(directories[name!]!, path!))) as ReadableStream,
        );
      },
    },
  });
  await miniflare.ready;
  return miniflare;
}

const { rounds, help, smollm2 } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    smollm2: { type: "string" },
    help: { type: "boolean", default: false },
  },
}).values;
if (help || smollm2 === undefined || !/^[1-9]\d*$/.test(rounds)) {
  console.error(HELP);
  process.exit(help ? 0 : 2);
}

pinToOneProcessor();
const miniflare = await start({
  distilgpt2: await modelDirectory(SHAPES.distilgpt2!),
  fable: bundledModel(),
  smollm2,
});

async function run(shape: string, promptLookup: number, batches: Job[][]): Promise<BatchResult[]> {
  const task: Task = { shape, promptLookup, batches };
  const response = await miniflare.dispatchFetch("http://serving/", {
    method: "POST",
    body: JSON.stringify(task),
  });
  if (!response.ok) throw new Error(`workerd: ${await response.text()}`);
  return (await response.json()) as BatchResult[];
}

const cases = await lookupCases(smollm2);

const samples: Record<string, number[]> = {};
const note = (key: string, value: number) => (samples[key] ??= []).push(value);
const counts: ServingResults["counts"] = {};
let cachedTokens = 0;

/** 64 tokens for each of eight, behind prompts of `length`, together and one after another. */
async function crowd(shape: string, salt: number, length: number): Promise<void> {
  const jobs = Array.from({ length: CROWD }, (_, i) => {
    return { prompt: prompt(length, salt * CROWD + i), maxTokens: 64, temperature: 1, seed: i };
  });
  const [together] = await run(shape, 0, [jobs]);
  const alone = await run(
    shape,
    0,
    jobs.map((job) => [job]),
  );
  if (JSON.stringify(together!.ids) !== JSON.stringify(alone.flatMap(({ ids }) => ids)))
    throw new Error("a crowd changed somebody's text");
  note(crowdKey(shape, length, "together"), together!.ms);
  note(
    crowdKey(shape, length, "alone"),
    alone.reduce((sum, { ms }) => sum + ms, 0),
  );
}

/** A prompt behind a prefix that another request had, and the same prompt without one before it. */
async function prefix(salt: number): Promise<void> {
  const shared = prompt(SHARED, 1000 + salt);
  const job = (own: number): Job => {
    return { prompt: [...shared, ...prompt(16, own)], maxTokens: 2, temperature: 0, seed: 1 };
  };
  const [cold] = await run("distilgpt2", 0, [[job(2)]]);
  const [, warm] = await run("distilgpt2", 0, [[job(1)], [job(2)]]);
  if (JSON.stringify(cold!.ids) !== JSON.stringify(warm!.ids)) throw new Error("the cache changed a text");
  note("prefix/cold", cold!.firstTokenMs);
  note("prefix/warm", warm!.firstTokenMs);
  cachedTokens = warm!.cachedTokens;
}

async function lookup(): Promise<void> {
  for (const { shape, name, job } of cases) {
    let plain = "";
    for (const guesses of GUESSES) {
      const [result] = await run(shape, guesses, [[job]]);
      const ids = JSON.stringify(result!.ids);
      if (guesses === 0) plain = ids;
      if (ids !== plain) throw new Error(`${name}: ${guesses} guesses changed the text`);
      const key = lookupKey(shape, name, guesses);
      note(key, result!.ms - result!.firstTokenMs);
      counts[key] = { steps: result!.steps, rows: result!.rows };
    }
  }
}

for (let round = 0; round <= Number(rounds); round++) {
  // The first round warms everything up.
  if (round === 1) for (const key of Object.keys(samples)) delete samples[key];
  for (const shape of CROWDED) for (const length of PROMPTS) await crowd(shape, round, length);
  await prefix(round);
  await lookup();
  console.error(`round ${round} of ${rounds}`);
}
await miniflare.dispose();

saveResult("serving", {
  machine: machine(["workerd"]),
  rounds: Number(rounds),
  cases: cases.map(({ shape, name }) => ({ shape, name })),
  counts,
  cachedTokens,
  samples,
});
writeReport();
