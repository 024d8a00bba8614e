import { parseArgs } from "node:util";
import { benchEngine } from "./engine-bench.ts";
import { benchPeers } from "./peers-bench.ts";
import { writeReport } from "./report/index.ts";
import { loadResult, saveResult } from "./results.ts";
import { SHAPES } from "./shapes.ts";

const HELP = `Measures edgeformer, keeps the results in bench/results/, and writes them into the documentation.

  npm run bench                        every shape, in Node and in workerd
  npm run bench -- --shapes fable      some shapes: ${Object.keys(SHAPES).join(", ")}
  npm run bench -- --rounds 3          fewer rounds than 9: quicker, noisier
  npm run bench:peers                  against onnxruntime, llama.cpp and wllama, on DistilGPT-2's shape
  npm run report                       write all figures and pictures again, without measuring

The engine must be built (npm run build:wasm in the repository). wllama needs Chromium; CHROMIUM names its binary.`;

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

if (peers) saveResult("peers", await benchPeers(names[0]!, count));
else if (!report) {
  const fresh = await benchEngine(names, count);
  // Shapes that were not measured now keep their figures, if they are of the same machine and day.
  const before = loadResult("engine");
  const same = before.machine.cpu === fresh.machine.cpu && before.machine.date === fresh.machine.date;
  const kept = same ? before.samples : {};
  saveResult("engine", { ...fresh, samples: { ...kept, ...fresh.samples } });
}
writeReport();
// wllama's browser and llama.cpp's threads would keep the process alive.
process.exit(0);
