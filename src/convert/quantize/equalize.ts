import { fusedRows, type Recipe, type TensorRole } from "../../architectures/recipe.ts";
import { isFloatDtype } from "../formats/dtype.ts";
import type { GroupedRows } from "../formats/gguf-groups.ts";
import { type Matrix, type Weights, weightsWith } from "../weights.ts";
import { columnFactors, columnSizes, keyFactors, outputSizes } from "./channel-factors.ts";

/**
 * Factors of one layer. Each belongs to a channel that passes from one tensor to another: it multiplies the columns
 * behind the channel (for keys, the queries that they meet) and divides the rows or the norm before it.
 */
interface LayerFactors {
  /** [hiddenSize] between the norm before attention and the queries, keys and values. */
  input: Float32Array;
  /** [keyValueHeads · headSize] between keys and queries; with norms on queries and keys [headSize]. */
  key: Float32Array;
  /** [keyValueHeads · headSize] between values and attention's output projection. */
  value: Float32Array;
  /** [hiddenSize] between the second norm and the feed-forward layer. */
  mlp: Float32Array;
  /** [innerSize] between the rows of `up` and the columns of the last matrix. */
  inner: Float32Array;
}

/** The rows times their factors: the same codes with other steps. */
function scaledGroups(rows: GroupedRows, first: number, factors: Float32Array | undefined): GroupedRows {
  if (factors === undefined) return rows;
  const perRow = rows.steps.length / rows.rows;
  const scaled = (values: Float32Array) =>
    values.map((value, i) => value * factors[first + Math.floor(i / perRow)]!);
  return { ...rows, steps: scaled(rows.steps), minima: scaled(rows.minima) };
}

/** Whether the recipe is one that `equalized` changes. */
function isEqualizable({ norm, positions, tensors }: Recipe): boolean {
  return norm === "rms" && positions.kind === "rotary" && tensors.some(({ role }) => role === "mlpNorm");
}

class Equalizer {
  readonly #weights: Weights;
  readonly #recipe: Recipe;
  readonly #hasKeyNorm: boolean;
  readonly #rotarySize: number;
  /** Factors of the layer that was asked for last: tensors are read layer by layer. */
  #layer = -1;
  #factors: Promise<LayerFactors> | undefined;

  constructor(weights: Weights) {
    const { positions, tensors } = weights.recipe;
    this.#weights = weights;
    this.#recipe = weights.recipe;
    this.#hasKeyNorm = tensors.some(({ role }) => role === "keyNorm");
    this.#rotarySize = positions.kind === "rotary" ? positions.size : 0;
  }

  async matrix(name: string): Promise<Matrix> {
    const matrix = await this.#weights.matrix(name);
    const rowFactors = await this.#rowFactors(name);
    const factors = await this.#columnFactors(name);
    const { rows, columns, grouped } = matrix;
    return {
      rows,
      columns,
      ...(grouped && {
        grouped: async (first, count) => scaledGroups(await grouped(first, count), first, rowFactors),
      }),
      async read(first, count) {
        // A copy: the source may hand out a part of what it keeps.
        const values = Float32Array.from(await matrix.read(first, count));
        for (let row = 0; row < count; row++) {
          const rowFactor = rowFactors?.[first + row] ?? 1;
          for (let i = 0, at = row * columns; i < columns; i++, at++)
            values[at] = (values[at] as number) * rowFactor * (factors?.[i] ?? 1);
        }
        return values;
      },
    };
  }

  async vector(name: string): Promise<Float32Array> {
    const vector = await this.#weights.vector(name);
    const { role, factors } = await this.#of(name);
    if (role === "inputNorm") return vector.map((value, i) => value / factors!.input[i]!);
    if (role === "mlpNorm") return vector.map((value, i) => value / factors!.mlp[i]!);
    if (role === "queryNorm") return vector.map((value, i) => value * factors!.key[i]!);
    if (role === "keyNorm") return vector.map((value, i) => value / factors!.key[i]!);
    return vector;
  }

  async bias(name: string): Promise<Float32Array> {
    const bias = await this.#weights.bias(name);
    const factors = await this.#rowFactors(name);
    return factors ? bias.map((value, row) => value * factors[row]!) : bias;
  }

  async #of(name: string): Promise<{ role: TensorRole; factors: LayerFactors | undefined }> {
    const { role, layer } = this.#recipe.tensors.find((tensor) => tensor.name === name)!;
    if (layer === undefined) return { role, factors: undefined };
    if (layer !== this.#layer || this.#factors === undefined) {
      this.#layer = layer;
      this.#factors = this.#find(layer);
    }
    return { role, factors: await this.#factors };
  }

