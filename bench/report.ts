import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  BATCHES,
  CONTEXTS,
  type EngineResults,
  PREFILLS,
  type RuntimeName,
  taskKey,
} from "./engine-bench.ts";
import type { Machine } from "./measure.ts";
import { besidePeer, PEERS, type PeerName, type PeerResults } from "./peers-bench.ts";
import { bytesPerStep, SHAPES } from "./shapes.ts";
import { median, medianRatio, spread } from "./statistics.ts";
import { barChart, lineChart, short } from "./svg.ts";

const DOCS = fileURLToPath(new URL("../docs/", import.meta.url));
const RUNTIMES: RuntimeName[] = ["node", "workerd"];

type Row = (string | number)[];

function table(header: string[], rows: Row[]): string {
  const line = (cells: Row) => `| ${cells.map((c) => (typeof c === "number" ? short(c) : c)).join(" | ")} |`;
  return [line(header), line(header.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

function describeMachine({ cpu, cores, memoryGiB, os, load, versions, date }: Machine): string {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${date}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${os}, load ${load.toFixed(1)} at the end (1 is this benchmark alone); ${list.join(", ")}.`;
}

/** A target of the project, what was measured, and whether it is met. */
function target(what: string, measured: number, bound: number, sense: "≥" | "≤", unit = "×"): Row {
  const met = sense === "≥" ? measured >= bound : measured <= bound;
  const show = (value: number) => (unit === "%" ? `${(100 * value).toFixed(1)} %` : `${value.toFixed(2)} ×`);
  return [what, `${sense} ${show(bound)}`, show(measured), met ? "yes" : "no"];
}

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

function engineTargets(figures: EngineFigures): Row[] {
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

/** Held against both figures: of a first prompt, and of a process that is warm. */
const PREFILL_TARGETS: [PeerName, number][] = [
  ["llama.cpp", 0.85],
  ["onnxruntime-web", 2.3],
  ["wllama", 12],
];

function peerTargets(results: PeerResults): Row[] {
  const { peers, bandwidth, shape, firstPrompt } = results;
  const ratio = (what: "prefill" | "decode", name: PeerName) =>
    medianRatio(besidePeer(results, name)[what], peers[name][what]);
  const share = medianRatio(peers.edgeformer.decode, bandwidth) * bytesPerStep(SHAPES[shape]!);
  return [
    target("decode, share of the read bandwidth", share, 0.75, "≥"),
    target("decode ÷ llama.cpp", ratio("decode", "llama.cpp"), 1.5, "≥"),
    target("decode ÷ onnxruntime-web", ratio("decode", "onnxruntime-web"), 7, "≥"),
    target("decode ÷ wllama", ratio("decode", "wllama"), 10, "≥"),
    ...PREFILL_TARGETS.flatMap(([name, bound]) => [
      target(
        `prefill ÷ ${name}, first prompt`,
        medianRatio(firstPrompt.edgeformer, firstPrompt[name]),
        bound,
        "≥",
      ),
      target(`prefill ÷ ${name}, warmed up`, ratio("prefill", name), bound, "≥"),
    ]),
  ];
}

function plotEngine(figures: EngineFigures): void {
  const { shapes } = figures;
  const lines = (task: string, sizes: number[], value: (ms: number, size: number) => number) =>
    shapes.map((shape) => ({
      label: shape,
      values: sizes.map((size) => value(figures.get(shape, "node", task, size), size)),
    }));
  const plots: Record<string, string> = {
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
  for (const [name, svg] of Object.entries(plots)) writeFileSync(`${DOCS}benchmarks-${name}.svg`, svg);
}

function plotPeers({ peers, bandwidth, shape }: PeerResults): void {
  const bars = (what: "decode" | "prefill") =>
    PEERS.map((name) => ({
      label: name,
      value: median(peers[name][what]),
      own: name === "edgeformer",
    }));
  const limit = median(bandwidth) / bytesPerStep(SHAPES[shape]!);
  writeFileSync(
    `${DOCS}benchmarks-peers-decode.svg`,
    barChart("Decode, tokens per second, one thread, DistilGPT-2's shape", bars("decode"), {
      label: "memory limit",
      value: limit,
    }),
  );
  writeFileSync(
    `${DOCS}benchmarks-peers-prefill.svg`,
    barChart("Prompt of 128, tokens per second, one thread, DistilGPT-2's shape", bars("prefill")),
  );
}

function engineSection(results: EngineResults, figures: EngineFigures): string {
  const tables = RUNTIMES.map((runtime) => {
    const title = runtime === "node" ? "In Node" : "In workerd, the same wasm";
    return `**${title}**\n\n${speedTable(figures, runtime)}`;
  });
  const spreads = figures.shapes.map((shape) => `${shape} ${(100 * figures.spread(shape)).toFixed(1)} %`);
  return `## By model, context and batch

\`npm run bench\`: ${describeMachine(results.machine)} Medians of ${results.rounds} rounds; half the distance
between the quartiles is typically ${spreads.join(", ")} of them. Load includes reading from the disk's cache and the SHA-256 of every byte.
${results.pinned ? "Node and workerd were kept on one processor." : "Node and workerd were not kept on one processor."}

${tables.join("\n\n")}

![Cost by model](benchmarks-size.svg)
![Cost by context](benchmarks-context.svg)
![Gain by batch](benchmarks-batch.svg)
`;
}

function peerSection(results: PeerResults): string {
  const { peers, bandwidth, shape, firstPrompt } = results;
  const limit = median(bandwidth) / bytesPerStep(SHAPES[shape]!);
  const notes: Record<(typeof PEERS)[number], string> = {
    edgeformer: "int8 wasm, Node",
    "llama.cpp": "native, Q8_0",
    "onnxruntime-node": "native, dynamic int8",
    "onnxruntime-web": "wasm, dynamic int8, Node",
    wllama: "llama.cpp's wasm, Q8_0, Chromium",
  };
  const rows: Row[] = PEERS.map((name) => [
    name,
    notes[name],
    median(firstPrompt[name]),
    median(peers[name].prefill),
    median(peers[name].decode),
    name === "edgeformer" ? 1 : medianRatio(besidePeer(results, name).decode, peers[name].decode),
  ]);
  rows.push(["memory limit", `${short(median(bandwidth) / 1e9)} GB/s`, "", "", limit, ""]);
  return `## Against peers

\`npm run bench:peers\`: ${describeMachine(results.machine)} Medians of ${results.rounds} rounds. DistilGPT-2's shape
(6 layers of 768, 12 heads, vocabulary 50257), random weights, a prompt of 128 tokens and 128 greedy tokens after it.
The first prompt is that of a new process, right after one of four tokens, while the just-in-time compiler is still at
work: a peer with 9 to 14 MB of wasm runs unoptimized for a while. All other figures are of processes that have done
whole rounds before.

${table(["", "what", "first prompt, tok/s", "prefill, tok/s", "decode, tok/s", "edgeformer is … × as fast"], rows)}

![Decode against peers](benchmarks-peers-decode.svg)
![Prefill against peers](benchmarks-peers-prefill.svg)
`;
}

/** Writes docs/benchmarks.md and its plots from whatever has been measured. */
export function writeReport(engine: EngineResults | undefined, peers: PeerResults | undefined): void {
  const sections: string[] = [];
  const targets: Row[] = [];
  if (peers !== undefined) {
    targets.push(...peerTargets(peers));
    plotPeers(peers);
    sections.push(peerSection(peers));
  }
  if (engine !== undefined) {
    const figures = new EngineFigures(engine);
    targets.push(...engineTargets(figures));
    plotEngine(figures);
    sections.push(engineSection(engine, figures));
  }
  const text = `# Benchmarks

Written by \`npm run bench\` and \`npm run bench:peers\` in \`bench/\`; the samples are in \`bench/results/\`. One thread
everywhere. Each round measures everything once, in turn, so that the machine's moods befall all alike: compare
within a table, not across machines or days. Figures are medians over the rounds; ratios are medians of the ratio
within a round.

${table(["target", "asked", "measured", "met"], targets)}

${sections.join("\n")}`;
  writeFileSync(`${DOCS}benchmarks.md`, text);
  for (const [what, asked, measured, met] of targets)
    console.error(`${what}: ${measured} (${asked}): ${met}`);
}
