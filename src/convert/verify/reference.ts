import { fusedRows, type Recipe, type TensorSpec } from "../../architectures/recipe.ts";
import type { Matrix, Weights } from "../weights.ts";
import { attend } from "./float-attention.ts";
import { ACTIVATION_FUNCTIONS, layerNorm, multiplyAdd, rmsNorm, rotate } from "./float-math.ts";

/** Floats of a matrix that are in memory at once. */
const CHUNK_FLOATS = 1024 * 1024;

/** What is told while a reference run goes on. */
export interface ReferenceObserver {
  /** Hidden states [tokens, hiddenSize] after the embedding (layer −1) and after each block. */
  onLayer?: (layer: number, hiddenStates: Float64Array) => void;
  /** The rows [tokens, columns] that a matrix of the recipe is multiplied with. */
  onInput?: (name: string, rows: Float64Array) => void;
  /** Multiplies rows [tokens, columns] with a matrix of the recipe, in place of the reference; without the bias. */
  product?: (name: string, rows: Float64Array) => Promise<Float64Array>;
}

/**
 * The model in float32, straight from the checkpoint (transformers' modelling files; float64 between the weights):
 * what a quantized model is measured against. It goes through the model layer by layer with all tokens at once and
 * reads each matrix in pieces, so that it needs little memory whatever the model's size.
 *
 * @param windows texts as token ids, each read from position 0; each at most `maxPositions` long
 * @returns the states before the output head, [tokens of all windows, hiddenSize]
 */
export async function referenceStates(
  weights: Weights,
  windows: readonly (readonly number[])[],
  observer: ReferenceObserver = {},
): Promise<Float64Array> {
  const { recipe } = weights;
  const activation = ACTIVATION_FUNCTIONS[recipe.activation];
  let x = await embed(weights, windows);
  observer.onLayer?.(-1, x);
  const add = (y: Float64Array) => {
    x = x.map((value, i) => value + (y[i] as number));
  };
  const multiplied = (name: string, input: Float64Array) => {
    observer.onInput?.(name, input);
    return linear(weights, name, input, observer.product);
  };
  for (const layer of recipe.layers.keys()) {
    const name = (role: string) => `blocks.${layer}.${role}`;
    let normed = await norm(weights, name("inputNorm"), x);
    const qkv = await multiplied(name("queryKeyValue"), normed);
    await prepareHeads(weights, layer, qkv, windows);
    const attended = new Float64Array((x.length / recipe.hiddenSize) * recipe.numHeads * recipe.headSize);
    let row = 0;
    for (const { length } of windows) {
      attend(qkv, attended, row, length, recipe, layer);
      row += length;
    }
    add(await multiplied(name("attentionOutput"), attended));
    // Without a norm of its own, the feed-forward layer reads what attention read: the two are parallel.
    if (tensorOf(recipe, name("mlpNorm"))) normed = await norm(weights, name("mlpNorm"), x);
    let inner = await multiplied(name("mlpInput"), normed);
    if (recipe.gated) inner = gate(inner, recipe.innerSize, activation);
    else for (let i = 0; i < inner.length; i++) inner[i] = activation(inner[i] as number);
    add(await multiplied(name("mlpOutput"), inner));
    observer.onLayer?.(layer, x);
  }
  return norm(weights, "finalNorm", x);
}

/** Logits [rows, vocabSize] of states [rows, hiddenSize]. */
export async function referenceLogits(weights: Weights, states: Float64Array): Promise<Float64Array> {
  return linear(weights, weights.recipe.tiedHead ? "embedding" : "head", states);
}

function tensorOf(recipe: Recipe, name: string): TensorSpec | undefined {
  return recipe.tensors.find((tensor) => tensor.name === name);
}

async function norm(weights: Weights, name: string, x: Float64Array): Promise<Float64Array> {
  const { recipe } = weights;
  const weight = await weights.vector(name);
  return recipe.norm === "rms"
    ? rmsNorm(x, weight, recipe.normEpsilon)
    : layerNorm(x, weight, await weights.bias(name), recipe.normEpsilon);
}

async function embed(weights: Weights, windows: readonly (readonly number[])[]): Promise<Float64Array> {
  const { hiddenSize, positions, embeddingScale } = weights.recipe;
  const tokens = await weights.matrix("embedding");
  const places = positions.kind === "learned" ? await weights.matrix("positions") : undefined;
  const x = new Float64Array(windows.reduce((sum, ids) => sum + ids.length, 0) * hiddenSize);
  let start = 0;
  for (const ids of windows)
    for (const [position, id] of ids.entries()) {
      const token = await tokens.read(id, 1);
      const place = await places?.read(position, 1);
      for (let i = 0; i < hiddenSize; i++)
        x[start + i] = (token[i] as number) * embeddingScale + (place?.[i] ?? 0);
      start += hiddenSize;
    }
  return x;
}

/** out += x · Wᵀ, the matrix read in pieces. */
async function multiply(matrix: Matrix, x: Float64Array, out: Float64Array): Promise<void> {
  const { rows, columns } = matrix;
  const step = Math.max(16, Math.floor(CHUNK_FLOATS / columns / 16) * 16);
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const piece = await matrix.read(first, count);
    multiplyAdd(x, piece, out, x.length / columns, count, columns, rows, first);
  }
}

async function linear(
  weights: Weights,
  name: string,
  x: Float64Array,
  product?: ReferenceObserver["product"],
): Promise<Float64Array> {
  const matrix = await weights.matrix(name);
  const out = product ? await product(name, x) : new Float64Array((x.length / matrix.columns) * matrix.rows);
  if (tensorOf(weights.recipe, name)?.bias) {
    const bias = await weights.bias(name);
    for (let i = 0; i < out.length; i++) (out[i] as number) += bias[i % bias.length] as number;
  }
  if (!product) await multiply(matrix, x, out);
  return out;
}

/** activation(gate) · up of rows [2 · innerSize]. */
function gate(x: Float64Array, innerSize: number, activation: (x: number) => number): Float64Array {
  const rows = x.length / (2 * innerSize);
  const out = new Float64Array(rows * innerSize);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < innerSize; i++) {
      const at = 2 * row * innerSize + i;
      out[row * innerSize + i] = activation(x[at] as number) * (x[at + innerSize] as number);
    }
  return out;
}

/** The norms of queries and keys, and their rotation, in place. */
async function prepareHeads(
  weights: Weights,
  layer: number,
  qkv: Float64Array,
  windows: readonly (readonly number[])[],
): Promise<void> {
  const { recipe } = weights;
  const { headSize, numHeads, numKeyValueHeads, positions, normEpsilon } = recipe;
  const { total } = fusedRows(recipe);
  const normOf = async (role: string) => {
    const name = `blocks.${layer}.${role}`;
    return tensorOf(recipe, name) && weights.vector(name);
  };
  const norms = [await normOf("queryNorm"), await normOf("keyNorm")];
  const frequencies = positions.kind === "rotary" ? await weights.vector("rotary") : undefined;
  let row = 0;
  for (const { length } of windows)
    for (let position = 0; position < length; position++, row++)
      for (let head = 0; head < numHeads + numKeyValueHeads; head++) {
        const start = row * total + head * headSize;
        const weight = norms[head < numHeads ? 0 : 1];
        if (weight) qkv.set(rmsNorm(qkv.subarray(start, start + headSize), weight, normEpsilon), start);
        if (frequencies) rotate(qkv, start, position, frequencies);
      }
}
