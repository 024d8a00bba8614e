import type { Cost, GrowthResults } from "../growth/results.ts";
import { fitLine, median } from "../statistics.ts";
import { lineChart } from "../svg.ts";
import { describeMachine, type Row, table } from "./markdown.ts";

const medians = (samples: number[][]) => samples.map(median);

/** Rows by x, columns by model; nothing where a model has no such point. */
function byModel(
  first: string,
  xs: number[],
  series: [label: string, xs: number[], values: number[]][],
): string {
  const rows = xs.map(
    (x): Row => [
      String(x),
      ...series.map(([, own, values]) => (own.includes(x) ? values[own.indexOf(x)]!.toPrecision(3) : "")),
    ],
  );
  return table([first, ...series.map(([label]) => label)], rows);
}

/** How a step grows with its context: what a position costs, and what that is made of. */
function slopeOfContext(
  name: string,
  { contexts, decode }: GrowthResults["context"][string],
  cost: Cost,
): string {
  const { base, slope } = fitLine(contexts, medians(decode));
  const nanoseconds = slope * 1e6;
  const longest = contexts.at(-1)!;
  const share = (slope * longest) / (base + slope * longest);
  return `- **${name}**: ${base.toFixed(2)} ms and ${nanoseconds.toFixed(0)} ns for each position. A position is ${cost.cacheBytes} bytes of keys and values and ${cost.attentionProducts} products, so attention reads ${(cost.cacheBytes / nanoseconds).toFixed(1)} GB/s and computes ${(cost.attentionProducts / nanoseconds).toFixed(1)} GMAC/s: it is bound by arithmetic, the softmax of each score among it. It takes ${(100 * share).toFixed(0)} % of a step behind ${longest} tokens${base / slope < longest ? `, and half of one behind ${Math.round(base / slope)}` : ""}.`;
}

export function contextSection({ machine, rounds, models, context }: GrowthResults): string {
  const entries = Object.entries(context);
  const xs = entries.reduce(
    (longest, [, { contexts }]) => (contexts.length > longest.length ? contexts : longest),
    [0],
  );
  const series = (what: "decode" | "prefill") =>
    entries.map(([name, of]): [string, number[], number[]] => [name, of.contexts, medians(of[what])]);
  return `\`npm run growth\`: ${describeMachine(machine)} Medians of ${rounds} rounds, milliseconds a token. Decode is one sequence
behind so many tokens, prefill a pass of 64 rows that ends there. \`smollm2-135m-four-bit\` is the real SmolLM2-135M-Instruct.

${byModel("decode behind", xs, series("decode"))}

${entries.map(([name, of]) => slopeOfContext(name, of, models[name]!)).join("\n")}

${byModel("prefill up to", xs, series("prefill"))}

${entries.map(([name, of]) => slopeOfPrefill(name, of, models[name]!)).join("\n")}`;
}

function slopeOfPrefill(
  name: string,
  { contexts, prefill }: GrowthResults["context"][string],
  cost: Cost,
): string {
  const { base, slope } = fitLine(contexts, medians(prefill));
  const nanoseconds = slope * 1e6;
  return `- **${name}**: ${base.toFixed(2)} ms and ${nanoseconds.toFixed(0)} ns for each position, ${(cost.attentionProducts / nanoseconds).toFixed(1)} GMAC/s: every row looks back by itself, so attention gains nothing from a pass of 64.`;
}

export function sequencesSection({ models, sequences }: GrowthResults): string {
  const entries = Object.entries(sequences);
  const { counts } = entries[0]![1];
  const gain = entries.map(([name, { counts, step }]): [string, number[], number[]] => [
    name,
    counts,
    counts.map((count, i) => (count * median(step[0]!)) / median(step[i]!)),
  ]);
  const slopes = entries.map(([name, { counts, step }]) => {
    const times = medians(step);
    const from = counts.indexOf(8);
    const { slope } = fitLine(counts.slice(from), times.slice(from));
    const { weights } = models[name]!;
    const rate = (ms: number) => (weights / ms / 1e6).toFixed(1);
    return `- **${name}**: alone a step takes ${times[0]!.toFixed(2)} ms, ${rate(times[0]!)} GMAC/s; from eight on a further sequence adds ${slope.toFixed(2)} ms, ${rate(slope)} GMAC/s. So together they can be ${(times[0]! / slope).toFixed(2)} × as fast and no faster: what one alone leaves idle waiting for memory.`;
  });
  return `Tokens a second of so many sequences together, relative to one alone, behind 64 tokens each:

${byModel("sequences", counts, gain)}

${slopes.join("\n")}`;
}

