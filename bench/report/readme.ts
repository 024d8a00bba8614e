import type { PeerName, PeerResults } from "../peers-results.ts";
import { bytesPerStep, SHAPES } from "../shapes.ts";
import { median } from "../statistics.ts";
import { table } from "./markdown.ts";

const ENGINES: [PeerName, what: string][] = [
  ["edgeformer", "int8 WebAssembly"],
  ["llama.cpp", "native, Q8_0"],
  ["onnxruntime-node", "native, int8"],
  ["onnxruntime-web", "WebAssembly, int8"],
  ["wllama", "WebAssembly, Q8_0"],
];

/** README's table against other engines on DistilGPT-2's shape. */
export function speedTable({ peers, bandwidth, shape, machine, rounds }: PeerResults): string {
  const rows = ENGINES.map(([name, what]) => [
    name === "edgeformer" ? `**${name}**` : name,
    what,
    median(peers[name].prefill),
    median(peers[name].decode),
  ]);
  const limit = median(bandwidth) / bytesPerStep(SHAPES[shape]!);
  const native = median(peers["onnxruntime-node"].prefill) / median(peers.edgeformer.prefill);
  return `Against other engines on one thread, DistilGPT-2's shape (82 M parameters), a prompt of 128 tokens and 128 more, on one core of an ${machine.cpu} (${machine.date}), medians of ${rounds} rounds taken in turn: compare within the table.

${table(["", "what", "prefill, tok/s", "decode, tok/s"], rows)}

Reading the weights and nothing else would allow ${limit.toFixed(0)} tok/s; native int8 prefill, with instructions that WebAssembly does not have, is ${native.toFixed(1)} times as fast.`;
}
