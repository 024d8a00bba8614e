import { M_LAYERS, ROW_BYTES } from "../../../assembly/abi.ts";
import { writeDescriptor } from "../../engine/descriptor.ts";
import { type MemoryPlan, planMemory, WASM_PAGE } from "../../engine/memory.ts";
import { alignUp, type Manifest } from "../../format/manifest.ts";

interface ProbeExports {
  memory: WebAssembly.Memory;
  setModel(descriptor: number): void;
  forward(rows: number, wanted: number): void;
  head(first: number, count: number): void;
}

/**
 * The int8 engine with its memory laid open: every logit, and the hidden states after any layer, which the
 * library's `Engine` has no use for.
 */
export class EngineProbe {
  readonly #manifest: Manifest;
  readonly #plan: MemoryPlan;
  readonly #wasm: ProbeExports;

  /** @param context positions of the longest text */
  constructor(module: WebAssembly.Module, manifest: Manifest, context: number) {
    this.#manifest = manifest;
    this.#plan = planMemory(manifest.config, { context, kvBlocks: Math.ceil(context / 16) });
    const abort = () => {
      throw new Error("the engine gave up");
    };
    this.#wasm = new WebAssembly.Instance(module, { env: { abort } }).exports as unknown as ProbeExports;
    const { memory } = this.#wasm;
    memory.grow((this.#plan.bytes - memory.buffer.byteLength) / WASM_PAGE);
    writeDescriptor(memory.buffer as ArrayBuffer, manifest, this.#plan);
    this.#wasm.setModel(this.#plan.offsets.descriptor);
  }

  /** Fills the weights from the bytes of the image, in order. */
  async load(image: AsyncIterable<Uint8Array>): Promise<void> {
    const memory = new Uint8Array(this.#wasm.memory.buffer);
    let offset = this.#plan.offsets.weights;
    for await (const chunk of image) {
      memory.set(chunk, offset);
      offset += chunk.length;
    }
  }

  /**
   * Runs a text through the first `layers` blocks, from position 0, and yields after every 64 or fewer rows;
   * their states are in memory until the next step.
   */
  *#forward(ids: readonly number[], layers: number): Generator<{ first: number; count: number }> {
    const { offsets, maxRows, blocksPerSequence } = this.#plan;
    const ints = new Int32Array(this.#wasm.memory.buffer);
    ints[(offsets.descriptor >> 2) + M_LAYERS] = layers;
    for (let block = 0; block < blocksPerSequence; block++) ints[(offsets.tables >> 2) + block] = block;
    for (let first = 0; first < ids.length; first += maxRows) {
      const count = Math.min(maxRows, ids.length - first);
      for (let row = 0; row < count; row++) {
        const at = (offsets.rows + row * ROW_BYTES) >> 2;
        ints.set([ids[first + row] as number, first + row, 0], at);
        ints[(offsets.logitRows >> 2) + row] = row;
      }
      this.#wasm.forward(count, count);
      yield { first, count };
    }
  }

  /** Hidden states after the first `layers` blocks, [tokens, n_embd]. */
  hiddenStates(ids: readonly number[], layers: number): Float32Array {
    const { n_embd } = this.#manifest.config;
    const states = new Float32Array(ids.length * n_embd);
    const memory = new Float32Array(this.#wasm.memory.buffer);
    for (const { first, count } of this.#forward(ids, layers))
      for (let row = 0; row < count; row++) {
        const at = (this.#plan.offsets.residual >> 2) + row * alignUp(n_embd, 16);
        states.set(memory.subarray(at, at + n_embd), (first + row) * n_embd);
      }
    return states;
  }

  /** Logits of every position of a text in turn, [vocab_size], each valid until the next. */
  *logits(ids: readonly number[]): Generator<Float32Array> {
    const { offsets, logitsSlots, logitsStride } = this.#plan;
    const { n_layer, vocab_size } = this.#manifest.config;
    const memory = new Float32Array(this.#wasm.memory.buffer);
    for (const { count } of this.#forward(ids, n_layer))
      for (let row = 0; row < count; row += logitsSlots) {
        const slots = Math.min(logitsSlots, count - row);
        this.#wasm.head(row, slots);
        for (let slot = 0; slot < slots; slot++) {
          const at = (offsets.logits + slot * logitsStride) >> 2;
          yield memory.subarray(at, at + vocab_size);
        }
      }
  }
}
