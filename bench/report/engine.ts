import { bytesPerStep, SHAPES } from "../shapes.ts";
import { median, medianRatio, spread } from "../statistics.ts";
import { lineChart, short } from "../svg.ts";
import { BATCHES, CONTEXTS, type EngineResults, PREFILLS, type RuntimeName, taskKey } from "../tasks.ts";
import { describeMachine, type Row, table, target } from "./markdown.ts";

const RUNTIMES: RuntimeName[] = ["node", "workerd"];

/** Medians of one run of the engine's benchmark. */
class EngineFigures {
  readonly #results: EngineResults;
  constructor(results: EngineResults) {
    this.#results = results;
  }
  #samples(shape: string, runtime: RuntimeName, task: string, size?: number): number[] {
    const values = this.#results.samples[taskKey(shape, runtime, task, size)];
    if (values === undefined)
      throw new Error(`no figures for ${shape}: run npm run bench -- --shapes ${shape}`);
    return values;
  }
  /** Milliseconds (bandwidth: bytes per second). */
  get(shape: string, runtime: RuntimeName, task: string, size?: number): number {
    return median(this.#samples(shape, runtime, task, size));
  }
  /** One task's milliseconds ÷ another's, in Node. */
  ratio(shape: string, one: [task: string, size?: number], other: [task: string, size?: number]): number {
    return medianRatio(this.#samples(shape, "node", ...one), this.#samples(shape, "node", ...other));
  }
  get shapes(): string[] {
    return Object.keys(SHAPES).filter((name) => this.#results.samples[taskKey(name, "node", "bandwidth")]);
  }
  /** Largest spread of the Node figures of a shape. */
  spread(shape: string): number {
    const all = Object.entries(this.#results.samples).filter(([key]) => key.startsWith(`${shape}/node/`));
    return median(all.map(([, values]) => spread(values)));
  }
  /** Median over the compute tasks of workerd's time over Node's. */
  workerdOverNode(shape: string): number {
    const keys = Object.keys(this.#results.samples).filter((key) =>
      new RegExp(`^${shape}/node/(decode|prefill|batch)/`).test(key),
    );
    const { samples } = this.#results;
    return median(
      keys.map((key) => medianRatio(samples[key.replace("/node/", "/workerd/")]!, samples[key]!)),
    );
  }
}

function speedTable(figures: EngineFigures, runtime: RuntimeName): string {
  const of = (shape: string, task: string, size?: number) => figures.get(shape, runtime, task, size);
  const rows: Row[] = [
    ["read bandwidth, GB/s", ...figures.shapes.map((s) => of(s, "bandwidth") / 1e9)],
    ["weights read per token, MB", ...figures.shapes.map((s) => bytesPerStep(SHAPES[s]!) / 1e6)],
    ...CONTEXTS.map(
      (context): Row => [
        `decode at context ${context}, tok/s`,
        ...figures.shapes.map((s) => 1e3 / of(s, "decode", context)),
      ],
    ),
    ...PREFILLS.map(
      (tokens): Row => [
        `prefill of ${tokens}, tok/s`,
        ...figures.shapes.map((s) => (tokens * 1e3) / of(s, "prefill", tokens)),
      ],
    ),
    ...BATCHES.map(
      (sequences): Row => [
        `${sequences} sequence${sequences > 1 ? "s" : ""} together, tok/s`,
        ...figures.shapes.map((s) => (sequences * 1e3) / of(s, "batch", sequences)),
      ],
    ),
    ["sampling (temperature, top-k, top-p), ms", ...figures.shapes.map((s) => of(s, "sample"))],
    ["through `generate()`, tok/s", ...figures.shapes.map((s) => 1e3 / of(s, "generate", 1))],
    ["first token of a 128-token prompt, ms", ...figures.shapes.map((s) => of(s, "firstToken", 128))],
    ["load, ms", ...figures.shapes.map((s) => of(s, "load"))],
  ];
  return table(["", ...figures.shapes], rows);
}

export function engineTargets(results: EngineResults): Row[] {
  const figures = new EngineFigures(results);
  const rows: Row[] = [];
  const share = (shape: string) => figures.ratio(shape, ["sample"], ["decode", 64]);
  if (figures.shapes.includes("distilgpt2")) {
    const d = "distilgpt2";
    rows.push(
      target("decode at context 1000 ÷ at 64", figures.ratio(d, ["decode", 64], ["decode", 1000]), 0.8, "≥"),
      target("8 sequences together ÷ 1", 8 * figures.ratio(d, ["batch", 1], ["batch", 8]), 1.4, "≥"),
      target("sampling, share of a DistilGPT-2 step", share(d), 0.05, "≤", "%"),
      target("workerd's time ÷ Node's, DistilGPT-2", figures.workerdOverNode(d), 1.1, "≤"),
    );
  }
  if (figures.shapes.includes("fable"))
    rows.push(
      target("sampling, share of a fable step", share("fable"), 0.2, "≤", "%"),
      target("workerd's time ÷ Node's, fable", figures.workerdOverNode("fable"), 1.1, "≤"),
    );
  return rows;
}

/** Plots by name. */
export function enginePlots(results: EngineResults): Record<string, string> {
  const figures = new EngineFigures(results);
  const { shapes } = figures;
  const lines = (task: string, sizes: number[], value: (ms: number, size: number) => number) =>
    shapes.map((shape) => ({
      label: shape,
      values: sizes.map((size) => value(figures.get(shape, "node", task, size), size)),
    }));
  return {
    size: lineChart(
      "Milliseconds per token by model, context 64",
      "MB of weights read per token",
      shapes.map((shape) => short(bytesPerStep(SHAPES[shape]!) / 1e6)),
      [
        { label: "measured", values: shapes.map((shape) => figures.get(shape, "node", "decode", 64)) },
        {
          label: "memory limit",
          values: shapes.map(
            (shape) => (bytesPerStep(SHAPES[shape]!) * 1e3) / figures.get(shape, "node", "bandwidth"),
          ),
        },
      ],
    ),
    context: lineChart(
      "Milliseconds per token by context",
      "tokens before it",
      CONTEXTS.map(String),
      lines("decode", CONTEXTS, (ms) => ms),
    ),
    batch: lineChart(
      "Tokens per second by batch, relative to one sequence",
      "sequences decoded together",
      BATCHES.map(String),
      shapes.map((shape) => ({
        label: shape,
        values: BATCHES.map(
          (sequences) =>
            (sequences * figures.get(shape, "node", "batch", 1)) /
            figures.get(shape, "node", "batch", sequences),
        ),
      })),
    ),
  };
}

/** The tables by model, with what they were measured on. */
export function engineSection(results: EngineResults): string {
  const figures = new EngineFigures(results);
  const tables = RUNTIMES.map((runtime) => {
    const title = runtime === "node" ? "In Node" : "In workerd, the same wasm";
    return `**${title}**\n\n${speedTable(figures, runtime)}`;
  });
  const spreads = figures.shapes.map((shape) => `${shape} ${(100 * figures.spread(shape)).toFixed(1)} %`);
  return `\`npm run bench\`: ${describeMachine(results.machine)} Medians of ${results.rounds} rounds; half the distance
between the quartiles is typically ${spreads.join(", ")} of them. Load includes reading from the disk's cache and the SHA-256 of every byte.
${results.pinned ? "Node and workerd were kept on one processor." : "Node and workerd were not kept on one processor."}

${tables.join("\n\n")}`;
}
