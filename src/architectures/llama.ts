import type { Architecture } from "./architecture.ts";
import { type ConfigFields, LIMITS } from "./config-fields.ts";
import { listTensors, type Recipe } from "./recipe.ts";
import { rotaryPositions } from "./rope-scaling.ts";

/** What distinguishes the families that are built like Llama. */
interface LlamaOptions {
  architecture: string;
  /** transformers' defaults of `intermediate_size` and `num_key_value_heads`. [11008; as many as there are heads] */
  innerSize?: number;
  numKeyValueHeads?: number;
  /** transformers' default of `max_position_embeddings`. */
  maxPositions: number;
  vocabSize: number;
  bosTokenId: number | null;
  eosTokenId: number | null;
  /** transformers' default of `head_dim`, where it is a number. [hidden_size / num_attention_heads] */
  headSize?: number;
  biases: (fields: ConfigFields) => { queryKeyValue: boolean; attentionOutput: boolean; mlp: boolean };
  /** The window of each layer, 0 for none. */
  windows: (fields: ConfigFields, layers: number, maxPositions: number) => number[];
  queryKeyNorm: boolean;
}

/** A head of its own size or `hidden_size / num_attention_heads`. */
function headSizeOf(fields: ConfigFields, hiddenSize: number, numHeads: number, fallback?: number): number {
  if (fields.peek("head_dim") === undefined && fallback === undefined && hiddenSize % numHeads !== 0)
    fields.fail(
      `num_attention_heads (${numHeads}) does not divide hidden_size (${hiddenSize}), and there is no head_dim`,
    );
  return fields.size(["head_dim"], LIMITS.width, fallback ?? hiddenSize / numHeads);
}

/** RMSNorm, rotary positions, grouped-query attention and a gated feed-forward layer (Touvron et al. 2023). */
export function llamaRecipe(fields: ConfigFields, options: LlamaOptions): Recipe {
  fields.refuse("num_local_experts", "a mixture of experts", 0, 1);
  fields.refuse("num_experts", "a mixture of experts", 0, 1);
  const hiddenSize = fields.size(["hidden_size"], LIMITS.width, 4096);
  const numHeads = fields.size(["num_attention_heads"], LIMITS.heads, 32);
  const numKeyValueHeads = fields.size(
    ["num_key_value_heads"],
    LIMITS.heads,
    options.numKeyValueHeads ?? numHeads,
  );
  if (numHeads % numKeyValueHeads !== 0)
    fields.fail(`num_key_value_heads (${numKeyValueHeads}) must divide num_attention_heads (${numHeads})`);
  const headSize = headSizeOf(fields, hiddenSize, numHeads, options.headSize);
  const numLayers = fields.size(["num_hidden_layers"], LIMITS.layers, 32);
  const vocabSize = fields.size(["vocab_size"], LIMITS.vocabulary, options.vocabSize);
  const maxPositions = fields.size(["max_position_embeddings"], LIMITS.positions, options.maxPositions);
  const scoreScale = 1 / Math.sqrt(headSize);
  const recipe = {
    architecture: options.architecture,
    hiddenSize,
    numHeads,
    numKeyValueHeads,
    headSize,
    innerSize: fields.size(["intermediate_size"], LIMITS.width, options.innerSize ?? 11_008),
    vocabSize,
    maxPositions,
    norm: "rms" as const,
    normEpsilon: fields.real("rms_norm_eps", 0, 1, 1e-6),
    positions: rotaryPositions(fields, headSize),
    embeddingScale: 1,
    activation: fields.activation(["hidden_act", "hidden_activation"], "silu"),
    gated: true,
    layers: options.windows(fields, numLayers, maxPositions).map((window) => ({ window, scoreScale })),
    tiedHead: fields.flag("tie_word_embeddings", false),
    bosTokenId: fields.tokens("bos_token_id", vocabSize, options.bosTokenId)[0] ?? null,
    eosTokenIds: fields.tokens("eos_token_id", vocabSize, options.eosTokenId),
  };
  const biases = options.biases(fields);
  return { ...recipe, tensors: listTensors(recipe, { biases, queryKeyNorm: options.queryKeyNorm }) };
}

/** Mistral's window, the same in every layer: null is none, and so is one as long as the context. */
export function oneWindow(fields: ConfigFields, layers: number, maxPositions: number): number[] {
  const window = fields.isNull("sliding_window")
    ? 0
    : fields.size(["sliding_window"], Number.MAX_SAFE_INTEGER, 4096);
  if (window === 0) fields.keep("sliding_window", null);
  return new Array<number>(layers).fill(window >= maxPositions ? 0 : window);
}

/** Llama 2, 3, 3.1, 3.2, and what is built like them: SmolLM, TinyLlama, Yi (LlamaForCausalLM of transformers). */
export const llama: Architecture = {
  name: "llama",
  label: "Llama (with SmolLM, TinyLlama, Yi)",
  recipe: (fields) =>
    llamaRecipe(fields, {
      architecture: "llama",
      maxPositions: 2048,
      vocabSize: 32_000,
      bosTokenId: 1,
      eosTokenId: 2,
      biases: () => {
        const attention = fields.flag("attention_bias", false);
        return { queryKeyValue: attention, attentionOutput: attention, mlp: fields.flag("mlp_bias", false) };
      },
      windows: (_, layers) => new Array<number>(layers).fill(0),
      queryKeyNorm: false,
    }),
};
