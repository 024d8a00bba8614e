import { EdgeformerError } from "../../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { GgufMetadata } from "../formats/gguf-metadata.ts";
import { endTokenIds } from "../tokenizers/gguf-tokenizer.ts";
import { llama3Scaling } from "./rope-factors.ts";

/** Architectures of GGUF files (`general.architecture`); each is transformers' `model_type`, too. */
const ARCHITECTURES = ["llama", "qwen2", "qwen3", "gpt2"] as const;
type GgufArchitecture = (typeof ARCHITECTURES)[number];

/** The tensor whose rows are the vocabulary. */
const EMBEDDING = "token_embd.weight";
/** Llama 3.1's stretched rotary frequencies: what each is divided by. */
const ROPE_FACTORS = "rope_freqs.weight";

/** The keys behind the fields that `ggufConfig` gives, so that an error can name them. */
export function ggufKeys(architecture: string): Readonly<Record<string, string>> {
  const sizes = {
    hidden_size: "embedding_length",
    n_embd: "embedding_length",
    num_hidden_layers: "block_count",
    n_layer: "block_count",
    num_attention_heads: "attention.head_count",
    n_head: "attention.head_count",
    num_key_value_heads: "attention.head_count_kv",
    head_dim: "attention.key_length",
    intermediate_size: "feed_forward_length",
    n_inner: "feed_forward_length",
    max_position_embeddings: "context_length",
    n_positions: "context_length",
    rms_norm_eps: "attention.layer_norm_rms_epsilon",
    layer_norm_epsilon: "attention.layer_norm_epsilon",
    num_local_experts: "expert_count",
    partial_rotary_factor: "rope.dimension_count",
    rope_theta: "rope.freq_base",
    rope_scaling: "rope.scaling",
  };
  return {
    ...Object.fromEntries(Object.entries(sizes).map(([field, key]) => [field, `${architecture}.${key}`])),
    vocab_size: "tokenizer.ggml.tokens",
  };
}

/** The keys of one architecture, `{architecture}.…`, and its tensors. */
interface GgufModel {
  metadata: GgufMetadata;
  architecture: GgufArchitecture;
  tensors: Checkpoint["tensors"];
  vocabSize: number;
}

/**
 * What a GGUF file says about its model, in the layout of Hugging Face's config.json (the keys are those of ggml's
 * docs/gguf.md). Values that the file does not have are left out. `tie_word_embeddings` is true, as a head of its own
 * is there to be seen: `output.weight`.
 *
 * @throws EdgeformerError `unsupported_model` for another architecture or way of stretching positions,
 *   `invalid_model` if a key is missing or does not fit the tensors
 */
