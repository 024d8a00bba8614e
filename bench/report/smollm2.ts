import {
  CONTEXTS,
  type Entry,
  nameOf,
  PROMPTS,
  type SmolResults,
  type Turn,
} from "../peers-smollm2-results.ts";
import { median, spread } from "../statistics.ts";
import { type Bar, barChart, short } from "../svg.ts";
import { describeMachine, type Row, table, target } from "./markdown.ts";

/** A text with this divergence from float32 is another text. */
const BROKEN_KL = 0.3;
const OWN = { 4: "edgeformer, four bits", 8: "edgeformer, int8" } as const;

const turnsOf = ({ turns }: SmolResults, name: string) =>
  turns.filter(({ contestant }) => contestant === name);
const middle = (turns: readonly Turn[], of: (turn: Turn) => number) => median(turns.map(of));
const isOwn = ({ engine }: Entry) => engine.startsWith("edgeformer");
const isWasm = ({ where }: Entry) => where !== "native";
const isPublished = ({ engine }: Entry) => /^(wllama|onnxruntime-web)/.test(engine);

/** How many times as fast edgeformer is, by its last turn before each of another's. */
function factor(results: SmolResults, own: string, name: string, of: (turn: Turn) => number): number {
  const ours = turnsOf(results, own);
  return median(
    turnsOf(results, name).map((turn) => {
      const before = ours.filter(({ at }) => at <= turn.at).at(-1) ?? ours[0]!;
      return of(before) / of(turn);
    }),
  );
}

const decode = (turn: Turn) => turn.decode[CONTEXTS.indexOf(128)]!;
const prefill = (turn: Turn) => turn.prefill[PROMPTS.indexOf(128)]!;

/** The least factor over the contestants that `chosen` takes, and whose that is. */
function least(
  results: SmolResults,
  own: string,
  chosen: (entry: Entry) => boolean,
  of: (turn: Turn) => number,
): { value: number; name: string } {
  return Object.values(results.contestants)
    .filter((entry) => !isOwn(entry) && chosen(entry))
    .map((entry) => ({ name: nameOf(entry), value: factor(results, own, nameOf(entry), of) }))
    .reduce((one, other) => (other.value < one.value ? other : one));
}

export function smolTargets(results: SmolResults): Row[] {
  const entries = Object.values(results.contestants);
  const native = (entry: Entry) => entry.engine === "llama.cpp" && entry.bits === 4;
  const rows: [what: string, chosen: (entry: Entry) => boolean, of: (turn: Turn) => number, bound: number][] =
    [
      ["decode ÷ the fastest published WebAssembly engine", isPublished, decode, 6],
      ["prefill ÷ the fastest published WebAssembly engine", isPublished, prefill, 2.5],
      ["decode ÷ native llama.cpp's fastest in four bits", native, decode, 1.2],
    ];
  const kl = (own: boolean) =>
    Math.min(
      ...entries
        .filter(({ engine, bits }) => bits === 4 && engine.startsWith("edgeformer") === own)
        .map(({ faithfulness }) => faithfulness?.kl ?? Infinity),
    );
  return [
    ...rows.map(([what, chosen, of, bound]) => {
      const { value, name } = least(results, OWN[4], chosen, of);
      return target(`SmolLM2, four bits: ${what} (${name})`, value, bound, "≥");
    }),
    target("SmolLM2: KL to float32 ÷ the best other engine's in four bits", kl(true) / kl(false), 1, "≤"),
  ];
}

const isBroken = ({ faithfulness }: Entry) => faithfulness !== undefined && faithfulness.kl > BROKEN_KL;
const label = (entry: Entry) => (isBroken(entry) ? `${nameOf(entry)} (broken text)` : nameOf(entry));

/** Plots by name. */
export function smolPlots(results: SmolResults): Record<string, string> {
  const bars = (of: (turn: Turn) => number): Bar[] =>
    Object.entries(results.contestants)
      .map(([name, entry]) => ({
        label: `${label(entry)}${isWasm(entry) ? "" : ", native"}`,
        value: middle(turnsOf(results, name), of),
        own: isOwn(entry),
      }))
      .sort((a, b) => b.value - a.value);
  const title = "tokens per second, one thread, SmolLM2-135M-Instruct";
  return {
    "smollm2-decode": barChart(`Decode after 128 tokens, ${title}`, bars(decode)),
    "smollm2-prefill": barChart(`Prompt of 128, ${title}`, bars(prefill)),
  };
}

