// The first token of a Worker that has done nothing yet, phase by phase, in a workerd of its own for each.
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { bundledModel } from "../../src/node/index.ts";
import { machine, pinToOneProcessor } from "../measure.ts";
import { writeReport } from "../report/index.ts";
import { saveResult } from "../results.ts";
import type { ColdAnswer, ColdResults } from "./cold-results.ts";
import { WorkerdProcess, writeConfig } from "./workerd-process.ts";

const HELP = `Measures the first token of a cold Worker and writes bench/results/cold.json.

  npm run cold -- --smollm2 DIR [--rounds 9]     in bench/, after npm run build:wasm

DIR is SmolLM2-135M converted to four bits.`;

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean" },
    rounds: { type: "string", default: "9" },
    smollm2: { type: "string" },
  },
});
const rounds = Number(flags.rounds);
if (flags.help || flags.smollm2 === undefined || !Number.isInteger(rounds) || rounds < 1) {
  console.error(HELP);
  process.exit(flags.help ? 0 : 2);
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
/** An empty WebAssembly module. */
const NO_ENGINE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);

/** Directories of an empty Worker, of the Worker without its engine, and of the Worker. */
async function writeWorkers(root: string): Promise<[empty: string, script: string, whole: string]> {
  const { outputFiles } = await build({
    entryPoints: [here("cold-worker.ts")],
    ...{ bundle: true, format: "esm", target: "es2022", minify: true, write: false },
    external: ["*.wasm"],
  });
  const script = outputFiles[0]!.text;
  const make = async (worker: string, engine: Uint8Array | undefined) => {
    const directory = await mkdtemp(join(root, "worker-"));
    await writeFile(join(directory, "worker.js"), worker);
    if (engine === undefined) await copyFile(here("../../build/engine.wasm"), join(directory, "engine.wasm"));
    else await writeFile(join(directory, "engine.wasm"), engine);
    return directory;
  };
  return [
    await make('export default { fetch: () => new Response("empty") };', NO_ENGINE),
    await make(script, NO_ENGINE),
    await make(script, undefined),
  ];
}

/** Milliseconds until a Worker listens. */
async function startMs(config: string): Promise<number> {
  const process = await WorkerdProcess.start(config);
  await process.stop();
  return process.startMs;
}

const root = await mkdtemp(join(tmpdir(), "edgeformer-cold-"));
const results: Omit<ColdResults, "machine"> = { rounds, models: {} };
pinToOneProcessor();
try {
  const directories = await writeWorkers(root);
  for (const [name, model] of Object.entries({ fable: bundledModel(), "smollm2-135m": flags.smollm2 })) {
    const configs = await Promise.all(directories.map((directory) => writeConfig(directory, model)));
    const phases: Record<string, number[]> = {};
    const total: number[] = [];
    let last: ColdAnswer | undefined;
    for (let round = 0; round <= rounds; round++) {
      const empty = await startMs(configs[0]!);
      const script = await startMs(configs[1]!);
      const workerd = await WorkerdProcess.start(configs[2]!);
      const start = performance.now();
      last = (await (await fetch(workerd.url)).json()) as ColdAnswer;
      const answered = performance.now() - start;
      await workerd.stop();
      // The first round brings everything into the cache of the disk.
      if (round === 0) continue;
      const inside = Object.values(last.phases).reduce((sum, ms) => sum + ms, 0);
      const all = {
        "start of workerd": empty,
        "the Worker's script": script - empty,
        "the engine": workerd.startMs - script,
        "the request": answered - inside,
        ...last.phases,
      };
      for (const [phase, ms] of Object.entries(all)) (phases[phase] ??= []).push(ms);
      total.push(workerd.startMs + answered);
    }
    const { bytes, tokens, text } = last!;
    results.models[name] = { phases, total, bytes, tokens, text };
    console.error(`${name}: ${JSON.stringify(results.models[name])}`);
  }
} finally {
  await rm(root, { recursive: true });
}
saveResult("cold", { machine: machine(["workerd"]), ...results });
writeReport();
