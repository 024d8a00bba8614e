import { fusedRows, type Recipe, type TensorRole } from "../../architectures/recipe.ts";
import type { Matrix, Weights } from "../weights.ts";

/** Floats of a matrix that are in memory at once. */
const CHUNK_FLOATS = 1 << 20;
/**
 * How far columns are made alike: 0 leaves them, 1 gives all the same size. SmolLM2-135M with its blocks in int8, KL
 * from float32: 0.00196 with 0, 0.00145 with 0.75.
 */
const COLUMN_SHARE = 0.75;
/**
 * Standard deviations beside the constant part in a key channel's size. SmolLM2-135M with constant parts of 10 (100)
 * deviations in three pairs of each head, cache in int8, KL: 0.0022 (0.22) without factors, 0.0012 (0.067) with 3,
 * 0.0010 (0.052) with 6; 0.0003 (0.023) is what a float cache has.
 */
const KEY_DEVIATIONS = 6;
/** No column counts as smaller than this share of the average one: a dead channel is not blown up. */
const SMALLEST_SHARE = 1e-3;

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

/** Geometric mean 1, so that nothing grows on the whole. */
function centred(factors: Float64Array): Float32Array {
  let sum = 0;
  for (const factor of factors) sum += Math.log(factor);
  const mean = Math.exp(sum / factors.length);
  return Float32Array.from(factors, (factor) => factor / mean);
}

/** Factors that make `sizes` alike by the share `share`. */
function factorsAgainst(sizes: Float64Array, share: number): Float32Array {
  const floor = (SMALLEST_SHARE * sizes.reduce((sum, size) => sum + size, 0)) / sizes.length || 1;
  return centred(sizes.map((size) => Math.max(size, floor) ** -share));
}

async function* chunks(matrix: Matrix): AsyncGenerator<{ first: number; values: Float32Array }> {
  const { rows, columns } = matrix;
  const step = Math.max(1, Math.floor(CHUNK_FLOATS / columns));
  for (let first = 0; first < rows; first += step)
    yield { first, values: await matrix.read(first, Math.min(step, rows - first)) };
}

/** The size of each column: root mean square of its weights, every row's largest taken as 1. */
async function columnSizes(matrix: Matrix): Promise<Float64Array> {
  const { columns } = matrix;
  const squares = new Float64Array(columns);
  for await (const { values } of chunks(matrix))
    for (let start = 0; start < values.length; start += columns) {
      let largest = 0;
      for (let i = 0; i < columns; i++) largest = Math.max(largest, Math.abs(values[start + i] as number));
      if (largest === 0) continue;
      for (let i = 0; i < columns; i++)
        (squares[i] as number) += ((values[start + i] as number) / largest) ** 2;
    }
  return squares.map((square) => Math.sqrt(square / matrix.rows));
}

/**
 * How large each output is, [rows]: its constant part and KEY_DEVIATIONS standard deviations, for inputs that are
 * independent and as large as the norm before makes them.
 */
async function outputSizes(matrix: Matrix, norm: Float32Array, bias?: Float32Array): Promise<Float64Array> {
  const { columns } = matrix;
  const sizes = new Float64Array(matrix.rows);
  for await (const { first, values } of chunks(matrix))
    for (let start = 0, row = first; start < values.length; start += columns, row++) {
      let squares = 0;
      for (let i = 0; i < columns; i++) squares += ((values[start + i] as number) * (norm[i] as number)) ** 2;
      sizes[row] = Math.abs(bias?.[row] ?? 0) + KEY_DEVIATIONS * Math.sqrt(squares);
    }
  return sizes;
}

/**
 * Factors of a head's channels that make its keys alike. Rotary embedding turns the two channels of a pair together, so
 * they have one factor.
 *
 * @param sizes of the head's keys before the rotation, [headSize]
 */
function keyFactors(sizes: Float64Array, rotarySize: number): Float32Array {
  const half = rotarySize / 2;
  const pairs = sizes.map((size, channel) =>
    channel < rotarySize
      ? Math.hypot(size, sizes[channel < half ? channel + half : channel - half]!)
      : size * Math.SQRT2,
  );
  return factorsAgainst(pairs, -1);
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
    const columnFactors = await this.#columnFactors(name);
    const { rows, columns } = matrix;
    return {
      rows,
      columns,
      async read(first, count) {
        // A copy: the source may hand out a part of what it keeps.
        const values = Float32Array.from(await matrix.read(first, count));
        for (let row = 0; row < count; row++) {
          const rowFactor = rowFactors?.[first + row] ?? 1;
          for (let i = 0, at = row * columns; i < columns; i++, at++)
            values[at] = (values[at] as number) * rowFactor * (columnFactors?.[i] ?? 1);
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
    const sizesOf = async (role: TensorRole) =>
      columnSizes(await this.#weights.matrix(`blocks.${layer}.${role}`));
    const { numKeyValueHeads, headSize, innerSize, gated } = this.#recipe;
    // The heads of queries that share a head of values share its factors.
    const values = new Float64Array(numKeyValueHeads * headSize);
    for (const [channel, size] of (await sizesOf("attentionOutput")).entries())
      (values[this.#keyValueChannel(channel)] as number) += size ** 2;
    return {
      input: factorsAgainst(await sizesOf("queryKeyValue"), COLUMN_SHARE),
      key: await this.#keyFactors(layer),
      value: factorsAgainst(values.map(Math.sqrt), COLUMN_SHARE),
      mlp: factorsAgainst(await sizesOf("mlpInput"), COLUMN_SHARE),
      inner: gated
        ? factorsAgainst(await sizesOf("mlpOutput"), COLUMN_SHARE)
        : new Float32Array(innerSize).fill(1),
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
 * Models with LayerNorm are left as they are.
 */
export function equalized(weights: Weights): Weights {
  if (!isEqualizable(weights.recipe)) return weights;
  const equalizer = new Equalizer(weights);
  return {
    recipe: weights.recipe,
    config: weights.config,
    matrix: (name) => equalizer.matrix(name),
    vector: (name) => equalizer.vector(name),
    bias: (name) => equalizer.bias(name),
    close: () => weights.close(),
  };
}
