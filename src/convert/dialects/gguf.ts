import type { Recipe, TensorSpec } from "../../architectures/recipe.ts";
import { type Dialect, type NameTable, namesOf, type Source, stackedRows } from "./dialect.ts";

/** llama.cpp's names (`tensor_mapping.py` of its gguf package) without `.weight` and `.bias`. */
const NAMES: NameTable = {
  embedding: "token_embd",
  positions: "position_embd",
  finalNorm: "output_norm",
  head: "output",
  inputNorm: "blk.{}.attn_norm",
  queryKeyValue: ["blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v"],
  queryNorm: "blk.{}.attn_q_norm",
  keyNorm: "blk.{}.attn_k_norm",
  attentionOutput: "blk.{}.attn_output",
  mlpNorm: "blk.{}.ffn_norm",
  mlpOutput: "blk.{}.ffn_down",
};
const FUSED: NameTable = { queryKeyValue: "blk.{}.attn_qkv" };
const GATED: NameTable = { mlpInput: ["blk.{}.ffn_gate", "blk.{}.ffn_up"] };
const PLAIN: NameTable = { mlpInput: "blk.{}.ffn_up" };

/**
 * How a GGUF file writes a model of one of the architectures of `ggufConfig`: matrices [outputs, inputs], also
 * GPT-2's; queries, keys and values in one matrix or in three, as the file has them.
 *
 * @param tensors those of the file
 */
export function ggufDialect(tensors: ReadonlyMap<string, unknown>): Dialect {
  const sources = (kind: "weight" | "bias", tensor: TensorSpec, recipe: Recipe): Source[] => {
    const fused = namesOf(FUSED, tensor).map((name) => `${name}.weight`);
    const isFused =
      fused.length > 0 && (fused.every((name) => tensors.has(name)) || recipe.architecture === "gpt2");
    const table = { ...NAMES, ...(recipe.gated ? GATED : PLAIN), ...(isFused && FUSED) };
    const names = namesOf(table, tensor);
    const rows = stackedRows(tensor, recipe, names.length);
    return names.map((name, i): Source => {
      const rowOrder = rotaryRowOrder(tensor, recipe, isFused ? undefined : i);
      return { name: `${name}.${kind}`, rows: rows[i] as number, ...(rowOrder && { rowOrder }) };
    });
  };
  return {
    architectures: ["llama", "qwen2", "qwen3", "gpt2"],
    canonicalName: (name) => name,
    // What they say is in the configuration: Llama 3's stretched frequencies, and those that old files repeat.
    ignored: /^rope_freqs\.weight$|^blk\.\d+\.attn_rot_embd(\.weight)?$/,
    values: (tensor, recipe) => sources("weight", tensor, recipe),
    bias: (tensor, recipe) => sources("bias", tensor, recipe),
  };
}

/**
 * Llama's files hold the rows of queries and keys in another order: ggml turns channels 2i and 2i + 1 of a head
 * together, where Hugging Face (and this runtime) turns i and i + size / 2. The others' are as Hugging Face has them.
 *
 * @param part which of queries, keys and values the source is; undefined if it is all of them
 * @returns undefined where rows are in order
 */
function rotaryRowOrder(
  { role }: TensorSpec,
  { architecture, positions, numHeads, numKeyValueHeads, headSize }: Recipe,
  part: number | undefined,
): Source["rowOrder"] {
  const turned = part === undefined ? (numHeads + numKeyValueHeads) * headSize : part < 2 ? Infinity : 0;
  if (role !== "queryKeyValue" || architecture !== "llama" || positions.kind !== "rotary" || turned === 0)
    return undefined;
  const half = positions.size / 2;
  return (row) => {
    const channel = row % headSize;
    if (row >= turned || channel >= positions.size) return row;
    return row - channel + 2 * (channel % half) + Math.floor(channel / half);
  };
}
