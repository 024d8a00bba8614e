import { BLOCK_POSITIONS } from "../../../assembly/abi.ts";
import { Engine } from "../../engine/engine.ts";
import { planMemory } from "../../engine/memory.ts";
import type { ModelLayout } from "../../format/layout.ts";

/** The engine without scheduler and text: the hidden states after any layer of a text, and every logit. */
export class EngineProbe {
  readonly #model: ModelLayout;
  readonly #engine: Engine;

  /** @param context positions of the longest text */
  constructor(module: WebAssembly.Module, model: ModelLayout, context: number) {
    const kvBlocks = Math.ceil(context / BLOCK_POSITIONS);
    this.#model = model;
    this.#engine = new Engine(module, model, planMemory(model, { context, kvBlocks, maxSequences: 1 }));
    for (let block = 0; block < kvBlocks; block++) this.#engine.setBlock(0, block, block);
  }

  /** Fills the weights from the bytes of the image, in order. */
  async load(image: AsyncIterable<Uint8Array>): Promise<void> {
    let offset = 0;
    for await (const chunk of image) {
      this.#engine.writeWeights(offset, chunk);
      offset += chunk.length;
    }
  }

  /**
   * Runs a text through the first `layers` blocks, from position 0, and yields after every batch; its states are in
   * memory until the next step.
   */
  *#forward(ids: readonly number[], layers: number): Generator<{ first: number; count: number }> {
    const { maxRows } = this.#engine.plan;
    for (let first = 0; first < ids.length; first += maxRows) {
      const count = Math.min(maxRows, ids.length - first);
      for (let row = 0; row < count; row++) this.#engine.setRow(row, ids[first + row]!, first + row, 0);
      this.#engine.embed(count);
      this.#engine.blocks(0, layers, count, count);
      yield { first, count };
    }
  }

  /** Hidden states after the first `layers` blocks, [tokens, hiddenSize]. */
  hiddenStates(ids: readonly number[], layers: number): Float32Array {
    const { hiddenSize } = this.#model.recipe;
    const states = new Float32Array(ids.length * hiddenSize);
    for (const { first, count } of this.#forward(ids, layers))
      for (let row = 0; row < count; row++)
        states.set(this.#engine.hiddenStates(row), (first + row) * hiddenSize);
    return states;
  }

  /** Logits of every position of a text in turn, [vocabSize], each valid until the next. */
  *logits(ids: readonly number[]): Generator<Float32Array> {
    const { logitsSlots } = this.#engine.plan;
    for (const { count } of this.#forward(ids, this.#model.recipe.layers.length))
      for (let row = 0; row < count; row += logitsSlots) {
        const slots = Math.min(logitsSlots, count - row);
        this.#engine.head(row, slots);
        for (let slot = 0; slot < slots; slot++) yield this.#engine.logits(slot);
      }
  }
}
