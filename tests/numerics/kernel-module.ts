// The engine's sources compiled with an entry that also exports what index.ts keeps to itself, so that each
// kernel can be held against its naive twin alone.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import asc from "assemblyscript/asc";
import { ARENA_START } from "../../assembly/abi.ts";

const ENTRY = `
  import { activate4, exp4 } from "./assembly/math";
  export { setModel } from "./assembly/model";
  export { addRow, matmul } from "./assembly/matmul";
  export { absMax, amplitude, quantize } from "./assembly/quantize";
  export { layerNorm } from "./assembly/layernorm";
  export { attend, storeKeyValue } from "./assembly/attention";
  export { random, seed } from "./assembly/pcg32";
  export { addBias, logSumExp, penalize, sample, topLogits } from "./assembly/sampler";

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
  matmul(
    weights: number,
    n: number,
    k: number,
    begin: number,
    end: number,
    scales: number,
    bias: number,
    rows: number,
    out: number,
    outStride: number,
    activation: number,
    accumulate: number,
  ): void;
  addRow(weights: number, n: number, k: number, row: number, scale: number, out: number): void;
  absMax(x: number, n: number): number;
  amplitude(k: number): number;
  quantize(
    x: number,
    n: number,
    k: number,
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
  attend(row: number, layer: number): void;
  storeKeyValue(row: number, layer: number): void;
  random(sequence: number): number;
  seed(sequence: number, low: number, high: number, stream: number): void;
  addBias(slot: number, count: number): void;
  logSumExp(slot: number): number;
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

async function compile(): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    ["kernels.ts", "--config", "asconfig.json", "--target", "release", "--outFile", "kernels.wasm"],
    {
      readFile: (name, directory) => {
        if (name === "kernels.ts") return ENTRY;
        const path = join(directory, name);
        return existsSync(path) ? readFileSync(path, "utf8") : null;
      },
      writeFile: (name, contents) => {
        if (name === "kernels.wasm") binary = Uint8Array.from(contents as Uint8Array);
      },
    },
  );
  if (error || binary === undefined) throw new Error(`the kernels do not compile: ${stderr.toString()}`);
  return binary;
}

/** Memory for one test after another: `take` hands out aligned, zeroed bytes, `reset` takes all back. */
export class KernelBench {
  readonly kernels: Kernels;
  #next = ARENA_START;

  constructor(kernels: Kernels) {
    this.kernels = kernels;
  }

  static async create(bytes: number): Promise<KernelBench> {
    const { instance } = await WebAssembly.instantiate(await compile(), {
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

  /** Writes a descriptor with these integer fields (assembly/abi.ts) and `floats`, and makes it the model. */
  describe(fields: Record<number, number>, floats: Record<number, number> = {}): void {
    const at = this.take(1024);
    for (const [field, value] of Object.entries(fields)) this.int32(at, 256)[Number(field)] = value;
    for (const [field, value] of Object.entries(floats)) this.float32(at, 256)[Number(field)] = value;
    this.kernels.setModel(at);
  }
}
