/** The activation functions that the engine has, under their Hugging Face names (`ACT2FN` of transformers). */
export const ACTIVATIONS = ["gelu_new", "gelu_pytorch_tanh", "gelu", "relu", "silu"] as const;

/** An activation function of the feed-forward layer, under its Hugging Face name. */
export type ActivationName = (typeof ACTIVATIONS)[number];

/** What a tensor does in the forward pass; assembly/abi.ts has a field for each of these. */
export type TensorRole =
  | "embedding"
  | "positions"
  | "rotary"
  | "finalNorm"
  | "head"
  | "inputNorm"
  | "queryKeyValue"
  | "queryNorm"
  | "keyNorm"
  | "attentionOutput"
  | "mlpNorm"
  | "mlpInput"
  | "mlpOutput";

/** A tensor that an architecture has. Its name is its role, with `blocks.N.` before it in layer N. */
export interface TensorSpec {
  name: string;
  role: TensorRole;
  /** The layer, counted from 0; undefined for the tensors before and after the layers. */
  layer: number | undefined;
  /** A matrix [rows, columns] = [outputs, inputs] is quantized. A vector is float32 with `rows` elements. */
  form: "matrix" | "vector";
  rows: number;
  /** 1 for a vector. */
  columns: number;
  /** Whether a float32 bias of `rows` elements belongs to it. */
  bias: boolean;
}

/** How rotary embeddings stretch their frequencies for longer contexts (transformers' `rope_scaling`). */
export type RopeScaling =
  | { kind: "none" }
  | { kind: "linear"; factor: number }
  | {
      kind: "llama3";
      factor: number;
      lowFreqFactor: number;
      highFreqFactor: number;
      originalMaxPositions: number;
    };

/** How a row knows its position. */
export type Positions =
  | { kind: "learned" }
  /** Rotary embedding (Su et al. 2021) of the first `size` channels of each head, channel i paired with i + size / 2. */
  | { kind: "rotary"; size: number; theta: number; scaling: RopeScaling };

/** What differs from layer to layer. */
export interface LayerRecipe {
  /** Positions that a token sees, itself included; 0 for all. */
  window: number;
  /** The factor on q·k before the softmax. */
  scoreScale: number;
}

/**
 * A decoder-only Transformer as plain data: everything that the engine, the memory plan and the converter have to
 * know about a model. An architecture (gpt2.ts, llama.ts …) makes it from a configuration; nobody else knows one
 * architecture from another.
 */
export interface Recipe {
  /** The architecture's name: transformers' `model_type`. */
  architecture: string;
  hiddenSize: number;
  numHeads: number;
  /** Heads of keys and values; a divisor of `numHeads` (grouped-query attention, Ainslie et al. 2023). */
  numKeyValueHeads: number;
  /** Channels of a head; not always `hiddenSize / numHeads`. */
  headSize: number;
  /** Width of the feed-forward layer. */
  innerSize: number;
  vocabSize: number;
  /** Positions that the checkpoint was trained for: the longest possible context. */
  maxPositions: number;
  norm: "layer" | "rms";
  normEpsilon: number;
  positions: Positions;
  /** The factor on an embedding. */
  embeddingScale: number;
  activation: ActivationName;
  /** Whether the feed-forward layer multiplies activation(gate) by up (SwiGLU, Shazeer 2020). */
  gated: boolean;
  layers: LayerRecipe[];
  /** Whether the output head is the embedding. */
  tiedHead: boolean;
  bosTokenId: number | null;
  /** Tokens that end a text; none for a model that never ends one. */
  eosTokenIds: number[];
  /** Every tensor, in the order in which the forward pass reads them. */
  tensors: TensorSpec[];
}

/** Rows of the fused matrix of queries, keys and values: where each of the three begins, and all of them. */
export function fusedRows({
  numHeads,
  numKeyValueHeads,
  headSize,
}: Pick<Recipe, "numHeads" | "numKeyValueHeads" | "headSize">): {
  key: number;
  value: number;
  total: number;
} {
  const key = numHeads * headSize;
  const value = key + numKeyValueHeads * headSize;
  return { key, value, total: value + numKeyValueHeads * headSize };
}

/** Learned numbers of a model. A tied head counts once; scales and rotary frequencies are not learned. */
export function countParameters(recipe: Recipe): number {
  return recipe.tensors
    .filter(({ role }) => role !== "rotary")
    .reduce((sum, { rows, columns, bias }) => sum + rows * columns + (bias ? rows : 0), 0);
}

/** What `blockTensors` has to know beside the recipe's sizes. */
interface BlockOptions {
  /** Which matrices have a bias. */
  biases: { queryKeyValue: boolean; attentionOutput: boolean; mlp: boolean };
  /** Whether queries and keys go through a norm of their own, head by head (Qwen3). */
  queryKeyNorm: boolean;
}

/** The tensors of a model whose layers are attention and feed-forward, each behind a norm. */
export function listTensors(
  recipe: Omit<Recipe, "tensors">,
  { biases, queryKeyNorm }: BlockOptions,
): TensorSpec[] {
  const { hiddenSize, headSize, innerSize, numHeads, vocabSize, positions, gated } = recipe;
  const normBias = recipe.norm === "layer";
  const tensors: TensorSpec[] = [];
  const add = (
    role: TensorRole,
    layer: number | undefined,
    form: TensorSpec["form"],
    rows: number,
    columns: number,
    bias: boolean,
  ) => {
    const name = layer === undefined ? role : `blocks.${layer}.${role}`;
    tensors.push({ name, role, layer, form, rows, columns, bias });
  };
  if (positions.kind === "learned")
    add("positions", undefined, "matrix", recipe.maxPositions, hiddenSize, false);
  else add("rotary", undefined, "vector", positions.size / 2, 1, false);
  for (const layer of recipe.layers.keys()) {
    const matrix = (role: TensorRole, rows: number, columns: number, bias: boolean) =>
      add(role, layer, "matrix", rows, columns, bias);
    add("inputNorm", layer, "vector", hiddenSize, 1, normBias);
    matrix("queryKeyValue", fusedRows(recipe).total, hiddenSize, biases.queryKeyValue);
    if (queryKeyNorm) {
      add("queryNorm", layer, "vector", headSize, 1, false);
      add("keyNorm", layer, "vector", headSize, 1, false);
    }
    matrix("attentionOutput", hiddenSize, numHeads * headSize, biases.attentionOutput);
    add("mlpNorm", layer, "vector", hiddenSize, 1, normBias);
    matrix("mlpInput", gated ? 2 * innerSize : innerSize, hiddenSize, biases.mlp);
    matrix("mlpOutput", hiddenSize, innerSize, biases.mlp);
  }
  add("finalNorm", undefined, "vector", hiddenSize, 1, normBias);
  add("embedding", undefined, "matrix", vocabSize, hiddenSize, false);
  if (!recipe.tiedHead) add("head", undefined, "matrix", vocabSize, hiddenSize, false);
  return tensors;
}
