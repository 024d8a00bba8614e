import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Machine, machine } from "./measure.ts";
import { CACHE } from "./models.ts";
import { nodeSubject } from "./node.ts";
import { writeGguf } from "./peers/gguf.ts";
import { writeOnnx } from "./peers/onnx.ts";
import { SHAPES, type Shape } from "./shapes.ts";
import type { Subject } from "./subject.ts";

export const PEERS = ["edgeformer", "llama.cpp", "onnxruntime-node", "onnxruntime-web", "wllama"] as const;
export type PeerName = (typeof PEERS)[number];

export interface PeerSamples {
  /** Tokens per second of a 128-token prompt. */
  prefill: number[];
  /** Tokens per second of the 128 tokens after it. */
  decode: number[];
}

export interface PeerResults {
  machine: Machine;
  rounds: number;
  shape: string;
  /** Bytes per second. */
  bandwidth: number[];
  /** Of edgeformer, and of the bandwidth, one sample beside each other peer's of each round, in PEERS' order. */
  peers: Record<PeerName, PeerSamples>;
}

/** edgeformer's samples that were taken right before those of another peer. */
export function besidePeer({ peers }: PeerResults, name: PeerName): PeerSamples {
  const others: PeerName[] = PEERS.filter((peer) => peer !== "edgeformer");
  const own = (samples: number[]) => samples.filter((_, i) => i % others.length === others.indexOf(name));
  return { prefill: own(peers.edgeformer.prefill), decode: own(peers.edgeformer.decode) };
}

/** A peer's process: started once, asked for one measurement after another. */
class PeerProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  constructor(script: string, args: string[]) {
    const path = fileURLToPath(new URL(`peers/${script}`, import.meta.url));
    this.#child = spawn(process.execPath, [path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    this.#reader = createInterface({ input: this.#child.stdout! });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  async #answer(): Promise<Record<string, number>> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error("the peer's process ended; its message is above");
      if (value.startsWith("{")) return JSON.parse(value) as Record<string, number>;
    }
  }

  async ready(): Promise<void> {
    await this.#answer();
  }

  round(): Promise<Record<string, number>> {
    this.#child.stdin!.write("round\n");
    return this.#answer();
  }

  stop(): void {
    this.#child.stdin!.end();
    this.#reader.close();
  }
}

async function startPeers(shape: Shape): Promise<[PeerName, PeerProcess][]> {
  const gguf = join(CACHE, `${shape.name}.gguf`);
  const onnx = join(CACHE, `${shape.name}.onnx`);
  if (!existsSync(gguf)) await writeGguf(shape, gguf);
  if (!existsSync(onnx)) writeOnnx(shape, onnx);
  const sizes = [shape.layers, shape.heads, shape.width / shape.heads].map(String);
  const peers: [PeerName, PeerProcess][] = [
    ["llama.cpp", new PeerProcess("llama.mjs", [gguf])],
    ["onnxruntime-node", new PeerProcess("onnxruntime.mjs", ["node", onnx, ...sizes])],
    ["onnxruntime-web", new PeerProcess("onnxruntime.mjs", ["web", onnx, ...sizes])],
    ["wllama", new PeerProcess("wllama.mjs", [gguf])],
  ];
  for (const [name, peer] of peers) {
    await peer.ready();
    console.error(`${name} is ready`);
  }
  return peers;
}

/** Our own measurement of the same: a prompt of 128 tokens, then 128 greedy ones. */
async function ownRound(subject: Subject): Promise<{ prefill: number; decode: number }> {
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
  for (let round = 0; round <= rounds; round++) {
    for (const [name, process] of peers) {
      // The read bandwidth and our own figures are taken again beside each peer, so that they share its clock.
      const read = await subject.run({ kind: "bandwidth" });
      const own = await ownRound(subject);
      const peer = await process.round();
      // The first round warms everything up.
      if (round === 0) continue;
      bandwidth.push(read);
      for (const [{ prefill, decode }, into] of [
        [own, samples.edgeformer],
        [peer, samples[name]],
      ] as const) {
        into.prefill.push(prefill!);
        into.decode.push(decode!);
      }
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    console.error(`round ${round} of ${rounds} (${seconds} s)`);
  }
  for (const [, process] of peers) process.stop();
  const packages = [
    "onnxruntime-web",
    "onnxruntime-node",
    "node-llama-cpp",
    "@wllama/wllama",
    "playwright-core",
  ];
  return { machine: machine(packages), rounds, shape: name, bandwidth, peers: samples };
}
