// What docs/performance.md takes from the profile and from the kernels.
import type { GrowthResults } from "../growth/results.ts";
import type { KernelFigure, KernelResults } from "../kernel-results.ts";
import type { PeerResults } from "../peers-results.ts";
import type { ProfileResults } from "../profile-results.ts";
import { blockWeights, SHAPES } from "../shapes.ts";
import { mean, median } from "../statistics.ts";
import { type EngineResults, taskKey } from "../tasks.ts";
import { describeMachine, type Row, table } from "./markdown.ts";

const KIND_NAMES: Record<string, string> = {
  int8: "eight bits",
  "int8-steps": "eight bits, steps",
  "four-bit": "four bits",
};

export function profileSection({ machine, shapes }: ProfileResults): string {
  const tables = Object.entries(shapes).map(([name, { columns, readBytes, bandwidth }]) => {
    const operations = Object.keys(columns[0]!.operations);
    const rows = operations
      .map(
        (operation): Row => [
          operation,
          ...columns.map(({ operations }) => operations[operation]!.toFixed(0)),
        ],
      )
      .filter(([, ...cells]) => cells.some((cell) => cell !== "0"));
    const heads = columns.map(({ what, total }) => `${what}: ${total.toFixed(0)}`);
    return `**${name}**

${table(["µs per token", ...heads], rows)}

Reading the ${(readBytes / 1e6).toFixed(1)} MB of weights once took ${((readBytes / bandwidth) * 1e6).toFixed(0)} µs in the same run (${(bandwidth / 1e9).toFixed(1)} GB/s).`;
  });
  return `\`npm run profile\`: ${describeMachine(machine)} One thread in Node.js, a sampling profiler.

${tables.join("\n\n")}`;
}

/** Mean rate of a kind over the columns that were measured. */
function rateOf(figures: KernelFigure[], kind: string, rows: number, place: "cache" | "memory"): number {
  return mean(
    figures
      .filter(
        (one) => one.kind === kind && one.rows === rows && (one.weights < 1e7 ? "cache" : "memory") === place,
      )
      .map(({ rate }) => rate),
  );
}

/** Vector instructions of a kernel, and the products that they make: docs/performance.md counts them. */
const INSTRUCTIONS: [what: string, kind: string, rows: number, instructions: number, products: number][] = [
  ["one row in eight bits", "int8", 1, 5, 16],
  ["two rows in eight bits", "int8", 2, 18, 64],
  ["one row in four bits", "four-bit", 1, 176 + 40, 512],
];

export function kernelsSection({ machine, peak, figures }: KernelResults): string {
  const kinds = [...new Set(figures.map(({ kind }) => kind))];
  const rows = [...new Set(figures.map(({ rows }) => rows))];
  const places = ["cache", "memory"] as const;
  const header = ["rows", ...places.flatMap((place) => kinds.map((kind) => `${KIND_NAMES[kind]}, ${place}`))];
  const cells = rows.map(
    (count): Row => [
      String(count),
      ...places.flatMap((place) => kinds.map((kind) => rateOf(figures, kind, count, place).toFixed(1))),
    ],
  );
  // Two of the multiplication's instructions make eight products.
  const issued = (2 * peak) / 8;
  const bounds = INSTRUCTIONS.map(([what, kind, count, instructions, products]) => {
    const bound = (issued / instructions) * products;
    const measured = rateOf(figures, kind, count, "cache");
    return `${what} ${bound.toFixed(0)} (measured ${measured.toFixed(1)} in cache)`;
  });
  return `\`npm run kernels\`: ${describeMachine(machine)} GMAC/s: billions of products a second, each figure of the fastest of 15 turns.

${table(header, cells)}

One million weights lie in the cache, 84 million in memory. The multiplication as such, \`i32x4.dot_i16x8_s\` and the
addition that each needs with everything in registers, reaches **${peak.toFixed(1)}**: ${issued.toFixed(1)} vector instructions a nanosecond. If as many
could always be issued, the instructions of the kernels would allow ${bounds.join(", ")}.`;
}

/** How near a whole prompt comes to the multiplication's limit. */
export function prefillLimit(
  { peak, figures }: KernelResults,
  engine: EngineResults,
  peers: PeerResults,
): string {
  const lines = ["distilgpt2", "smollm2", "smollm2-4bit"]
    .filter((name) => engine.samples[taskKey(name, "node", "prefill", 128)] !== undefined)
    .map((name) => {
      const ms = median(engine.samples[taskKey(name, "node", "prefill", 128)]!);
      const rate = (128 * blockWeights(SHAPES[name]!)) / ms / 1e6;
      return `${name} ${rate.toFixed(1)} GMAC/s, ${((100 * rate) / peak).toFixed(0)} %`;
    });
  const kernel = (kind: string) => rateOf(figures, kind, 64, "memory");
  const native = median(peers.peers["onnxruntime-node"].prefill) / median(peers.peers.edgeformer.prefill);
  return `With 64 rows from memory the kernels have ${kernel("int8").toFixed(1)} GMAC/s in eight bits, ${((100 * kernel("int8")) / peak).toFixed(0)} % of the multiplication as such, and
${kernel("four-bit").toFixed(1)} in four, ${((100 * kernel("four-bit")) / peak).toFixed(0)} %. A prompt of 128 with everything that belongs to it, counted by the products of its blocks'
matrices: ${lines.join("; ")}. Native int8 with 512-bit instructions reads DistilGPT-2's prompt ${native.toFixed(1)} × as fast; with the multiplication
alone, and nothing else at all, this one could be ${(peak / kernel("int8")).toFixed(2)} × as fast as its kernels are.`;
}

/** What several rows can gain at most over one after another, by the kernels alone. */
export function rowsLimit({ figures }: KernelResults, { sequences }: GrowthResults): string {
  const counts = [2, 4, 8];
  const kernels = (["int8", "four-bit"] as const).map(
    (kind): Row => [
      `the kernel in ${KIND_NAMES[kind]}, from memory`,
      ...counts.map((count) =>
        ratio(rateOf(figures, kind, count, "memory") / rateOf(figures, kind, 1, "memory")),
      ),
    ],
  );
  const steps = Object.entries(sequences).map(
    ([name, { counts: own, step }]): Row => [
      `a whole step of ${name}`,
      ...counts.map((count) => ratio((count * median(step[0]!)) / median(step[own.indexOf(count)]!))),
    ],
  );
  return `How many times as fast so many rows together are as one after another, and so the most that as many sequences, or one
guess less with every guess right, can gain:

${table(["rows", ...counts.map(String)], [...kernels, ...steps])}`;
}

const ratio = (value: number) => `${value.toFixed(2)} ×`;
