// A model directory beside native llama.cpp on a GGUF file, one thread each, by turns in one run.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median } from "./statistics.ts";

const HELP = `Times a model directory and native llama.cpp on a GGUF file of the same model, by turns.

  npm run beside-llama-cpp -- --model DIR --gguf FILE [--rounds 7] [--python python3]
                                        in bench/; needs pip install llama-cpp-python`;

interface Round {
  prefill: number;
  decode: number;
}

/** Starts a peer's process; each call of what it returns is a round. The first round is thrown away. */
async function startPeer(command: string, args: string[]): Promise<[() => Promise<Round>, ChildProcess]> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async (): Promise<Round> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${command} ${args[0]} has ended; is what it needs installed?`);
    return JSON.parse(value) as Round;
  };
  await read();
  return [
    () => {
      child.stdin.write("\n");
      return read();
    },
    child,
  ];
}

const { values } = parseArgs({
  options: {
    help: { type: "boolean" },
    model: { type: "string" },
    gguf: { type: "string" },
    rounds: { type: "string", default: "7" },
    python: { type: "string", default: "python3" },
  },
});
if (values.help || values.model === undefined || values.gguf === undefined) {
  console.error(HELP);
  process.exit(values.help ? 0 : 2);
}
const script = (name: string) => fileURLToPath(new URL(`peers/${name}`, import.meta.url));
const [ours, own] = await startPeer(process.execPath, [
  ...process.execArgv,
  script("edgeformer.ts"),
  values.model,
]);
const [theirs, llama] = await startPeer(values.python, [script("native_llama.py"), values.gguf]);
const rounds: [Round, Round][] = [];
for (let round = 0; round < Number(values.rounds); round++) rounds.push([await ours(), await theirs()]);
own.stdin?.end();
llama.stdin?.end();
for (const phase of ["prefill", "decode"] as const) {
  const [a, b] = [0, 1].map((side) => median(rounds.map((pair) => pair[side as 0 | 1][phase])));
  const ratio = median(rounds.map(([left, right]) => left[phase] / right[phase]));
  console.log(
    `${phase.padEnd(8)} edgeformer ${a!.toFixed(1)} tok/s, llama.cpp ${b!.toFixed(1)} tok/s, ratio ${ratio.toFixed(2)}`,
  );
}
