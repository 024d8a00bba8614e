// A model directory beside native llama.cpp on a GGUF file, one thread each, by turns in one run.
import { parseArgs } from "node:util";
import { PeerProcess } from "./peers/process.ts";
import { prompt } from "./shapes.ts";
import { median, medianRatio } from "./statistics.ts";

const HELP = `Times a model directory and native llama.cpp on a GGUF file of the same model, by turns.

  npm run beside-llama-cpp -- --model DIR --gguf FILE --driver DRIVER [--rounds 7]
                                        in bench/; peers/llama-cpp/build.sh builds the driver`;

const { values } = parseArgs({
  options: {
    help: { type: "boolean" },
    model: { type: "string" },
    gguf: { type: "string" },
    driver: { type: "string" },
    rounds: { type: "string", default: "7" },
  },
});
const { model, gguf, driver } = values;
if (values.help || model === undefined || gguf === undefined || driver === undefined) {
  console.error(HELP);
  process.exit(values.help ? 0 : 2);
}
const sides = [await PeerProcess.start(["edgeformer.ts", model]), await PeerProcess.start([driver, gguf])];
/** Tokens per second of each side. */
const speeds = { prefill: [[], []] as [number[], number[]], decode: [[], []] as [number[], number[]] };
for (let round = 0; round <= Number(values.rounds); round++)
  for (const [side, { peer }] of sides.entries()) {
    const { prefillMs, decodeMs } = await peer.run(prompt(128, round), 128);
    // The first round warms everything up.
    if (round === 0) continue;
    speeds.prefill[side]!.push(128e3 / prefillMs);
    speeds.decode[side]!.push(128e3 / decodeMs);
  }
for (const { peer } of sides) await peer.stop();
for (const [phase, [ours, theirs]] of Object.entries(speeds))
  console.log(
    `${phase.padEnd(8)} edgeformer ${median(ours).toFixed(1)} tok/s, llama.cpp ${median(theirs).toFixed(1)} tok/s, ` +
      `ratio ${medianRatio(ours, theirs).toFixed(2)}`,
  );
