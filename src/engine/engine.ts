import { MAX_PAIRS, ROW_BYTES, TILE_ROWS } from "../../assembly/abi.ts";
import {
  REGION_DESCRIPTOR,
  REGION_LOGIT_ROWS,
  REGION_LOGITS,
  REGION_MASK,
  REGION_PAIRS,
  REGION_RESIDUAL,
  REGION_ROWS,
  REGION_TABLES,
  REGION_TOP,
  REGION_WEIGHTS,
} from "../../assembly/regions.ts";
import { EdgeformerError } from "../errors.ts";
import { padded } from "../format/align.ts";
import type { ModelLayout } from "../format/layout.ts";
import type { TokenLogprob } from "../results.ts";
import { recordField, writeDescriptor } from "./descriptor.ts";
import type { EngineExports } from "./exports.ts";
import { type MemoryPlan, WASM_PAGE } from "./memory.ts";

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
  private readonly layers: number;
  private readonly hiddenSize: number;
  private readonly vocabSize: number;
  private readonly wasm: EngineExports;
  private readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly ints: Int32Array;
  private readonly floats: Float32Array;

  /** @throws EdgeformerError `unsupported_model` when the runtime refuses the memory */
  constructor(module: WebAssembly.Module, model: ModelLayout, plan: MemoryPlan) {
    this.plan = plan;
    this.layers = model.recipe.layers.length;
    this.hiddenSize = model.recipe.hiddenSize;
    this.vocabSize = model.recipe.vocabSize;
    this.wasm = new WebAssembly.Instance(module).exports as unknown as EngineExports;
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
    this.bytes = new Uint8Array(memory.buffer as ArrayBuffer);
    this.ints = new Int32Array(memory.buffer);
    this.floats = new Float32Array(memory.buffer);
    this.describe(model);
  }

  /** Tells the engine what the model is and where its tensors lie; another time only for others of the same shapes. */
  describe(model: ModelLayout): void {
    writeDescriptor(this.wasm.memory.buffer as ArrayBuffer, model, this.plan);
    this.wasm.setModel(this.at(REGION_DESCRIPTOR));
  }

  /** First byte of a region of assembly/regions.ts. */
  private at(region: number): number {
    return this.plan.offsets[region]!;
  }

  /** Bytes of linear memory, now. */
  get memoryBytes(): number {
    return this.wasm.memory.buffer.byteLength;
  }

  /** Bytes from … to−1 of the weight image: a view. */
  weights(from: number, to: number): Uint8Array<ArrayBuffer> {
    const start = this.at(REGION_WEIGHTS);
    return this.bytes.subarray(start + from, start + to);
  }

  /** Copies bytes of the weight image to their place. */
  writeWeights(offset: number, chunk: Uint8Array): void {
    this.bytes.set(chunk, this.at(REGION_WEIGHTS) + offset);
  }

  /** Whether `count` float32 of the weight image, from byte `offset` on, are numbers and finite. */
  areFinite(offset: number, count: number): boolean {
    const start = (this.at(REGION_WEIGHTS) + offset) / 4;
    // 0 times infinity or NaN is NaN, and NaN stays.
    let sum = 0;
    for (let i = start; i < start + count; i++) sum += this.floats[i]! * 0;
    return sum === 0;
  }

  /** Of the recipe's `index`-th tensor, a matrix with steps: assembly/kernels/row-sums.ts. */
  largestRowSum(index: number): number {
    return this.wasm.largestRowSum(this.at(REGION_DESCRIPTOR) + recordField(this.layers, index) * 4);
  }

  /** Row `row` of the next forward pass: a token of a sequence slot at a position. */
  setRow(row: number, token: number, position: number, sequence: number): void {
    const at = (this.at(REGION_ROWS) + row * ROW_BYTES) >> 2;
    this.ints[at] = token;
    this.ints[at + 1] = position;
    this.ints[at + 2] = sequence;
  }

  /** The `index`-th row whose logits are wanted; ascending. */
  setWanted(index: number, row: number): void {
    this.ints[(this.at(REGION_LOGIT_ROWS) >> 2) + index] = row;
  }

  /** Entry `index` of a sequence slot's block table. */
  setBlock(sequence: number, index: number, block: number): void {
    this.ints[(this.at(REGION_TABLES) >> 2) + sequence * this.plan.blocksPerSequence + index] = block;
  }

  /** Every row through the whole model; of the last layer only the wanted rows, in their order. */
  forward(rows: number, wanted: number): void {
    this.calls++;
    this.wasm.forward(rows, wanted);
  }

  /** Hidden states of the rows' tokens, before the first layer. */
  embed(rows: number): void {
    this.wasm.embed(rows);
  }

  /** The layers from … to−1 on the hidden states of the rows; of the last of them only the wanted rows. */
  blocks(from: number, to: number, rows: number, wanted: number): void {
    this.wasm.blocks(from, to, rows, wanted);
  }

  /** Hidden states of a row between two layers, float32 [hiddenSize]: a view, valid until the next call. */
  hiddenStates(row: number): Float32Array {
    const at = this.at(REGION_RESIDUAL) / 4 + row * padded(this.hiddenSize);
    return this.floats.subarray(at, at + this.hiddenSize);
  }

  /** Puts hidden states between two layers in their place: float32 [rows, hiddenSize], from row 0 on. */
  setHiddenStates(values: Float32Array): void {
    const width = padded(this.hiddenSize);
    const start = this.at(REGION_RESIDUAL) / 4;
    for (let from = 0, at = start; from < values.length; from += this.hiddenSize, at += width) {
      this.floats.set(values.subarray(from, from + this.hiddenSize), at);
      this.floats.fill(0, at + this.hiddenSize, at + width);
    }
  }

  /** Logits of a slot, float32 [vocabSize]: a view, valid until the next call. */
  logits(slot: number): Float32Array {
    const at = this.logitAt(slot, 0);
    return this.floats.subarray(at, at + this.vocabSize);
  }

  /** Strips of tokens that head() computes: TILE_ROWS tokens each. */
  get headStrips(): number {
    return this.plan.logitsStride / (TILE_ROWS * 4);
  }

  /**
   * Logits of the wanted rows first … first+count−1 into the slots 0 … count−1; count ≤ plan.logitsSlots.
   *
   * @param begin first strip of tokens whose logits are computed; those of other tokens stay what they were
   * @param end the strip behind the last
   */
  head(first: number, count: number, begin = 0, end = this.headStrips): void {
    this.calls++;
    this.wasm.head(first, count, begin, end);
  }

  /**
   * Starts a sequence slot's random numbers; `low` and `high` are the halves of the 64-bit seed, unsigned.
   *
   * @param drawn how many of them to skip
   */
  seed(sequence: number, low: number, high: number, drawn = 0): void {
    this.wasm.seed(sequence, low, high, 0);
    for (let i = 0; i < drawn; i++) this.wasm.random(sequence);
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

  /** The logit of one token. */
  logit(slot: number, token: number): number {
    return this.floats[this.logitAt(slot, token)]!;
  }

  /** Index of a logit among the floats. */
  private logitAt(slot: number, token: number): number {
    return (this.at(REGION_LOGITS) + slot * this.plan.logitsStride) / 4 + token;
  }

  /** The `count` likeliest tokens, fewer where the mask leaves fewer; `logSumExp` is that slot's. */
  topLogprobs(slot: number, count: number, logSumExp: number): TokenLogprob[] {
    if (count === 0) return [];
    this.wasm.topLogits(slot, count);
    const at = this.at(REGION_TOP) >> 2;
    const top: TokenLogprob[] = [];
    for (let i = 0; i < count && this.ints[at + 2 * i]! >= 0; i++)
      top.push({ id: this.ints[at + 2 * i]!, logprob: this.floats[at + 2 * i + 1]! - logSumExp });
    return top;
  }

  /** logits[id] += bias, in float32: a float64 holds the sum of two float32 closely enough to round as they would. */
  addBias(slot: number, biases: readonly (readonly [id: number, bias: number])[]): void {
    for (const [id, bias] of biases) this.floats[this.logitAt(slot, id)]! += Math.fround(bias);
  }

  /**
   * logits[id] = −∞ for each token that a mask rules out.
   *
   * @param mask bit i % 32 of word i / 32 is set where token i is possible; a token beyond its end is not
   */
  mask(slot: number, mask: Uint32Array): void {
    const start = this.at(REGION_MASK) >> 2;
    const words = Math.ceil(this.plan.logitsStride / 128);
    this.ints.set(mask.subarray(0, words), start);
    this.ints.fill(0, Math.min(start + mask.length, start + words), start + words);
    this.wasm.mask(slot);
  }

  /** Applies the three penalties; `counts` says how often each token was generated, 0 for those of the prompt alone. */
  penalize(
    slot: number,
    counts: ReadonlyMap<number, number>,
    repetition: number,
    presence: number,
    frequency: number,
  ): void {
    const at = this.at(REGION_PAIRS) >> 2;
    let filled = 0;
    for (const [id, times] of counts) {
      this.ints[at + 2 * filled] = id;
      this.ints[at + 2 * filled + 1] = times;
      if (++filled === MAX_PAIRS) {
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
