import { besidePeer, PEERS, type PeerName, type PeerResults } from "../peers-results.ts";
import { bytesPerStep, SHAPES } from "../shapes.ts";
import { median, medianRatio } from "../statistics.ts";
import { barChart, short } from "../svg.ts";
import { describeMachine, type Row, table, target } from "./markdown.ts";

/** Held against both figures: of a first prompt, and of a process that is warm. */
const PREFILL_TARGETS: [PeerName, number][] = [
  ["llama.cpp", 0.85],
  ["onnxruntime-web", 2.3],
  ["wllama", 12],
];

export function peerTargets(results: PeerResults): Row[] {
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

/** Plots by name. */
export function peerPlots({ peers, bandwidth, shape }: PeerResults): Record<string, string> {
  const bars = (what: "decode" | "prefill") =>
    PEERS.map((name) => ({
      label: name,
      value: median(peers[name][what]),
      own: name === "edgeformer",
    }));
  const limit = median(bandwidth) / bytesPerStep(SHAPES[shape]!);
  return {
    "peers-decode": barChart("Decode, tokens per second, one thread, DistilGPT-2's shape", bars("decode"), {
      label: "memory limit",
      value: limit,
    }),
    "peers-prefill": barChart(
      "Prompt of 128, tokens per second, one thread, DistilGPT-2's shape",
      bars("prefill"),
    ),
  };
}

/** DistilGPT-2's shape against peers. */
export function peerSection(results: PeerResults): string {
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
  return `\`npm run bench:peers\`: ${describeMachine(results.machine)} Medians of ${results.rounds} rounds. DistilGPT-2's shape
(6 layers of 768, 12 heads, vocabulary 50257), random weights, a prompt of 128 tokens and 128 greedy tokens after it.
The first prompt is that of a new process, right after one of four tokens, while the just-in-time compiler is still at
work: a peer with 9 to 14 MB of wasm runs unoptimized for a while. All other figures are of processes that have done
whole rounds before.

${table(["", "what", "first prompt, tok/s", "prefill, tok/s", "decode, tok/s", "edgeformer is … × as fast"], rows)}`;
}
