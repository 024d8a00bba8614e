import type { Architecture } from "./architecture.ts";
import { llamaRecipe, oneWindow } from "./llama.ts";

/** Mistral (Jiang et al. 2023): Llama with a window in every layer, in later versions without (MistralForCausalLM of transformers). */
export const mistral: Architecture = {
  name: "mistral",
  label: "Mistral",
  recipe: (fields) =>
    llamaRecipe(fields, {
      architecture: "mistral",
      innerSize: 14_336,
      numKeyValueHeads: 8,
      maxPositions: 131_072,
      vocabSize: 32_000,
      bosTokenId: 1,
      eosTokenId: 2,
      biases: () => ({ queryKeyValue: false, attentionOutput: false, mlp: false }),
      windows: oneWindow,
      queryKeyNorm: false,
    }),
};
