// The engine's sources compiled with an entry that also exports what index.ts keeps to itself, so that each
// kernel can be held against its naive twin alone.
import {
  ARENA_START,
  KIND_FLOAT32,
  KIND_FOUR_BIT,
  KIND_INT8,
  KIND_INT8_STEPS,
  W_AMPLITUDE,
  W_BIAS,
  W_COLUMNS,
  W_KIND,
  W_ROWS,
  W_SCALES,
  W_STEPS,
  W_VALUES,
  WEIGHT_FIELDS,
} from "../../assembly/abi.ts";
import { amplitudeOf, groupsOf, largestRowSum } from "../../src/convert/quantize/codes.ts";
import { packMatrix, packSteps } from "../../src/convert/write/pack.ts";
import { packFourBit } from "../../src/convert/write/pack4.ts";
import { alignUp } from "../../src/format/align.ts";
import { KINDS } from "../../src/format/kinds.ts";
import type { FourBitCodes, SteppedCodes } from "../reference/codes.ts";
import { compileKernels } from "./compile-kernels.ts";

const ENTRY = `
  import { activate4, exp4 } from "./assembly/kernels/math";
  export { setModel } from "./assembly/descriptor";
  export { addRow, linearStrips } from "./assembly/kernels/matmul";
  export { largestRowSum } from "./assembly/kernels/row-sums";
  export { absMax, amplitude, quantize } from "./assembly/kernels/quantize";
  export { cosine, sine } from "./assembly/kernels/trigonometry";
  export { layerNorm, rmsNorm } from "./assembly/layers/norm";
  export { prepareRotary, rotate } from "./assembly/layers/rope";
  export { attend } from "./assembly/layers/attention";
  export { storeKeyValue } from "./assembly/layers/kv-cache";
  export { random, seed } from "./assembly/sampling/pcg32";
  export { logSumExp, mask, penalize, sample, topLogits } from "./assembly/sampling/sampler";

  export function exp(x: usize, out: usize, count: i32): void {
    for (let i = 0; i < count; i += 4, x += 16, out += 16) v128.store(out, exp4(v128.load(x)));
  }
  export function activate(x: usize, out: usize, count: i32, kind: i32): void {
    for (let i = 0; i < count; i += 4, x += 16, out += 16) v128.store(out, activate4(v128.load(x), kind));
  }
`;

export interface Kernels {
  memory: WebAssembly.Memory;
  setModel(descriptor: number): void;
  linearStrips(
    weight: number,
    begin: number,
    end: number,
    rows: number,
    out: number,
    outStride: number,
    accumulate: number,
  ): void;
  addRow(weight: number, row: number, factor: number, out: number): void;
  largestRowSum(weight: number): number;
  absMax(x: number, n: number): number;
  amplitude(k: number): number;
  quantize(
    x: number,
    n: number,
    amplitude: number,
    largest: number,
    target: number,
    scale: number,
    sum: number,
  ): void;
  layerNorm(
    x: number,
    weight: number,
    bias: number,
    width: number,
    widthPad: number,
    epsilon: number,
    out: number,
  ): void;
  rmsNorm(x: number, weight: number, width: number, epsilon: number, out: number): void;
  sine(x: number): number;
  cosine(x: number): number;
  prepareRotary(rows: number): void;
  rotate(head: number, row: number): void;
  attend(row: number, layer: number): void;
  storeKeyValue(row: number, layer: number): void;
  random(sequence: number): number;
  seed(sequence: number, low: number, high: number, stream: number): void;
  logSumExp(slot: number): number;
  mask(slot: number): void;
  penalize(slot: number, count: number, repetition: number, presence: number, frequency: number): void;
  sample(
    slot: number,
    sequence: number,
    temperature: number,
    topK: number,
    topP: number,
    minP: number,
  ): number;
  topLogits(slot: number, k: number): void;
  exp(x: number, out: number, count: number): void;
  activate(x: number, out: number, count: number, kind: number): void;
}

/** Memory for one test after another: `take` hands out aligned, zeroed bytes, `reset` takes all back. */
export class KernelBench {
  readonly kernels: Kernels;
  #next = ARENA_START;

  constructor(kernels: Kernels) {
    this.kernels = kernels;
  }

