import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { Miniflare, type Request, Response } from "miniflare";
import { bundledModel } from "../../src/node/index.ts";
import { machine } from "../measure.ts";
import { modelDirectory } from "../models.ts";
import { prompt, SHAPES } from "../shapes.ts";
import { median } from "../statistics.ts";
import type { BatchResult, Job, Task } from "./task.ts";
import { STORY, TEXTS } from "./texts.ts";

const HELP = `Measures the scheduler in workerd and writes bench/results/serving.json.

  npm run serving                      8 at once, a shared prefix, and prompt lookup
  npm run serving -- --rounds 3        fewer rounds than 5: quicker, noisier`;

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const CROWD = 8;
const PROMPTS = [16, 128];
const SHARED = 512;
const GUESSES = [0, 1, 3, 7];

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

const { rounds, help } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, help: { type: "boolean", default: false } },
}).values;
if (help || !/^[1-9]\d*$/.test(rounds)) {
  console.error(HELP);
  process.exit(help ? 0 : 2);
}

const miniflare = await start({
  distilgpt2: await modelDirectory(SHAPES.distilgpt2!),
  fable: bundledModel(),
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

/** What the bundled model draws itself. */
const drawn = (temperature: number): Job => ({ prompt: STORY, maxTokens: 240, temperature, seed: 7 });
const cases: { shape: string; name: string; job: Job }[] = [
  ...["distilgpt2", "fable"].flatMap((shape) =>
    Object.entries(TEXTS).map(([name, job]) => ({ shape, name, job })),
  ),
  { shape: "fable", name: "a story at temperature 0", job: drawn(0) },
  { shape: "fable", name: "a story at temperature 0.8", job: drawn(0.8) },
];

const samples: Record<string, number[]> = {};
const note = (key: string, value: number) => (samples[key] ??= []).push(value);
const steps: Record<string, number> = {};
const rows: Record<string, number> = {};
const cachedTokens: Record<string, number> = {};

/** 64 tokens for each of eight, behind prompts of `length`, together and one after another. */
async function crowd(salt: number, length: number): Promise<void> {
  const jobs = Array.from({ length: CROWD }, (_, i) => {
    return { prompt: prompt(length, salt * CROWD + i), maxTokens: 64, temperature: 1, seed: i };
  });
  const [together] = await run("distilgpt2", 0, [jobs]);
  const alone = await run(
    "distilgpt2",
    0,
    jobs.map((job) => [job]),
  );
  if (JSON.stringify(together!.ids) !== JSON.stringify(alone.flatMap(({ ids }) => ids)))
    throw new Error("a crowd changed somebody's text");
  note(`crowd/${length}/together, ms`, together!.ms);
  note(
    `crowd/${length}/alone, ms`,
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
  note("prefix/first token cold, ms", cold!.firstTokenMs);
  note("prefix/first token warm, ms", warm!.firstTokenMs);
  cachedTokens.prefix = warm!.cachedTokens;
}

async function lookup(): Promise<void> {
  for (const { shape, name, job } of cases) {
    let plain = "";
    for (const guesses of GUESSES) {
      const [result] = await run(shape, guesses, [[job]]);
      const ids = JSON.stringify(result!.ids);
      if (guesses === 0) plain = ids;
      if (ids !== plain) throw new Error(`${name}: ${guesses} guesses changed the text`);
      const key = `${shape}/${name}/${guesses} guesses`;
      note(`${key}, ms`, result!.ms - result!.firstTokenMs);
      steps[key] = result!.steps;
      rows[key] = result!.rows;
    }
  }
}

for (let round = 0; round <= Number(rounds); round++) {
  // The first round warms everything up.
  if (round === 1) for (const key of Object.keys(samples)) delete samples[key];
  for (const length of PROMPTS) await crowd(round, length);
  await prefix(round);
  await lookup();
  console.error(`round ${round} of ${rounds}`);
}
await miniflare.dispose();

/** How many times as fast the second is: the median over the rounds, because the machine drifts between them. */
function ratio(slow: string, fast: string): number {
  return median(samples[slow]!.map((ms, round) => ms / samples[fast]![round]!));
}
const speedups = cases.map(({ shape, name }) => {
  const key = (guesses: number) => `${shape}/${name}/${guesses} guesses`;
  const speedup = (guesses: number): [string, number] => [
    `speedup with ${guesses}`,
    ratio(`${key(0)}, ms`, `${key(guesses)}, ms`),
  ];
  return {
    shape,
    text: name,
    tokensPerStep: steps[key(0)]! / steps[key(1)]!,
    wrongGuesses: rows[key(1)]! - rows[key(0)]!,
    ...Object.fromEntries(GUESSES.slice(1).map(speedup)),
  };
});
const figures = {
  ...Object.fromEntries(
    PROMPTS.map((length): [string, number] => [
      `8 together ÷ one at a time, prompts of ${length}`,
      ratio(`crowd/${length}/alone, ms`, `crowd/${length}/together, ms`),
    ]),
  ),
  "prefix: cached tokens of 528": cachedTokens.prefix!,
  "prefix: time to first token, cold ÷ warm": ratio(
    "prefix/first token cold, ms",
    "prefix/first token warm, ms",
  ),
  "prompt lookup": speedups,
};
const results = { machine: machine(["workerd"]), rounds: Number(rounds), figures, samples };
const short = (_: string, value: unknown) =>
  typeof value === "number" ? Number(value.toPrecision(4)) : value;
writeFileSync(here("../results/serving.json"), `${JSON.stringify(results, short, 1)}\n`);
console.log(JSON.stringify(figures, short, 2));