export function sizesSection({ models, sizes, bandwidth }: GrowthResults): string {
  const rows = Object.entries(sizes).map(([name, { decode, prefill }]): Row => {
    const { weights, weightBytes } = models[name]!;
    const limit = (weightBytes / median(bandwidth[name]!)) * 1e3;
    return [
      name,
      weights / 1e6,
      weightBytes / 1e6,
      median(bandwidth[name]!) / 1e9,
      median(decode),
      limit / median(decode),
      weights / median(decode) / 1e6,
      median(prefill),
    ];
  });
  const [small, large] = ["smollm2-135m", "smollm2-360m"];
  const slope = (kind: string) => {
    const more = (of: (name: string) => number) => of(`${large}-${kind}`) - of(`${small}-${kind}`);
    const ms = more((name) => median(sizes[name]!.decode));
    const bytes = more((name) => models[name]!.weightBytes);
    const products = more((name) => models[name]!.weights);
    return `${(bytes / 1e6).toFixed(0)} MB and ${(products / 1e6).toFixed(0)} million products more take ${ms.toFixed(1)} ms more, ${(bytes / ms / 1e6).toFixed(1)} GB/s and ${(products / ms / 1e6).toFixed(1)} GMAC/s`;
  };
  return `Behind 64 tokens, and a prompt of 128:

${table(["", "M weights", "MB a token", "read bandwidth, GB/s", "decode, ms", "share of that bandwidth", "decode, GMAC/s", "prefill, ms a token"], rows)}

From SmolLM2-135M to 360M in eight bits ${slope("int8")}: reading is the limit. In four bits ${slope("four-bit")}: nearer to the arithmetic of its kernel than to what memory gives. Models of up to some
30 MB are read from the processor's cache, at more than twice the bandwidth; there arithmetic is the limit of both.`;
}

export function growthPlots({ context, sequences, sizes, models }: GrowthResults): Record<string, string> {
  const long = Object.entries(context).filter(([, { contexts }]) => contexts.length > 4);
  const shapes = Object.keys(sizes).filter((name) => name.endsWith("-int8"));
  const size = (what: "decode" | "prefill", kind: string) => ({
    label: `${what}, ${kind}`,
    values: shapes.map((name) => median(sizes[name.replace("int8", kind)]![what])),
  });
  return {
    "growth-context": lineChart(
      "Milliseconds per token by context",
      "tokens before it",
      long[0]![1].contexts.map(String),
      long.flatMap(([name, { decode, prefill }]) => {
        const kind = name.replace("smollm2-135m-", "");
        return [
          { label: `decode, ${kind}`, values: medians(decode) },
          { label: `prefill, ${kind}`, values: medians(prefill) },
        ];
      }),
    ),
    "growth-sequences": lineChart(
      "Tokens per second by sequences, relative to one",
      "sequences decoded together",
      Object.values(sequences)[0]!.counts.map(String),
      Object.entries(sequences).map(([label, { counts, step }]) => ({
        label,
        values: counts.map((count, i) => (count * median(step[0]!)) / median(step[i]!)),
      })),
    ),
    "growth-size": lineChart(
      "Milliseconds per token by model",
      "million weights",
      shapes.map((name) => (models[name]!.weights / 1e6).toFixed(0)),
      [
        size("decode", "int8"),
        size("decode", "four-bit"),
        size("prefill", "int8"),
        size("prefill", "four-bit"),
      ],
    ),
  };
}
