import type { ColdResults } from "../growth/cold-results.ts";
import { median } from "../statistics.ts";
import { stackedChart } from "../svg.ts";
import { describeMachine, type Row, table } from "./markdown.ts";

/** The picture's parts, and the phases in each. */
const PARTS: [part: string, phases: string[]][] = [
  [
    "start: process, script, engine",
    ["start of workerd", "the Worker's script", "the engine", "the request"],
  ],
  ["model.json and tokenizer", ["model.json", "tokenizer"]],
  ["bytes of the parts", ["memory", "bytes of the parts"]],
  ["copy into memory", ["copy into memory"]],
  ["SHA-256", ["SHA-256"]],
  ["checks of the weights", ["checks"]],
  ["template and tokens", ["template and tokens"]],
  ["prompt", ["prompt"]],
  ["head and draw", ["head and draw"]],
];

export function coldSection({ machine, rounds, models }: ColdResults): string {
  const all = Object.values(models);
  const phases = Object.keys(all[0]!.phases);
  // Differences of two starts may be negative: they are lost in the noise of a start.
  const shown = (ms: number) => (ms < 1 ? "< 1" : ms.toFixed(0));
  const rows: Row[] = phases.map((phase) => [
    phase,
    ...all.map(({ phases }) => shown(median(phases[phase]!))),
  ]);
  rows.push(["**all of it**", ...all.map(({ total }) => `**${median(total).toFixed(0)}**`)]);
  const prompts = Object.entries(models).map(
    ([name, { bytes, tokens }]) => `${name} ${(bytes / 1e6).toFixed(1)} MB and a prompt of ${tokens} tokens`,
  );
  return `\`npm run cold\`: ${describeMachine(machine)} Medians of ${rounds} rounds, each in a workerd process of its own on one
processor, the files in the disk's cache: ${prompts.join(", ")}. The clock in a Worker ticks in whole milliseconds.

${table(["ms", ...Object.keys(models)], rows)}

${whatItShows({ models })}`;
}

/** What follows from the figures of the largest model. */
function whatItShows({ models }: Pick<ColdResults, "models">): string {
  const [name, { phases, bytes, tokens, total }] = Object.entries(models).at(-1)!;
  const ms = (phase: string) => median(phases[phase]!);
  const share = (part: number) => `${((100 * part) / median(total)).toFixed(0)} %`;
  const load = ms("bytes of the parts") + ms("copy into memory") + ms("SHA-256") + ms("checks");
  return `Of ${name}'s first token, its weights take ${share(load)}: reading them costs ${ms("bytes of the parts").toFixed(0)} ms, bringing
them into fresh memory ${ms("copy into memory").toFixed(0)} ms, most of it the system's zeros for every page, and SHA-256 ${ms("SHA-256").toFixed(0)} ms, ${(bytes / 1e6 / ms("SHA-256")).toFixed(2)} GB/s. The
prompt takes ${share(ms("prompt"))}, ${(ms("prompt") / tokens).toFixed(1)} ms a token: V8 begins with code that it has not optimized yet.`;
}

export function coldPlots({ models }: ColdResults): Record<string, string> {
  const stacks = Object.entries(models).map(([label, { phases }]) => ({
    label,
    values: PARTS.map(([, names]) =>
      names.reduce((sum, name) => sum + Math.max(0, median(phases[name]!)), 0),
    ),
  }));
  const parts = PARTS.map(([part]) => part);
  return { cold: stackedChart("First token of a cold Worker", "ms", parts, stacks) };
}
