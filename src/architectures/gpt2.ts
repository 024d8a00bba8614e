import type { Architecture } from "./architecture.ts";
import { type ConfigFields, LIMITS } from "./config-fields.ts";
import { listTensors, type Recipe } from "./recipe.ts";

/** What GPT-2 and GPT-Neo have in common: LayerNorm with biases, learned positions, as many keys as queries. */
export function gptRecipe(
  fields: ConfigFields,
  architecture: string,
  {
    defaults,
    maxPositions,
    layers,
    queryKeyValueBias,
  }: {
    /** transformers' defaults of the sizes: a configuration may be nothing but its `model_type`. */
    defaults: Pick<Recipe, "hiddenSize" | "numHeads"> & { numLayers: number };
    maxPositions: number;
    layers: (count: number, headSize: number) => Recipe["layers"];
    queryKeyValueBias: boolean;
  },
): Recipe {
  if (fields.flag("add_cross_attention", false))
    fields.unsupported("add_cross_attention: a decoder with cross-attention is not supported");
  const hiddenSize = fields.size(["n_embd", "hidden_size"], LIMITS.width, defaults.hiddenSize);
  const numHeads = fields.size(
    ["n_head", "num_attention_heads", "num_heads"],
    LIMITS.heads,
    defaults.numHeads,
  );
  const numLayers = fields.size(
    ["n_layer", "num_hidden_layers", "num_layers"],
    LIMITS.layers,
    defaults.numLayers,
  );
  if (hiddenSize % numHeads !== 0) fields.fail(`n_head (${numHeads}) must divide n_embd (${hiddenSize})`);
  const vocabSize = fields.size(["vocab_size"], LIMITS.vocabulary, 50257);
  const recipe = {
    architecture,
    hiddenSize,
    numHeads,
    numKeyValueHeads: numHeads,
    headSize: hiddenSize / numHeads,
    innerSize: fields.size(["n_inner", "intermediate_size"], LIMITS.width, 4 * hiddenSize),
    vocabSize,
    maxPositions: fields.size(
      ["n_positions", "max_position_embeddings", "n_ctx"],
      LIMITS.positions,
      maxPositions,
    ),
    norm: "layer" as const,
    normEpsilon: fields.real("layer_norm_epsilon", 0, 1, 1e-5),
    positions: { kind: "learned" as const },
    embeddingScale: 1,
    activation: fields.activation(["activation_function"], "gelu_new"),
    gated: false,
    layers: layers(numLayers, hiddenSize / numHeads),
    tiedHead: fields.flag("tie_word_embeddings", true),
    bosTokenId: fields.tokens("bos_token_id", vocabSize, 50256)[0] ?? null,
    eosTokenIds: fields.tokens("eos_token_id", vocabSize, 50256),
  };
  const biases = { queryKeyValue: queryKeyValueBias, attentionOutput: true, mlp: true };
  return { ...recipe, tensors: listTensors(recipe, { biases, queryKeyNorm: false }) };
}

/** GPT-2 (Radford et al. 2019): GPT2LMHeadModel of transformers. */
export const gpt2: Architecture = {
  name: "gpt2",
  label: "GPT-2 (with DistilGPT-2 and fine-tunes)",
  // Before 2020 config.json had no model_type; `afn` is the first GPT's name for its activation function.
  matches: (fields) =>
    fields.peek("model_type") === undefined &&
    fields.peek("n_embd") !== undefined &&
    fields.peek("afn") === undefined,
  recipe: (fields) => {
    const scaled = fields.flag("scale_attn_weights", true);
    const inverse = fields.flag("scale_attn_by_inverse_layer_idx", false);
    return gptRecipe(fields, "gpt2", {
      defaults: { hiddenSize: 768, numHeads: 12, numLayers: 12 },
      maxPositions: 1024,
      queryKeyValueBias: true,
      layers: (count, headSize) => {
        const scale = scaled ? 1 / Math.sqrt(headSize) : 1;
        return Array.from({ length: count }, (_, i) => ({
          window: 0,
          scoreScale: inverse ? scale / (i + 1) : scale,
        }));
      },
    });
  },
};
