import { instantiateSync } from "@assemblyscript/loader";
import { ROW_BYTES } from "../../assembly/abi.ts";
import { EdgeformerError } from "../errors.ts";
import type { Manifest } from "../format/manifest.ts";
import type { TokenLogprob } from "../results.ts";
import { writeDescriptor } from "./descriptor.ts";
import { type MemoryPlan, PAIRS, WASM_PAGE } from "./memory.ts";

interface EngineExports {
  memory: WebAssembly.Memory;
  setModel(descriptor: number): void;
  forward(rows: number, wanted: number): void;
  head(first: number, count: number): void;
  sample(
    slot: number,
    sequence: number,
    temperature: number,
    topK: number,
    topP: number,
    minP: number,
  ): number;
  logSumExp(slot: number): number;
  logit(slot: number, token: number): number;
  topLogits(slot: number, k: number): void;
  addBias(slot: number, count: number): void;
  penalize(slot: number, count: number, repetition: number, presence: number, frequency: number): void;
  seed(sequence: number, low: number, high: number, stream: number): void;
  random(sequence: number): number;
  exp(x: number): number;
  sha256Start(): void;
  sha256Blocks(from: number, bytes: number): void;
  sha256Finish(from: number, rest: number, total: number): number;
}

/** A module with one function, `i8x16.splat(0)`: valid only where SIMD is. */
const SIMD_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11,
]);

/** @throws EdgeformerError `unsupported_runtime` where WebAssembly or its SIMD instructions are missing */
export function requireSimd(): void {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD_PROBE))
    throw new EdgeformerError(
      "unsupported_runtime",
      "this runtime has no WebAssembly SIMD; every browser since 2023, Node.js 16.4, Deno 1.9, Bun and Cloudflare Workers have it",
    );
}

/**
 * The wasm instance and its memory: one method per export, and the few bytes that go in and out with each. It
 * knows rows, blocks and logits, but no text and no requests.
 */
export class Engine {
  readonly plan: MemoryPlan;
  /** Calls into wasm so far; a decode step makes a constant number of them. */
  calls = 0;
  private readonly wasm: EngineExports;
  private readonly bytes: Uint8Array;
  private readonly ints: Int32Array;
  private readonly floats: Float32Array;

  /** @throws EdgeformerError `unsupported_model` when the memory cannot be had */
  constructor(module: WebAssembly.Module, manifest: Manifest, plan: MemoryPlan) {
    this.plan = plan;
    this.wasm = instantiateSync(module, {}).exports as unknown as EngineExports;
    const { memory } = this.wasm;
    try {
      memory.grow(plan.bytes / WASM_PAGE - memory.buffer.byteLength / WASM_PAGE);
    } catch (cause) {
      throw new EdgeformerError(
        "unsupported_model",
        `the runtime refused ${(plan.bytes / 1e6).toFixed(1)} MB of WebAssembly memory: choose a smaller context or model`,
        { cause },
      );
    }
    this.bytes = new Uint8Array(memory.buffer);
    this.ints = new Int32Array(memory.buffer);
    this.floats = new Float32Array(memory.buffer);
    writeDescriptor(memory.buffer as ArrayBuffer, manifest, plan);
    this.wasm.setModel(plan.offsets.descriptor);
  }

  /** Bytes of linear memory, now. */
  get memoryBytes(): number {
    return this.wasm.memory.buffer.byteLength;
  }

  /** Copies bytes of the weight image to their place. */
  writeWeights(offset: number, chunk: Uint8Array): void {
    this.bytes.set(chunk, this.plan.offsets.weights + offset);
  }

  hashStart(): void {
    this.wasm.sha256Start();
  }

  /** Hashes image bytes from … to−1, a multiple of 64. */
  hashBlocks(from: number, to: number): void {
    this.wasm.sha256Blocks(this.plan.offsets.weights + from, to - from);
  }

