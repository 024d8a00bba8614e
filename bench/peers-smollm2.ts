// SmolLM2-135M-Instruct in edgeformer and in the engines that one would use in its place, on one thread.
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { machine } from "./measure.ts";
import { bytesOf, type Contestant, contestants } from "./peers/contestants.ts";
import { faithfulness, type GoldenWindow } from "./peers/faithfulness.ts";
import { PeerProcess } from "./peers/process.ts";
import { CONTEXTS, nameOf, PROMPTS, type SmolResults, type Turn } from "./peers-smollm2-results.ts";
import { loadResult, RESULTS, saveResult } from "./results.ts";
import { prompt } from "./shapes.ts";

const HELP = `Measures SmolLM2-135M-Instruct in edgeformer and in other engines, and keeps the results.

  npm run bench:smollm2 -- --gguf FILE --llama DIR [--minutes 5] [--only NAME] [--fresh]
                                   turns, until the minutes are over or everybody has had enough; run it again to go on
  npm run bench:smollm2 -- --gguf FILE --llama DIR --faithfulness [--only NAME]
                                   how far each of them is from float32

FILE is SmolLM2-135M-Instruct.Q4_1.gguf; peers/llama-cpp/build.sh builds DIR. wllama needs Chromium; CHROMIUM names
its binary.`;

/** edgeformer, in as many bits, has a turn before another one's if its last is older: ratios are of one moment. */
const OWN_EVERY_SECONDS = 60;

/** Ids that no prompt before had. */
let salt = Math.floor(Date.now() / 1000) % 100_000;
const ids = (tokens: number) => prompt(tokens, salt++);

async function turn({ command, decodeTokens, ...contestant }: Contestant): Promise<Turn> {
  const at = new Date().toISOString();
  const { peer, loadMs } = await PeerProcess.start(command);
  const { prefillMs: firstTokenMs } = await peer.run(ids(128), 0);
  // Whoever compiles while it runs has done so after this.
  const prefills = new Map<number, number>();
  const decode: number[] = [];
  const timed = async (tokens: number, decoded: number) => {
    const { prefillMs, decodeMs } = await peer.run(ids(tokens), decoded);
    prefills.set(tokens, (tokens * 1e3) / prefillMs);
    if (decoded > 0) decode.push((decoded * 1e3) / decodeMs);
  };
  await timed(32, 0);
  await timed(512, 0);
  for (const context of CONTEXTS) await timed(context, decodeTokens);
  const prefill = PROMPTS.map((tokens) => prefills.get(tokens)!);
  const peakBytes = peer.peakBytes();
  await peer.stop();
  return { contestant: nameOf(contestant), at, loadMs, firstTokenMs, prefill, decode, peakBytes };
}

async function score({ command }: Contestant, scored: NonNullable<Contestant["scored"]>) {
  const golden = JSON.parse(
    readFileSync(new URL("../tests/goldens/smollm2.json", import.meta.url), "utf8"),
  ) as { windows: GoldenWindow[] };
  const { peer } = await PeerProcess.start(command);
  const windows = golden.windows.slice(0, scored.windows);
  const scores = [];
  for (const { ids, top_ids } of windows)
    scores.push(await peer.score(ids.slice(0, scored.tokens), top_ids.slice(0, scored.tokens)));
  await peer.stop();
  return faithfulness(windows, scores);
}

const { values } = parseArgs({
  options: {
    help: { type: "boolean" },
    gguf: { type: "string" },
    llama: { type: "string" },
    minutes: { type: "string", default: "5" },
    only: { type: "string", default: "" },
    faithfulness: { type: "boolean", default: false },
    fresh: { type: "boolean", default: false },
  },
});
const { gguf, llama, only } = values;
if (values.help || gguf === undefined || llama === undefined) {
  console.error(HELP);
  process.exit(values.help ? 0 : 2);
}
const all = await contestants({ gguf, llama });
const versions = ["onnxruntime-web", "onnxruntime-node", "wllama-2", "wllama-3", "playwright-core"];
const kept =
  !values.fresh && existsSync(`${RESULTS}peers-smollm2.json`) ? loadResult("peers-smollm2") : undefined;
const results: SmolResults = {
  machine: machine(versions),
  contestants: Object.fromEntries(
    all.map((one) => {
      const { engine, weights, bits, where, rounds, decodeTokens, engineFiles, modelFiles } = one;
      const before = kept?.contestants[nameOf(one)]?.faithfulness;
      const entry = { engine, weights, bits, where, rounds, decodeTokens };
      const sizes = { engineBytes: bytesOf(engineFiles), modelBytes: bytesOf(modelFiles) };
      return [nameOf(one), { ...entry, ...sizes, ...(before && { faithfulness: before }) }];
    }),
  ),
  turns: kept?.turns ?? [],
};
const chosen = all.filter((one) => nameOf(one).includes(only));

if (values.faithfulness)
  for (const one of chosen) {
    if (one.scored === undefined) continue;
    const found = await score(one, one.scored);
    results.contestants[nameOf(one)]!.faithfulness = found;
    saveResult("peers-smollm2", results);
    console.error(`${nameOf(one)}: KL ${found.kl.toFixed(5)}, ${(100 * found.sameFirst).toFixed(1)} %`);
  }
else {
  const until = Date.now() + 60e3 * Number(values.minutes);
  const own = chosen.filter(({ engine }) => engine === "edgeformer");
  const taken = (one: Contestant) => results.turns.filter(({ contestant }) => contestant === nameOf(one));
  while (Date.now() < until) {
    const [next] = chosen
      .filter((one) => taken(one).length < one.rounds)
      .sort((a, b) => taken(a).length / a.rounds - taken(b).length / b.rounds);
    if (next === undefined) break;
    const stale = own.filter(
      (one) =>
        one.bits === next.bits &&
        !(Date.parse(taken(one).at(-1)?.at ?? "") > Date.now() - OWN_EVERY_SECONDS * 1e3),
    );
    for (const one of own.includes(next) ? [next] : [...stale, next]) {
      const done = await turn(one);
      results.turns.push(done);
      saveResult("peers-smollm2", results);
      const [prefill, decode] = [done.prefill, done.decode].map((speeds) =>
        speeds.map((speed) => speed.toFixed(1)).join(" "),
      );
      console.error(`${done.contestant}: prefill ${prefill}; decode ${decode}`);
    }
  }
}
process.exit(0);
