import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gaussian } from "../reference/random.ts";
import { type RawTensor, safetensorsFile } from "./checkpoints.ts";

export interface RandomCheckpoint {
  config: Record<string, unknown> & { model_type: string };
  dtype: "F32" | "F16" | "BF16";
  seed: number;
  /** Changes a tensor after it was drawn. */
  change?: (name: string, values: Float32Array) => void;
}

/** The upper half of a float32, the rest rounded to nearest, ties to even. */
function bfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The nearest half-precision number's bits; normal ones only, smaller values become 0. */
function float16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  if (exponent <= 0) return 0;
  const rounded = ((exponent << 10) | ((bits >>> 13) & 0x3ff)) + ((bits >>> 12) & 1);
  return ((bits >>> 16) & 0x8000) | rounded;
}

const WRITERS: Record<RandomCheckpoint["dtype"], (values: Float32Array) => ArrayBufferView> = {
  F32: (values) => values,
  F16: (values) => Uint16Array.from(values, float16),
  BF16: (values) => Uint16Array.from(values, bfloat16),
};

/** Names and shapes of the tensors of a checkpoint in Llama's layout, in a fixed order. */
function* shapesOf(config: RandomCheckpoint["config"]): Generator<[name: string, shape: number[]]> {
  const size = (name: string, fallback?: number) => (config[name] ?? fallback) as number;
  const [width, inner] = [size("hidden_size"), size("intermediate_size")];
  const heads = size("num_attention_heads");
  const keyHeads = size("num_key_value_heads", heads);
  const head = size("head_dim", width / heads);
  const attentionBias = config.attention_bias === true;
  yield ["model.embed_tokens.weight", [size("vocab_size"), width]];
  yield ["model.norm.weight", [width]];
  for (let layer = 0; layer < size("num_hidden_layers"); layer++) {
    const at = (name: string) => `model.layers.${layer}.${name}`;
    const linear = function* (name: string, rows: number, columns: number, bias: boolean) {
      yield [at(`${name}.weight`), [rows, columns]] as [string, number[]];
      if (bias) yield [at(`${name}.bias`), [rows]] as [string, number[]];
    };
    const inputBias = attentionBias || config.model_type === "qwen2";
    yield [at("input_layernorm.weight"), [width]];
    yield* linear("self_attn.q_proj", heads * head, width, inputBias);
    yield* linear("self_attn.k_proj", keyHeads * head, width, inputBias);
    yield* linear("self_attn.v_proj", keyHeads * head, width, inputBias);
    if (config.model_type === "qwen3") {
      yield [at("self_attn.q_norm.weight"), [head]];
      yield [at("self_attn.k_norm.weight"), [head]];
    }
    yield* linear("self_attn.o_proj", width, heads * head, attentionBias);
    yield [at("post_attention_layernorm.weight"), [width]];
    yield* linear("mlp.gate_proj", inner, width, config.mlp_bias === true);
    yield* linear("mlp.up_proj", inner, width, config.mlp_bias === true);
    yield* linear("mlp.down_proj", width, inner, config.mlp_bias === true);
  }
  if (config.tie_word_embeddings !== true) yield ["lm_head.weight", [size("vocab_size"), width]];
}

/**
 * Writes a checkpoint of random weights in Hugging Face's layout: matrices and biases wide enough that attention is
 * not uniform and a lost factor shows, norms around 1.
 */
export function writeRandomCheckpoint(
  directory: string,
  { config, dtype, seed, change }: RandomCheckpoint,
): void {
  const tensors: Record<string, RawTensor> = {};
  let index = 0;
  for (const [name, shape] of shapesOf(config)) {
    const values = gaussian(
      shape.reduce((product, length) => product * length, 1),
      1000 * seed + index++,
    );
    const spread = name.endsWith("bias") ? 0.2 : 0.9 / Math.sqrt(shape[1] ?? 1);
    for (let i = 0; i < values.length; i++)
      values[i] = name.endsWith("norm.weight") ? 1 + 0.2 * values[i]! : spread * values[i]!;
    change?.(name, values);
    const { buffer, byteOffset, byteLength } = WRITERS[dtype](values);
    tensors[name] = { dtype, shape, bytes: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength) };
  }
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  writeFileSync(join(directory, "model.safetensors"), safetensorsFile(tensors));
}

