// What a chain would do in production, by arithmetic: a core for each stage, and a hop that takes some milliseconds. The
// scheduler is the real one; what a stage takes for a batch is CPU time that is measured here, on one core.
import { parseArgs } from "node:util";
import { chainMemory, planChain } from "../../src/chain/plan.ts";
import { spansOf } from "../../src/chain/stage-layout.ts";
import { Engine } from "../../src/engine/engine.ts";
import { planMemory } from "../../src/engine/memory.ts";
import { given } from "../../src/given.ts";
import { loadManifest } from "../../src/index.ts";
import { directorySource, engineModule } from "../../src/node/index.ts";
import { resolveOptions } from "../../src/options.ts";
import { Scheduler } from "../../src/serving/scheduler.ts";
import { Generation } from "../../src/serving/sequence.ts";
import { fillWeights } from "../runner.ts";
import { modelDirectory } from "./shape-model.ts";

const HELP = `  npx tsx chain/simulate.ts MODEL [--isolates N] [--sequences 8] [--context 1024] [--hop 1.5]     in bench/, after npm run build

  --hop is the milliseconds of a call to the next isolate and back`;

const ROWS = [1, 2, 4, 8, 16, 32, 64];
const PROMPT = 512;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean" },
    isolates: { type: "string" },
    sequences: { type: "string", default: "8" },
    context: { type: "string", default: "1024" },
    hop: { type: "string", default: "1.5" },
  },
});
const [name] = positionals;
if (flags.help || name === undefined) {
  console.error(HELP);
  process.exit(flags.help ? 0 : 2);
}
const hop = Number(flags.hop);
const source = directorySource(await modelDirectory(name));
const manifest = await loadManifest(source);
const { recipe } = manifest;
const isolates = flags.isolates === undefined ? undefined : Number(flags.isolates);
const plan = planChain(manifest, {
  context: Number(flags.context),
  ...given({ isolates }),
  maxSequences: Number(flags.sequences),
});
const spans = spansOf(plan, recipe.layers.length);

const engine = new Engine(
  await engineModule(),
  manifest,
  planMemory(manifest, { context: 512, maxSequences: 1 }),
);
await fillWeights(engine, manifest, source);
for (let i = 0; i < 32; i++) engine.setBlock(0, i, i);

/** The least CPU milliseconds of some runs: other work on the machine only adds to them. */
function cpuMs(run: () => void): number {
  run();
  let least = Infinity;
  for (let i = 0; i < 7; i++) {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

/** Milliseconds of one layer for so many rows. */
const layerMs = ROWS.map((rows) => {
  for (let row = 0; row < rows; row++) engine.setRow(row, 1 + row, 200 + row, 0);
  engine.embed(rows);
  return cpuMs(() => engine.blocks(0, recipe.layers.length, rows, rows)) / recipe.layers.length;
});
const headMs = cpuMs(() => engine.head(0, 1));

/** Between the measured numbers of rows the time is taken to be linear. */
function layersMs(layers: number, rows: number): number {
  const above = Math.max(
    1,
    ROWS.findIndex((one) => one >= rows),
  );
  const [r0, r1] = [ROWS[above - 1]!, ROWS[above]!];
  const [t0, t1] = [layerMs[above - 1]!, layerMs[above]!];
  return layers * (rows === 1 ? t0 : t0 + ((t1 - t0) * (rows - r0)) / (r1 - r0));
}

/** Milliseconds until all of so many texts are there, and until the first has its first token. */
function simulate(
  stages: readonly { layers: number }[],
  texts: number,
  prompt: number,
  tokens: number,
  maxBatches: number,
) {
  const scheduler = new Scheduler(
    { kvBlocks: 4096, maxSequences: plan.max_sequences, maxRows: 64, maxBatches },
    { promptLookup: 0 },
  );
  const options = resolveOptions({ maxTokens: tokens, temperature: 0, ignoreEos: true }, recipe.vocabSize);
  const generations = Array.from({ length: texts }, (_, i) => {
    const ids = Array.from({ length: prompt }, (_, at) => (at * 31 + i * 7) % 1000);
    return new Generation(ids, options, [], undefined);
  });
  for (const generation of generations) scheduler.add(generation);
  const free = stages.map(() => 0);
  const underWay: { reads: number; back: number }[] = [];
  let [now, first] = [0, 0];
  for (;;) {
    while (underWay.length < maxBatches) {
      const batch = scheduler.next();
      if (batch === undefined) break;
      let at = now;
      for (const [i, { layers }] of stages.entries()) {
        at = Math.max(at, free[i]!) + layersMs(layers, batch.rows.length);
        free[i] = at;
        if (i < stages.length - 1) at += hop / 2;
      }
      underWay.push({ reads: batch.reads.length, back: at + ((stages.length - 1) * hop) / 2 });
    }
    const oldest = underWay.shift();
    if (oldest === undefined) return { ms: now, firstMs: first };
    now = Math.max(oldest.back, free[0]!) + oldest.reads * headMs;
    free[0] = now;
    if (oldest.reads > 0 && first === 0) first = now;
    scheduler.accept(
      Array.from({ length: oldest.reads }, () => ({ id: 1, logprob: undefined, top: undefined })),
    );
  }
}

const chain = spans.map(({ from, to }) => ({ layers: to - from }));
const one = [{ layers: recipe.layers.length }];
const n = chain.length;
console.log(
  `${manifest.name}: ${n} stages of ${chain.map(({ layers }) => layers).join(", ")} layers; the largest has ${(Math.max(...chainMemory(manifest, plan).map(({ bytes }) => bytes)) / 1e6).toFixed(1)} MB`,
);
console.log(
  `CPU milliseconds: a layer ${ROWS.map((rows, i) => `${rows} rows ${layerMs[i]!.toFixed(2)}`).join(", ")}; the head ${headMs.toFixed(2)}`,
);
for (const texts of [1, 4, 16]) {
  const tokens = 64;
  const rate = (stages: typeof chain, maxBatches: number) =>
    (texts * tokens * 1000) / simulate(stages, texts, 8, tokens, maxBatches).ms;
  console.log(
    `${texts} at once: ${rate(chain, n).toFixed(1)} tokens/s; one batch at a time ${rate(chain, 1).toFixed(1)}; one isolate, if it could hold the model, ${rate(one, 1).toFixed(1)}`,
  );
}
const first = (stages: typeof chain, maxBatches: number) =>
  simulate(stages, 1, PROMPT, 1, maxBatches).firstMs.toFixed(0);
console.log(
  `first token of ${PROMPT}: ${first(chain, n)} ms in slices, ${first(chain, 1)} ms one slice at a time, ${first(one, 1)} ms in one isolate`,
);
