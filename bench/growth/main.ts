// How the time of a token grows: with the context, with the sequences that share a step, with the model.
import { parseArgs } from "node:util";
import { loadManifest } from "../../src/loading/load.ts";
import { directorySource, engineModule } from "../../src/node/index.ts";
import { readerBinary } from "../bandwidth.ts";
import { machine, pinToOneProcessor } from "../measure.ts";
import { Reader } from "../reader.ts";
import { writeReport } from "../report/index.ts";
import { loadResult, saveResult } from "../results.ts";
import { Runner, timed } from "../runner.ts";
import { prompt } from "../shapes.ts";
import { costOf, type GrowthResults } from "./results.ts";
import { growthDirectory, SIZES } from "./shapes.ts";

const HELP = `Measures growth in Node and writes bench/results/growth.json.

  npm run growth -- --smollm2 DIR [--rounds 5] [--only context]     in bench/, after npm run build:wasm

DIR is SmolLM2-135M converted to four bits. --only context, sequences or sizes leaves the other figures as they are;
--prepare writes the models of the shapes and measures nothing.`;

const CONTEXTS = [64, 128, 256, 512, 1024, 2048, 4096, 8192];
const COUNTS = [1, 2, 3, 4, 8, 16, 32];
/** Models by what is measured of them. */
const OF_CONTEXT = ["fable", "smollm2-135m-int8", "smollm2-135m-four-bit"];
const OF_SEQUENCES = ["fable", "distilgpt2-int8", "smollm2-135m-int8", "smollm2-135m-four-bit"];
const OF_SIZE = ["fable", ...SIZES];
/** Tokens behind which sequences and sizes are measured. */
const SHORT = 64;
const PROMPT = 128;
const STEPS = 4;

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean" },
    prepare: { type: "boolean" },
    only: { type: "string" },
    rounds: { type: "string", default: "5" },
    smollm2: { type: "string" },
  },
});
const rounds = Number(flags.rounds);
if (flags.help || flags.smollm2 === undefined || !Number.isInteger(rounds) || rounds < 1) {
  console.error(HELP);
  process.exit(flags.help ? 0 : 2);
}

const names = [...new Set([...OF_CONTEXT, ...OF_SEQUENCES, ...OF_SIZE])];
const directories = new Map<string, string>();
for (const name of names) directories.set(name, await growthDirectory(name, flags.smollm2));
if (flags.prepare) process.exit(0);

const module = await engineModule();
const runner = (name: string, context: number, maxSequences: number) =>
  Runner.create(module, directorySource(directories.get(name)!), { context, maxSequences });

/** Whatever is measured of a model, once; the results keep one value a round. */
interface Measurement {
  into: number[];
  measure: () => number;
}
const measurements: Measurement[] = [];
const results: Omit<GrowthResults, "machine" | "rounds"> = {
  models: {},
  bandwidth: {},
  context: {},
  sequences: {},
  sizes: {},
};
const each = (values: number[], measure: (value: number) => number): number[][] =>
  values.map((value) => {
    const into: number[] = [];
    measurements.push({ into, measure: () => measure(value) });
    return into;
  });
const one = (measure: () => number): number[] => each([0], measure)[0]!;

/** Fills a slot and keeps what the passes do not change: the tokens before every context that is measured. */
async function context(name: string): Promise<void> {
  const { recipe } = await loadManifest(directorySource(directories.get(name)!));
  const contexts = CONTEXTS.filter((length) => length <= recipe.maxPositions);
  const longest = contexts.at(-1)!;
  const of = await runner(name, longest, 1);
  results.models[name] = costOf(of.manifest, of.engine.plan);
  const ids = prompt(longest);
  console.error(`${name}: reading ${longest} tokens`);
  of.prefill(ids, 0);
  const { maxRows } = of.engine.plan;
  // Both compute positions that are there already, and write what is there.
  results.context[name] = {
    contexts,
    decode: each(contexts, (length) => of.decode(0, 1, length - STEPS, STEPS)),
    prefill: each(contexts, (length) => {
      const from = length - maxRows;
      return timed(() => of.prefill(ids.slice(from, length), 0, from)) / maxRows;
    }),
  };
}

async function sequences(name: string): Promise<void> {
  const of = await runner(name, SHORT + STEPS, COUNTS.at(-1)!);
  results.models[name] = costOf(of.manifest, of.engine.plan);
  for (let slot = 0; slot < COUNTS.at(-1)!; slot++) of.prefill(prompt(SHORT, slot), slot);
  results.sequences[name] = {
    counts: COUNTS,
    step: each(COUNTS, (count) => of.decode(0, count, SHORT, STEPS)),
  };
}

async function size(name: string): Promise<void> {
  const of = await runner(name, PROMPT, 1);
  const cost = costOf(of.manifest, of.engine.plan);
  results.models[name] = cost;
  const reader = new Reader(await WebAssembly.compile(readerBinary(cost.weightBytes)));
  const ids = prompt(PROMPT);
  of.prefill(ids, 0);
  results.bandwidth[name] = one(() => reader.bandwidth(cost.weightBytes));
  results.sizes[name] = {
    decode: one(() => of.decode(0, 1, SHORT, STEPS)),
    prefill: one(() => timed(() => of.prefill(ids, 0)) / PROMPT),
  };
}

const PARTS: Record<string, () => Promise<void>> = {
  context: async () => {
    for (const name of OF_CONTEXT) await context(name);
  },
  sequences: async () => {
    for (const name of OF_SEQUENCES) await sequences(name);
  },
  sizes: async () => {
    for (const name of OF_SIZE) await size(name);
  },
};

pinToOneProcessor();
for (const part of flags.only === undefined ? Object.keys(PARTS) : [flags.only]) {
  measurements.length = 0;
  await PARTS[part]!();
  // By turns, and the first round warms everything up.
  for (let round = 0; round <= rounds; round++) {
    for (const { into, measure } of measurements) {
      const value = measure();
      if (round > 0) into.push(value);
    }
    console.error(`${part}: round ${round} of ${rounds}`);
  }
  const before = loadResult("growth");
  for (const field of ["context", "sequences", "sizes", "bandwidth", "models"] as const)
    Object.assign(before[field], results[field]);
  saveResult("growth", { ...before, rounds, machine: machine([]) });
}
writeReport();