  async #find(layer: number): Promise<LayerFactors> {
    const { numKeyValueHeads, headSize, innerSize, gated } = this.#recipe;
    /** Sizes of a matrix' columns, all 1 where they must stay: the codes that a file has in groups are kept. */
    const sizesOf = async (role: TensorRole): Promise<Float64Array> => {
      const name = `blocks.${layer}.${role}`;
      const matrix = await this.#weights.matrix(name);
      return this.#weights.dtypes(name).every(isFloatDtype)
        ? columnSizes(matrix)
        : new Float64Array(matrix.columns).fill(1);
    };
    // The heads of queries that share a head of values share its factors.
    const values = new Float64Array(numKeyValueHeads * headSize);
    for (const [channel, size] of (await sizesOf("attentionOutput")).entries())
      (values[this.#keyValueChannel(channel)] as number) += size ** 2;
    return {
      input: columnFactors(await sizesOf("queryKeyValue")),
      key: await this.#keyFactors(layer),
      value: columnFactors(values.map(Math.sqrt)),
      mlp: columnFactors(await sizesOf("mlpInput")),
      inner: gated ? columnFactors(await sizesOf("mlpOutput")) : new Float32Array(innerSize).fill(1),
    };
  }

  async #keyFactors(layer: number): Promise<Float32Array> {
    const { numKeyValueHeads, headSize, tensors } = this.#recipe;
    const name = `blocks.${layer}.queryKeyValue`;
    const { key, value } = fusedRows(this.#recipe);
    const matrix = await this.#weights.matrix(name);
    const keys: Matrix = {
      rows: value - key,
      columns: matrix.columns,
      read: (first, count) => matrix.read(key + first, count),
    };
    const hasBias = tensors.some((tensor) => tensor.name === name && tensor.bias);
    const bias = hasBias ? (await this.#weights.bias(name)).subarray(key, value) : undefined;
    const sizes = await outputSizes(keys, await this.#weights.vector(`blocks.${layer}.inputNorm`), bias);
    const heads = Array.from({ length: numKeyValueHeads }, (_, head) =>
      sizes.subarray(head * headSize, (head + 1) * headSize),
    );
    if (!this.#hasKeyNorm)
      return Float32Array.from(heads.flatMap((head) => [...keyFactors(head, this.#rotarySize)]));
    // The norm gives every head the same size, then its weights, which the heads share, are multiplied in.
    const lengths = heads.map((head) => Math.hypot(...head) || 1);
    const normed = (await this.#weights.vector(`blocks.${layer}.keyNorm`)).map(
      (weight, i) => weight * Math.hypot(...heads.map((head, h) => head[i]! / lengths[h]!)),
    );
    return keyFactors(Float64Array.from(normed, Math.abs), this.#rotarySize);
  }

  /** The channel of keys and values that a channel of the queries belongs to. */
  #keyValueChannel(channel: number): number {
    const { numHeads, numKeyValueHeads, headSize } = this.#recipe;
    const head = Math.floor(channel / headSize);
    return Math.floor((head * numKeyValueHeads) / numHeads) * headSize + (channel % headSize);
  }

  /** What the rows of a matrix, and its bias, are multiplied with. */
  async #rowFactors(name: string): Promise<Float32Array | undefined> {
    const { role, factors } = await this.#of(name);
    if (role === "mlpInput" && this.#recipe.gated) {
      const { innerSize } = this.#recipe;
      return Float32Array.from({ length: 2 * innerSize }, (_, row) =>
        row < innerSize ? 1 : 1 / factors!.inner[row - innerSize]!,
      );
    }
    if (role !== "queryKeyValue") return undefined;
    const { key, value, total } = fusedRows(this.#recipe);
    // With norms on queries and keys, those have the factors.
    const keyOf = (channel: number) => (this.#hasKeyNorm ? 1 : factors!.key[channel]!);
    return Float32Array.from({ length: total }, (_, row) => {
      if (row < key) return keyOf(this.#keyValueChannel(row));
      return 1 / (row < value ? keyOf(row - key) : factors!.value[row - value]!);
    });
  }

  /** What the columns of a matrix are multiplied with. */
  async #columnFactors(name: string): Promise<Float32Array | undefined> {
    const { role, factors } = await this.#of(name);
    if (role === "queryKeyValue") return factors!.input;
    if (role === "mlpInput") return factors!.mlp;
    if (role === "mlpOutput") return factors!.inner;
    if (role !== "attentionOutput") return undefined;
    const { numHeads, headSize } = this.#recipe;
    return Float32Array.from(
      { length: numHeads * headSize },
      (_, channel) => factors!.value[this.#keyValueChannel(channel)]!,
    );
  }
}

/**
 * The same model with weights and keys that lose less when they are rounded, at no cost when it runs: where a channel
 * passes from one tensor to the next without anything in between, one side is multiplied and the other divided.
 *
 * - Columns of a matrix are made alike (Nagel et al. 2019, Xiao et al. 2022), for its rows share one scale. The factors
 *   go into the norm before it, into the values' rows before attention's output projection, and into the rows of `up`
 *   before the last matrix.
 * - Channels of keys are made alike, because the cache stores a key of a head with one scale: without it, a channel with
 *   a large constant part (Qwen2's biases, Qwen3's norms) leaves the others few bits. Rotation mixes the two channels of
 *   a pair, so both have one factor; it goes into the queries' rows, or into the norms of queries and keys.
 *
 * A matrix that a file holds in groups of codes keeps its columns, and with them its codes; a row's factor goes into its
 * steps. Models with LayerNorm are left as they are (`withoutKeyBias` is for them).
 */
export function equalized(weights: Weights): Weights {
  if (!isEqualizable(weights.recipe)) return weights;
  const equalizer = new Equalizer(weights);
  return weightsWith(weights, {
    matrix: (name) => equalizer.matrix(name),
    vector: (name) => equalizer.vector(name),
    bias: (name) => equalizer.bias(name),
  });
}