  static async create(bytes: number): Promise<KernelBench> {
    const { instance } = await WebAssembly.instantiate(await compileKernels(ENTRY), {
      env: {
        abort: () => {
          throw new Error("the engine aborted");
        },
      },
    });
    const kernels = instance.exports as unknown as Kernels;
    kernels.memory.grow(Math.ceil((ARENA_START + bytes) / 65536));
    return new KernelBench(kernels);
  }

  reset(): void {
    new Uint8Array(this.kernels.memory.buffer).fill(0, ARENA_START, this.#next);
    this.#next = ARENA_START;
  }

  take(bytes: number): number {
    const at = this.#next;
    this.#next = Math.ceil((at + bytes) / 64) * 64;
    if (this.#next > this.kernels.memory.buffer.byteLength) throw new Error("the test needs more memory");
    return at;
  }

  /** A copy of `values` in linear memory, zeros after it up to `bytes`. */
  put(values: ArrayBufferView, bytes = values.byteLength): number {
    const at = this.take(bytes);
    const source = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    new Uint8Array(this.kernels.memory.buffer).set(source, at);
    return at;
  }

  float32(at: number, length: number): Float32Array {
    return new Float32Array(this.kernels.memory.buffer, at, length);
  }
  int32(at: number, length: number): Int32Array {
    return new Int32Array(this.kernels.memory.buffer, at, length);
  }
  int16(at: number, length: number): Int16Array {
    return new Int16Array(this.kernels.memory.buffer, at, length);
  }

  /** A weight's record; `fields` as in assembly/abi.ts, W_…. */
  record(fields: Record<number, number>): number {
    const at = this.take(WEIGHT_FIELDS * 4);
    for (const [field, value] of Object.entries(fields)) this.int32(at, WEIGHT_FIELDS)[Number(field)] = value;
    return at;
  }

  /** The record of an int8 matrix, which is packed as the converter packs it. */
  int8Matrix(
    values: Int8Array,
    rows: number,
    columns: number,
    scales: Float32Array,
    bias?: Float32Array,
  ): number {
    const padded = alignUp(rows, 16) * 4;
    return this.record({
      [W_KIND]: KIND_INT8,
      [W_ROWS]: rows,
      [W_COLUMNS]: columns,
      [W_VALUES]: this.put(packMatrix(values, rows, columns)),
      [W_SCALES]: this.put(scales, padded),
      [W_BIAS]: bias ? this.put(bias, padded) : 0,
      [W_AMPLITUDE]: KINDS.int8.amplitude!(columns),
    });
  }

  /** The record of a matrix of codes with steps, packed as the converter packs it: with offsets, in four bits. */
  codedMatrix(
    coded: FourBitCodes | SteppedCodes,
    rows: number,
    columns: number,
    scales: Float32Array,
    bias?: Float32Array,
  ): number {
    const bytes = alignUp(rows, 16) * 4;
    const isFourBit = coded.offsets !== undefined;
    return this.record({
      [W_KIND]: isFourBit ? KIND_FOUR_BIT : KIND_INT8_STEPS,
      [W_ROWS]: rows,
      [W_COLUMNS]: columns,
      [W_VALUES]: this.put(
        isFourBit ? packFourBit(coded, rows, columns) : packMatrix(coded.codes, rows, columns),
      ),
      [W_STEPS]: isFourBit ? 0 : this.put(packSteps(coded.steps, rows, groupsOf(columns))),
      [W_SCALES]: this.put(scales, bytes),
      [W_BIAS]: bias ? this.put(bias, bytes) : 0,
      [W_AMPLITUDE]: amplitudeOf(largestRowSum(coded, columns)),
    });
  }

  /** The record of a float32 vector. */
  vector(values: Float32Array): number {
    const [rows, address] = [values.length, this.put(values, alignUp(values.length, 16) * 4)];
    return this.record({ [W_KIND]: KIND_FLOAT32, [W_ROWS]: rows, [W_COLUMNS]: 1, [W_VALUES]: address });
  }

  /** Writes a descriptor with these integer fields (assembly/abi.ts, regions.ts) and `floats`, and makes it the model. */
  describe(fields: Record<number, number>, floats: Record<number, number> = {}): void {
    const at = this.take(1024);
    for (const [field, value] of Object.entries(fields)) this.int32(at, 256)[Number(field)] = value;
    for (const [field, value] of Object.entries(floats)) this.float32(at, 256)[Number(field)] = value;
    this.kernels.setModel(at);
  }
}