  /** Hashes the last image bytes from … to−1, fewer than 64, of a message of `total` bytes; hexadecimal SHA-256. */
  hashFinish(from: number, to: number, total: number): string {
    const at = this.wasm.sha256Finish(this.plan.offsets.weights + from, to - from, total);
    return Array.from(this.bytes.subarray(at, at + 32), (byte) => byte.toString(16).padStart(2, "0")).join(
      "",
    );
  }

  /** Row `row` of the next forward pass: a token of a sequence slot at a position. */
  setRow(row: number, token: number, position: number, sequence: number): void {
    const at = (this.plan.offsets.rows + row * ROW_BYTES) >> 2;
    this.ints[at] = token;
    this.ints[at + 1] = position;
    this.ints[at + 2] = sequence;
  }

  /** The `index`-th row whose logits are wanted; ascending. */
  setWanted(index: number, row: number): void {
    this.ints[(this.plan.offsets.logitRows >> 2) + index] = row;
  }

  /** Entry `index` of a sequence slot's block table. */
  setBlock(sequence: number, index: number, block: number): void {
    this.ints[(this.plan.offsets.tables >> 2) + sequence * this.plan.blocksPerSequence + index] = block;
  }

  forward(rows: number, wanted: number): void {
    this.calls++;
    this.wasm.forward(rows, wanted);
  }

  /** Logits of the wanted rows first … first+count−1 into the slots 0 … count−1; count ≤ plan.logitsSlots. */
  head(first: number, count: number): void {
    this.calls++;
    this.wasm.head(first, count);
  }

  /** Starts a sequence slot's random numbers; `seed` an integer from 0 to 2^53 − 1. */
  seed(sequence: number, seed: number): void {
    this.wasm.seed(sequence, seed % 2 ** 32, Math.floor(seed / 2 ** 32), 0);
  }

  sample(
    slot: number,
    sequence: number,
    temperature: number,
    topK: number,
    topP: number,
    minP: number,
  ): number {
    this.calls++;
    return this.wasm.sample(slot, sequence, temperature, topK, topP, minP);
  }

  logSumExp(slot: number): number {
    return this.wasm.logSumExp(slot);
  }

  logit(slot: number, token: number): number {
    return this.wasm.logit(slot, token);
  }

  /** The `count` likeliest tokens; `logSumExp` is that slot's. */
  topLogprobs(slot: number, count: number, logSumExp: number): TokenLogprob[] {
    if (count === 0) return [];
    this.wasm.topLogits(slot, count);
    const at = this.plan.offsets.top >> 2;
    return Array.from({ length: count }, (_, i) => ({
      id: this.ints[at + 2 * i]!,
      logprob: this.floats[at + 2 * i + 1]! - logSumExp,
    }));
  }

  /** logits[id] += bias. */
  addBias(slot: number, biases: readonly (readonly [id: number, bias: number])[]): void {
    const at = this.plan.offsets.pairs >> 2;
    for (let start = 0; start < biases.length; start += PAIRS) {
      const chunk = biases.slice(start, start + PAIRS);
      chunk.forEach(([id, bias], i) => {
        this.ints[at + 2 * i] = id;
        this.floats[at + 2 * i + 1] = bias;
      });
      this.wasm.addBias(slot, chunk.length);
    }
  }

  /** Applies the three penalties; `counts` says how often each token was generated, 0 for those of the prompt alone. */
  penalize(
    slot: number,
    counts: Map<number, number>,
    repetition: number,
    presence: number,
    frequency: number,
  ): void {
    const at = this.plan.offsets.pairs >> 2;
    let filled = 0;
    for (const [id, times] of counts) {
      this.ints[at + 2 * filled] = id;
      this.ints[at + 2 * filled + 1] = times;
      if (++filled === PAIRS) {
        this.wasm.penalize(slot, filled, repetition, presence, frequency);
        filled = 0;
      }
    }
    this.wasm.penalize(slot, filled, repetition, presence, frequency);
  }

  /** e^x, the same bits on every runtime. */
  exp(x: number): number {
    return this.wasm.exp(x);
  }
}
