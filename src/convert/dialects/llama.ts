import { type Dialect, tableDialect } from "./dialect.ts";

/** Llama and its relatives as transformers saves them (modeling_llama.py, _mistral.py, _qwen2.py, _qwen3.py). */
export const llamaDialect: Dialect = tableDialect(
  {
    embedding: "embed_tokens",
    finalNorm: "norm",
    head: "lm_head",
    inputNorm: "layers.{}.input_layernorm",
    queryKeyValue: ["q_proj", "k_proj", "v_proj"].map((name) => `layers.{}.self_attn.${name}`),
    queryNorm: "layers.{}.self_attn.q_norm",
    keyNorm: "layers.{}.self_attn.k_norm",
    attentionOutput: "layers.{}.self_attn.o_proj",
    mlpNorm: "layers.{}.post_attention_layernorm",
    mlpInput: ["gate_proj", "up_proj"].map((name) => `layers.{}.mlp.${name}`),
    mlpOutput: "layers.{}.mlp.down_proj",
  },
  {
    architectures: ["llama", "mistral", "qwen2", "qwen3"],
    canonicalName: (name) => (name.startsWith("model.") ? name.slice("model.".length) : name),
    // Buffers that older versions of transformers saved; they follow from the configuration.
    ignored: /^layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/,
  },
);