export async function ggufConfig(
  checkpoint: Checkpoint & { readonly metadata: GgufMetadata },
): Promise<Record<string, unknown>> {
  const { metadata, tensors } = checkpoint;
  const architecture = metadata.required("general.architecture", metadata.string) as GgufArchitecture;
  if (!ARCHITECTURES.includes(architecture))
    throw new EdgeformerError(
      "unsupported_model",
      `${metadata.file}: the architecture ${JSON.stringify(architecture)} is not supported; supported are ${ARCHITECTURES.join(", ")}`,
    );
  const model = { metadata, architecture, tensors, vocabSize: vocabularySize(metadata, tensors) };
  const config = architecture === "gpt2" ? gptConfig(model) : await llamaConfig(model);
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

/** The embedding's rows, which must be as many as the tokens. */
function vocabularySize(metadata: GgufMetadata, tensors: Checkpoint["tensors"]): number {
  const rows = tensors.get(EMBEDDING)?.shape[0];
  if (rows === undefined)
    throw new EdgeformerError("invalid_model", `${metadata.file}: the tensor ${EMBEDDING} is missing`);
  const tokens = metadata.required("tokenizer.ggml.tokens", metadata.strings).length;
  if (tokens !== rows)
    throw new EdgeformerError(
      "invalid_model",
      `${metadata.file}: tokenizer.ggml.tokens has ${tokens} tokens, but ${EMBEDDING} has ${rows} rows`,
    );
  return rows;
}

/** What both kinds of architecture have under the same names. */
function commonConfig({ metadata, architecture, vocabSize }: GgufModel): Record<string, unknown> {
  return {
    model_type: architecture,
    vocab_size: vocabSize,
    tie_word_embeddings: true,
    bos_token_id: metadata.integer("tokenizer.ggml.bos_token_id") ?? null,
    eos_token_id: endTokenIds(metadata),
  };
}

function gptConfig(model: GgufModel): Record<string, unknown> {
  const { metadata, architecture } = model;
  const required = (key: string) => metadata.required(`${architecture}.${key}`, metadata.integer);
  return {
    ...commonConfig(model),
    n_embd: required("embedding_length"),
    n_layer: required("block_count"),
    n_head: required("attention.head_count"),
    n_inner: required("feed_forward_length"),
    n_positions: required("context_length"),
    layer_norm_epsilon: shortest(
      metadata.required(`${architecture}.attention.layer_norm_epsilon`, metadata.number),
    ),
    activation_function: "gelu_new",
  };
}

async function llamaConfig(model: GgufModel): Promise<Record<string, unknown>> {
  const { metadata, architecture, tensors } = model;
  const integer = (key: string) => metadata.integer(`${architecture}.${key}`);
  const required = (key: string) => metadata.required(`${architecture}.${key}`, metadata.integer);
  const hiddenSize = required("embedding_length");
  const numHeads = required("attention.head_count");
  const headSize = integer("attention.key_length") ?? hiddenSize / numHeads;
  const valueSize = integer("attention.value_length");
  if (valueSize !== undefined && valueSize !== headSize)
    throw new EdgeformerError(
      "unsupported_model",
      `${metadata.file}: ${architecture}.attention.value_length is ${valueSize}, but keys have ${headSize}; heads of two sizes are not supported`,
    );
  const rotated = integer("rope.dimension_count") ?? headSize;
  return {
    ...commonConfig(model),
    hidden_size: hiddenSize,
    num_hidden_layers: required("block_count"),
    num_attention_heads: numHeads,
    num_key_value_heads: integer("attention.head_count_kv") ?? numHeads,
    head_dim: headSize,
    intermediate_size: required("feed_forward_length"),
    max_position_embeddings: required("context_length"),
    rms_norm_eps: shortest(
      metadata.required(`${architecture}.attention.layer_norm_rms_epsilon`, metadata.number),
    ),
    hidden_act: "silu",
    num_local_experts: integer("expert_count"),
    partial_rotary_factor: rotated === headSize ? undefined : rotated / headSize,
    attention_bias: tensors.has("blk.0.attn_q.bias") || tensors.has("blk.0.attn_qkv.bias"),
    mlp_bias: tensors.has("blk.0.ffn_up.bias"),
    ...(await ropeConfig(model)),
  };
}

/** A float32 as people write it, 0.00001 for 9.999999747378752e-6, where float32 cannot tell the two apart. */
function shortest(value: number): number {
  const short = Number(value.toPrecision(7));
  return Math.fround(short) === value ? short : value;
}

/** The rotary embedding: its base, and how its frequencies are stretched. */
async function ropeConfig({ metadata, architecture, tensors }: GgufModel): Promise<Record<string, unknown>> {
  const theta = metadata.number(`${architecture}.rope.freq_base`) ?? 10_000;
  const type = metadata.string(`${architecture}.rope.scaling.type`) ?? "none";
  // Files of 2023 have the factor of a linear stretch under a key of its own.
  const old = metadata.number(`${architecture}.rope.scale_linear`) ?? 1;
  const factor = metadata.number(`${architecture}.rope.scaling.factor`) ?? old;
  const factors = tensors.get(ROPE_FACTORS);
  if (type !== "none" && type !== "linear")
    throw new EdgeformerError(
      "unsupported_model",
      `${metadata.file}: ${architecture}.rope.scaling.type is ${JSON.stringify(type)}; supported are none, linear, and Llama 3's ${ROPE_FACTORS}`,
    );
  const isLinear = factor !== 1 && (type === "linear" || old !== 1);
  if (factors === undefined)
    return { rope_theta: theta, ...(isLinear && { rope_scaling: { rope_type: "linear", factor } }) };
  const values = await factors.read(0, factors.shape[0] as number);
  const scaling = isLinear || factors.shape.length !== 1 ? undefined : llama3Scaling(values, theta);
  if (scaling === undefined)
    throw new EdgeformerError(
      "unsupported_model",
      `${metadata.file}: ${ROPE_FACTORS} stretches positions in another way than Llama 3's, which is not supported`,
    );
  return { rope_theta: theta, rope_scaling: scaling };
}
