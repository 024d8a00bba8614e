import { excerpt } from "../excerpt.ts";
import type { Architecture } from "./architecture.ts";
import { type ConfigFields, LIMITS } from "./config-fields.ts";
import { llamaRecipe } from "./llama.ts";

/** Windows by `layer_types`, or by `use_sliding_window` and `max_window_layers` as configurations before it have them. */
function qwenWindows(fields: ConfigFields, layers: number, maxPositions: number): number[] {
  const isUsed = fields.flag("use_sliding_window", false);
  const types = fields.peek("layer_types");
  if (types !== undefined) {
    if (!Array.isArray(types) || types.length !== layers)
      fields.fail(`layer_types must name the kind of each of the ${layers} layers`);
    const unknown = types.find((type) => type !== "full_attention" && type !== "sliding_attention");
    if (unknown !== undefined)
      fields.unsupported(`layer_types: layers of the kind ${excerpt(unknown)} are not supported`);
    fields.keep("layer_types", types);
  }
  if (!isUsed) return new Array<number>(layers).fill(0);
  const size = fields.size(["sliding_window"], Number.MAX_SAFE_INTEGER, 4096);
  const window = size >= maxPositions ? 0 : size;
  if (types !== undefined)
    return (types as string[]).map((type) => (type === "sliding_attention" ? window : 0));
  // Counts the layers without a window, which come first; it may be all of them.
  const given = fields.peek("max_window_layers") ?? 28;
  if (!Number.isSafeInteger(given) || (given as number) < 0 || (given as number) > LIMITS.layers)
    fields.fail(`max_window_layers must be a number of layers, not ${excerpt(given)}`);
  const first = fields.keep("max_window_layers", given as number);
  return Array.from({ length: layers }, (_, layer) => (layer < first ? 0 : window));
}

/** Qwen2 and Qwen2.5: Llama with biases on queries, keys and values (Qwen2ForCausalLM of transformers). */
export const qwen2: Architecture = {
  name: "qwen2",
  label: "Qwen2 and Qwen2.5",
  recipe: (fields) =>
    llamaRecipe(fields, {
      architecture: "qwen2",
      innerSize: 22_016,
      maxPositions: 32_768,
      vocabSize: 151_936,
      bosTokenId: null,
      eosTokenId: null,
      biases: () => ({ queryKeyValue: true, attentionOutput: false, mlp: false }),
      windows: qwenWindows,
      queryKeyNorm: false,
    }),
};

/** Qwen3: RMSNorm on each head's query and key in place of the biases (Qwen3ForCausalLM of transformers). */
export const qwen3: Architecture = {
  name: "qwen3",
  label: "Qwen3",
  recipe: (fields) =>
    llamaRecipe(fields, {
      architecture: "qwen3",
      innerSize: 22_016,
      maxPositions: 32_768,
      vocabSize: 151_936,
      bosTokenId: null,
      eosTokenId: null,
      headSize: 128,
      biases: () => {
        const attention = fields.flag("attention_bias", false);
        return { queryKeyValue: attention, attentionOutput: attention, mlp: false };
      },
      windows: qwenWindows,
      queryKeyNorm: true,
    }),
};
