import { BLOCK_POSITIONS } from "../../../assembly/abi.ts";
import { Engine } from "../../engine/engine.ts";
import { planMemory } from "../../engine/memory.ts";
import { imageBytes, type ModelLayout, type TensorInfo } from "../../format/layout.ts";

/** The model with so many bytes more behind its tensors. */
function withSpare({ recipe, tensors }: ModelLayout, bytes: number): ModelLayout {
  const end = imageBytes({ recipe, tensors });
  const spare = { name: "", kind: "float32" as const, rows: 0, columns: 0, offset: end, bytes };
  return { recipe, tensors: bytes === 0 ? tensors : [...tensors, spare] };
}

/** The engine without scheduler and text: the hidden states after any layer of a text, and every logit. */
export class EngineProbe {
  readonly #model: ModelLayout;
  readonly #engine: Engine;

  /**
   * @param context positions of the longest text
   * @param spareBytes room behind the image, for a tensor that stands in for another
   */
  constructor(module: WebAssembly.Module, model: ModelLayout, context: number, spareBytes = 0) {
    const kvBlocks = Math.ceil(context / BLOCK_POSITIONS);
    const plan = planMemory(withSpare(model, spareBytes), { context, kvBlocks, maxSequences: 8 });
    this.#model = model;
    this.#engine = new Engine(module, model, plan);
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

  /** Puts another tensor in the place of the one with its name; until `restore` the model is the one with that tensor. */
  replace(tensor: TensorInfo, bytes: Uint8Array): void {
    const offset = imageBytes(this.#model);
    this.#engine.writeWeights(offset, bytes);
    const tensors = this.#model.tensors.map((own) =>
      own.name === tensor.name ? { ...tensor, offset } : own,
    );
    this.#engine.describe({ recipe: this.#model.recipe, tensors });
  }

  /** The model is its own again. */
  restore(): void {
    this.#engine.describe(this.#model);
  }

  /**
   * Logits of every `every`-th position of a text, with what they sum up to; each is valid until the next.
   *
   * @param states the states [tokens, hiddenSize] before the block `from`; without them the text is embedded
   */
  *someLogits(
    ids: readonly number[],
    every: number,
    from = 0,
    states?: Float32Array,
  ): Generator<{ logits: Float32Array; logSumExp: number }> {
    const { maxRows, logitsSlots } = this.#engine.plan;
    const { hiddenSize, layers } = this.#model.recipe;
    for (let first = 0; first < ids.length; first += maxRows) {
      const count = Math.min(maxRows, ids.length - first);
      for (let row = 0; row < count; row++) this.#engine.setRow(row, ids[first + row]!, first + row, 0);
      this.#engine.embed(count);
      if (states !== undefined)
        for (let row = 0; row < count; row++) {
          const start = (first + row) * hiddenSize;
          this.#engine.hiddenStates(row).set(states.subarray(start, start + hiddenSize));
        }
      let wanted = 0;
      for (let row = every - 1; row < count; row += every) this.#engine.setWanted(wanted++, row);
      // At least the last block runs: it moves the rows that are wanted to the front.
      this.#engine.blocks(Math.min(from, layers.length - 1), layers.length, count, wanted);
      for (let row = 0; row < wanted; row += logitsSlots) {
        const slots = Math.min(logitsSlots, wanted - row);
        this.#engine.head(row, slots);
        for (let slot = 0; slot < slots; slot++)
          yield { logits: this.#engine.logits(slot), logSumExp: this.#engine.logSumExp(slot) };
      }
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

  /** Hidden states [tokens, hiddenSize] before each block. */
  statesBeforeBlocks(ids: readonly number[]): Float32Array[] {
    const { hiddenSize, layers } = this.#model.recipe;
    const states = layers.map(() => new Float32Array(ids.length * hiddenSize));
    for (const { first, count } of this.#forward(ids, 0))
      for (const [layer, before] of states.entries()) {
        for (let row = 0; row < count; row++)
          before.set(this.#engine.hiddenStates(row), (first + row) * hiddenSize);
        this.#engine.blocks(layer, layer + 1, count, count);
      }
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
