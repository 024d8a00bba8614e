import { existsSync } from "node:fs";
import { join } from "node:path";
import { machine } from "./measure.ts";
import { CACHE, modelDirectory } from "./models.ts";
import { nodeSubject } from "./node.ts";
import { writeGguf } from "./peers/gguf.ts";
import { writeGpt2Onnx } from "./peers/onnx-gpt2.ts";
import { type Command, PeerProcess } from "./peers/process.ts";
import { PEERS, type PeerName, type PeerResults, type PeerSamples } from "./peers-results.ts";
import { prompt, SHAPES, type Shape } from "./shapes.ts";
import type { Subject } from "./subject.ts";

/** Tokens per second. */
interface Round {
  prefill: number;
  decode: number;
}

/** A prompt of 128 tokens, then 128 greedy ones. */
async function round(peer: PeerProcess, number: number): Promise<Round> {
  const { prefillMs, decodeMs } = await peer.run(prompt(128, number), 128);
  return { prefill: 128e3 / prefillMs, decode: 128e3 / decodeMs };
}

async function commandOf(name: PeerName, shape: Shape): Promise<Command> {
  const gguf = join(CACHE, `${shape.name}.gguf`);
  const onnx = join(CACHE, `${shape.name}.onnx`);
  if (!existsSync(gguf)) await writeGguf(shape, gguf);
  if (!existsSync(onnx)) writeGpt2Onnx(shape, onnx);
  const sizes = [shape.layers, shape.heads, shape.width / shape.heads].map(String);
  const commands: Record<PeerName, Command> = {
    edgeformer: ["edgeformer.ts", await modelDirectory(shape)],
    "llama.cpp": ["llama.mjs", gguf],
    "onnxruntime-node": ["onnxruntime.mjs", "node", onnx, ...sizes],
    "onnxruntime-web": ["onnxruntime.mjs", "web", onnx, ...sizes],
    wllama: ["chromium.mjs", "wllama.html", `version=2&model=/.cache/${shape.name}.gguf`],
  };
  return commands[name];
}

/** Starts a peer; a prompt of four tokens touches all its weights. */
async function start(name: PeerName, shape: Shape): Promise<PeerProcess> {
  const { peer } = await PeerProcess.start(await commandOf(name, shape));
  await peer.run(prompt(4), 0);
  return peer;
}

async function startPeers(shape: Shape): Promise<[PeerName, PeerProcess][]> {
  const peers: [PeerName, PeerProcess][] = [];
  for (const name of PEERS) {
    if (name === "edgeformer") continue;
    peers.push([name, await start(name, shape)]);
    console.error(`${name} is ready`);
  }
  return peers;
}

/** What somebody waits for who asks once: every round starts everybody anew. */
async function firstPrompts(shape: Shape, rounds: number): Promise<Record<PeerName, number[]>> {
  const samples = Object.fromEntries(PEERS.map((name): [PeerName, number[]] => [name, []])) as Record<
    PeerName,
    number[]
  >;
  for (let number = 1; number <= rounds; number++) {
    for (const name of PEERS) {
      const peer = await start(name, shape);
      samples[name].push((await round(peer, 1)).prefill);
      await peer.stop();
    }
    console.error(`first prompts: round ${number} of ${rounds}`);
  }
  return samples;
}

/** Our own measurement of the same: a prompt of 128 tokens, then 128 greedy ones. */
async function ownRound(subject: Subject): Promise<Round> {
  const prefill = await subject.run({ kind: "prefill", tokens: 128 });
  const step = await subject.run({ kind: "decode", context: 128, tokens: 128 });
  return { prefill: 128e3 / prefill, decode: 1e3 / step };
}

/** Every peer once per round, the read bandwidth beside our own measurement. */
export async function benchPeers(name: string, rounds: number): Promise<PeerResults> {
  const shape = SHAPES[name]!;
  const subject = await nodeSubject(shape);
  const peers = await startPeers(shape);
  const samples = Object.fromEntries(
    PEERS.map((peer): [PeerName, PeerSamples] => [peer, { prefill: [], decode: [] }]),
  ) as Record<PeerName, PeerSamples>;
  const bandwidth: number[] = [];
  const started = performance.now();
  for (let number = 0; number <= rounds; number++) {
    for (const [name, process] of peers) {
      // The read bandwidth and our own figures are taken again beside each peer, so that they share its clock.
      const read = await subject.run({ kind: "bandwidth" });
      const own = await ownRound(subject);
      const peer = await round(process, number + 2);
      // The first round warms everything up.
      if (number === 0) continue;
      bandwidth.push(read);
      for (const [{ prefill, decode }, into] of [
        [own, samples.edgeformer],
        [peer, samples[name]],
      ] as const) {
        into.prefill.push(prefill);
        into.decode.push(decode);
      }
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    console.error(`round ${number} of ${rounds} (${seconds} s)`);
  }
  for (const [, process] of peers) await process.stop();
  const firstPrompt = await firstPrompts(shape, rounds);
  const packages = ["onnxruntime-web", "onnxruntime-node", "node-llama-cpp", "wllama-2", "playwright-core"];
  return { machine: machine(packages), rounds, shape: name, bandwidth, peers: samples, firstPrompt };
}
