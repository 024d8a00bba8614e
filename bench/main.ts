import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { benchEngine, type EngineResults } from "./engine-bench.ts";
import { benchPeers, type PeerResults } from "./peers-bench.ts";
import { writeReport } from "./report.ts";
import { SHAPES } from "./shapes.ts";

const HELP = `Measures edgeformer and writes bench/results/*.json, docs/benchmarks.md and its plots.

  npm run bench                        every shape, in Node and in workerd
  npm run bench -- --shapes fable      some shapes: ${Object.keys(SHAPES).join(", ")}
  npm run bench -- --rounds 3          fewer rounds than 9: quicker, noisier
  npm run bench:peers                  against onnxruntime, llama.cpp and wllama, on DistilGPT-2's shape
  npm run report                       write the report again, without measuring

The engine must be built (npm run build:wasm in the repository). wllama needs Chromium; CHROMIUM names its binary.`;

const RESULTS = fileURLToPath(new URL("results/", import.meta.url));

function load<T>(name: string): T | undefined {
  const path = `${RESULTS}${name}.json`;
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : undefined;
}

function save(name: string, results: EngineResults | PeerResults): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}${name}.json`, `${JSON.stringify(results, (_, value) => rounded(value), 1)}\n`);
}

/** Five significant digits: more than any of these figures has. */
function rounded(value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(5)) : value;
}

function usage(message: string): never {
  console.error(`${message}\n\n${HELP}`);
  process.exit(2);
}

function options() {
  try {
    return parseArgs({
      options: {
        peers: { type: "boolean", default: false },
        report: { type: "boolean", default: false },
        rounds: { type: "string", default: "9" },
        shapes: { type: "string" },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    usage((error as Error).message);
  }
}

const { peers, report, rounds, shapes, help } = options();
if (help) {
  console.log(HELP);
  process.exit(0);
}
const count = Number(rounds);
if (!Number.isInteger(count) || count < 1) usage("--rounds must be a whole number from 1 on");
const names = shapes?.split(",") ?? (peers ? ["distilgpt2"] : Object.keys(SHAPES));
for (const name of names) if (SHAPES[name] === undefined) usage(`there is no shape ${name}`);

if (peers) save("peers", await benchPeers(names[0]!, count));
else if (!report) {
  const fresh = await benchEngine(names, count);
  // Shapes that were not measured now keep their figures, if they are of the same machine.
  const before = load<EngineResults>("engine");
  const kept = before?.machine.cpu === fresh.machine.cpu ? before.samples : {};
  save("engine", { ...fresh, samples: { ...kept, ...fresh.samples } });
}
writeReport(load<EngineResults>("engine"), load<PeerResults>("peers"));
// wllama's browser and llama.cpp's threads would keep the process alive.
process.exit(0);