/** Llama-like checkpoints of the shapes that are easily got wrong. */
export const RANDOM_CHECKPOINTS: Record<string, RandomCheckpoint> = {
  "llama, head 20, one key head, linear scaling, biases": {
    config: {
      model_type: "llama",
      hidden_size: 60,
      intermediate_size: 88,
      num_hidden_layers: 2,
      num_attention_heads: 3,
      num_key_value_heads: 1,
      vocab_size: 101,
      max_position_embeddings: 96,
      rope_scaling: { rope_type: "linear", factor: 4 },
      attention_bias: true,
      mlp_bias: true,
      tie_word_embeddings: false,
    },
    dtype: "F32",
    seed: 1,
  },
  "llama, head 80, three key heads, llama3 scaling": {
    config: {
      model_type: "llama",
      hidden_size: 48,
      intermediate_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 6,
      num_key_value_heads: 3,
      head_dim: 80,
      vocab_size: 101,
      max_position_embeddings: 96,
      rope_theta: 500_000,
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 32,
      },
      rms_norm_eps: 1e-5,
      tie_word_embeddings: true,
    },
    dtype: "BF16",
    seed: 2,
  },
  "qwen3, head 128, nine key heads": {
    config: {
      model_type: "qwen3",
      hidden_size: 40,
      intermediate_size: 72,
      num_hidden_layers: 1,
      num_attention_heads: 9,
      num_key_value_heads: 9,
      head_dim: 128,
      vocab_size: 101,
      max_position_embeddings: 96,
      rope_theta: 1_000_000,
      tie_word_embeddings: true,
    },
    dtype: "F16",
    seed: 3,
  },
  "qwen2, nine heads of 16 over three": {
    config: {
      model_type: "qwen2",
      hidden_size: 144,
      intermediate_size: 160,
      num_hidden_layers: 2,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      vocab_size: 101,
      max_position_embeddings: 96,
      tie_word_embeddings: true,
    },
    dtype: "F32",
    seed: 4,
  },
  "llama, thirty layers": {
    config: {
      model_type: "llama",
      hidden_size: 32,
      intermediate_size: 48,
      num_hidden_layers: 30,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      vocab_size: 101,
      max_position_embeddings: 96,
      tie_word_embeddings: false,
    },
    dtype: "F32",
    seed: 5,
  },
};

/** The same with what only the reference of this project has: windows and rotation of a part of the channels. */
export const OTHER_CHECKPOINTS: Record<string, RandomCheckpoint> = {
  "mistral, a window of 7": {
    config: {
      model_type: "mistral",
      hidden_size: 48,
      intermediate_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      vocab_size: 101,
      max_position_embeddings: 96,
      sliding_window: 7,
      tie_word_embeddings: true,
    },
    dtype: "F32",
    seed: 6,
  },
  "llama, a quarter of the channels turned, no multiple of four": {
    config: {
      model_type: "llama",
      hidden_size: 40,
      intermediate_size: 56,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 24,
      partial_rotary_factor: 0.25,
      vocab_size: 101,
      max_position_embeddings: 96,
      tie_word_embeddings: true,
    },
    dtype: "F32",
    seed: 7,
  },
  "qwen3, grouped, every other layer with a window": {
    config: {
      model_type: "qwen3",
      hidden_size: 48,
      intermediate_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 6,
      num_key_value_heads: 2,
      head_dim: 20,
      use_sliding_window: true,
      sliding_window: 9,
      layer_types: ["full_attention", "sliding_attention"],
      vocab_size: 101,
      max_position_embeddings: 96,
      tie_word_embeddings: true,
    },
    dtype: "F32",
    seed: 8,
  },
};
