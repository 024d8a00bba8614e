import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { machine } from "./measure.ts";
import { CACHE, modelDirectory } from "./models.ts";
import { nodeSubject } from "./node.ts";
import { writeGguf } from "./peers/gguf.ts";
import { writeOnnx } from "./peers/onnx.ts";
import { PEERS, type PeerName, type PeerResults, type PeerSamples } from "./peers-results.ts";
import { SHAPES, type Shape } from "./shapes.ts";
import type { Subject } from "./subject.ts";

/** Tokens per second. */
interface Round {
  prefill: number;
  decode: number;
}

/** A peer's process: asked for one measurement after another. */
class PeerProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(script: string, args: string[]) {
    const path = fileURLToPath(new URL(`peers/${script}`, import.meta.url));
    // Our own script is TypeScript: it needs the loader that this process was started with.
    const loader = script.endsWith(".ts") ? process.execArgv : [];
    this.#child = spawn(process.execPath, [...loader, path, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#reader = createInterface({ input: this.#child.stdout! });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  static async start(name: PeerName, shape: Shape): Promise<PeerProcess> {
    const gguf = join(CACHE, `${shape.name}.gguf`);
    const onnx = join(CACHE, `${shape.name}.onnx`);
    if (!existsSync(gguf)) await writeGguf(shape, gguf);
    if (!existsSync(onnx)) writeOnnx(shape, onnx);
    const sizes = [shape.layers, shape.heads, shape.width / shape.heads].map(String);
    const commands: Record<PeerName, [script: string, args: string[]]> = {
      edgeformer: ["edgeformer.ts", [await modelDirectory(shape)]],
      "llama.cpp": ["llama.mjs", [gguf]],
      "onnxruntime-node": ["onnxruntime.mjs", ["node", onnx, ...sizes]],
      "onnxruntime-web": ["onnxruntime.mjs", ["web", onnx, ...sizes]],
      wllama: ["wllama.mjs", [gguf]],
    };
    return new PeerProcess(...commands[name]);
  }

  async #answer(): Promise<Round> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error("the peer's process ended; its message is above");
      if (value.startsWith("{")) return JSON.parse(value) as Round;
    }
  }

  /** The round that every process does unasked. */
  first(): Promise<Round> {
    return this.#answer();
  }

  round(): Promise<Round> {
    this.#child.stdin!.write("round\n");
    return this.#answer();
  }

  /** Resolves when the process has gone, so that it does not compete with the next one. */
  async stop(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.stdin!.end();
    await gone;
    this.#reader.close();
  }
}

async function startPeers(shape: Shape): Promise<[PeerName, PeerProcess][]> {
  const peers: [PeerName, PeerProcess][] = [];
  for (const name of PEERS) {
    if (name === "edgeformer") continue;
    const peer = await PeerProcess.start(name, shape);
    await peer.first();
    peers.push([name, peer]);
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
  for (let round = 1; round <= rounds; round++) {
    for (const name of PEERS) {
      const peer = await PeerProcess.start(name, shape);
      samples[name].push((await peer.first()).prefill);
      await peer.stop();
    }
    console.error(`first prompts: round ${round} of ${rounds}`);
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
        into.prefill.push(prefill);
        into.decode.push(decode);
      }
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    console.error(`round ${round} of ${rounds} (${seconds} s)`);
  }
  for (const [, process] of peers) await process.stop();
  const firstPrompt = await firstPrompts(shape, rounds);
  const packages = [
    "onnxruntime-web",
    "onnxruntime-node",
    "node-llama-cpp",
    "@wllama/wllama",
    "playwright-core",
  ];
  return { machine: machine(packages), rounds, shape: name, bandwidth, peers: samples, firstPrompt };
}