const speedRow = (results: SmolResults, [name, entry]: [string, Entry]): Row => {
  const turns = turnsOf(results, name);
  const own = isOwn(entry);
  return [
    label(entry),
    entry.where,
    ...PROMPTS.map((_, i) => middle(turns, (turn) => turn.prefill[i]!)),
    ...CONTEXTS.map((_, i) => middle(turns, (turn) => turn.decode[i]!)),
    `${(100 * spread(turns.map(decode))).toFixed(0)} %`,
    String(entry.decodeTokens),
    own ? "" : short(factor(results, OWN[entry.bits], name, prefill)),
    own ? "" : short(factor(results, OWN[entry.bits], name, decode)),
    turns.length,
  ];
};

const costRow = (results: SmolResults, [name, entry]: [string, Entry]): Row => {
  const turns = turnsOf(results, name);
  const { faithfulness } = entry;
  return [
    label(entry),
    entry.engineBytes / 1e6,
    entry.modelBytes / 1e6,
    middle(turns, ({ peakBytes }) => peakBytes / 1e6),
    middle(turns, ({ loadMs }) => loadMs),
    middle(turns, ({ firstTokenMs }) => firstTokenMs),
    ...(faithfulness === undefined
      ? ["", "", ""]
      : [
          faithfulness.kl.toPrecision(2),
          `${(100 * faithfulness.sameFirst).toFixed(1)} %`,
          String(faithfulness.positions),
        ]),
  ];
};

/** The real model against peers. */
export function smolSection(results: SmolResults): string {
  const entries = Object.entries(results.contestants);
  const built = (own: string, of: (turn: Turn) => number) =>
    short(least(results, own, ({ engine }) => engine === "llama.cpp in WebAssembly", of).value);
  return `\`npm run bench:smollm2\`: ${describeMachine(results.machine)} One thread; by turns, each in a new process, edgeformer again
whenever its last turn was 60 seconds ago: ratios are medians of the ratios to edgeformer's last turn, in as many bits.
Spread is half the distance between the quartiles of decode at 128.

${table(
  [
    "",
    "where",
    ...PROMPTS.map((tokens) => `prefill of ${tokens}, tok/s`),
    ...CONTEXTS.map((context) => `decode at ${context}, tok/s`),
    "spread",
    "tokens decoded",
    "edgeformer's prefill ÷",
    "edgeformer's decode ÷",
    "turns",
  ],
  entries.map((entry) => speedRow(results, entry)),
)}

Against llama.cpp in WebAssembly with its SIMD kernels, in its fastest format, edgeformer's four bits are
${built(OWN[4], decode)} times as fast in decode and ${built(OWN[4], prefill)} times in prefill.

${table(
  [
    "",
    "engine, MB",
    "model, MB",
    "peak memory, MB",
    "load, ms",
    "first token of 128, ms",
    "KL to float32",
    "same first choice",
    "positions",
  ],
  entries.map((entry) => costRow(results, entry)),
)}`;
}

/** README's choice of them. */
const README_ROWS: [name: string, what: string][] = [
  ["edgeformer, four bits", "WebAssembly, the file's codes"],
  ["llama.cpp, Q4_1", "native, the file"],
  ["llama.cpp, Q4_0", "native"],
  ["llama.cpp in WebAssembly, Q4_0", "built with its SIMD kernels"],
  ["wllama 2.4.0, Q4_0", "WebAssembly, as published"],
  ["onnxruntime-web, MatMulNBits", "WebAssembly, as published"],
];

/** README's table of the real model. */
export function smolSpeedTable(results: SmolResults): string {
  const { cpu, date } = results.machine;
  const rows = README_ROWS.map(([name, what]): Row => {
    const turns = turnsOf(results, name);
    const { faithfulness } = results.contestants[name]!;
    const shown = name.startsWith("edgeformer") ? `**${name}**` : name;
    return [shown, what, middle(turns, prefill), middle(turns, decode), faithfulness!.kl.toPrecision(2)];
  });
  return `SmolLM2-135M-Instruct from its Q4_1 file, on one thread of an ${cpu} (${date}), medians of turns taken alternately: a prompt of 128, decode after 128, and how far the probabilities are from float32.

${table(["", "what", "prefill, tok/s", "decode, tok/s", "KL"], rows)}`;
}
