import type { Architecture } from "./architecture.ts";
import { type ConfigFields, LIMITS } from "./config-fields.ts";
import { gptRecipe } from "./gpt2.ts";

/** transformers' GPTNeoConfig.attention_types, when config.json does not say. */
const DEFAULT_ATTENTION_TYPES = [[["global", "local"], 12]];

/** Per layer "global" or "local", from GPTNeoConfig's run-length notation or its expansion. */
function attentionLayers(fields: ConfigFields, count: number): string[] {
  const types =
    fields.peek("attention_types") ?? (fields.peek("attention_layers") ? undefined : DEFAULT_ATTENTION_TYPES);
  const kinds: unknown[] = [];
  if (types === undefined) kinds.push(...[fields.peek("attention_layers")].flat());
  else {
    if (!Array.isArray(types)) fields.fail("attention_types must be a list");
    for (const entry of types as unknown[]) {
      const [pattern, repeat] = Array.isArray(entry) ? entry : [];
      if (!Array.isArray(pattern) || pattern.length > count || !Number.isInteger(repeat) || repeat < 0)
        fields.fail(`attention_types must hold pairs such as [["global", "local"], 12]`);
      for (let i = 0; i < repeat && kinds.length <= count; i++) kinds.push(...pattern);
    }
  }
  if (kinds.length !== count || !kinds.every((kind) => kind === "global" || kind === "local"))
    fields.fail(`attention_types must say "global" or "local" for each of the ${count} layers`);
  return fields.keep("attention_layers", kinds as string[]);
}

/** GPT-Neo (Black et al. 2021): GPTNeoForCausalLM of transformers. Its scores are not scaled, half of its layers see a window. */
export const gptNeo: Architecture = {
  name: "gpt_neo",
  label: "GPT-Neo",
  recipe: (fields) => {
    const window = fields.size(["window_size"], LIMITS.positions, 256);
    return gptRecipe(fields, "gpt_neo", {
      defaults: { hiddenSize: 2048, numHeads: 16, numLayers: 24 },
      maxPositions: 2048,
      queryKeyValueBias: false,
      layers: (count) =>
        attentionLayers(fields, count).map((kind) => ({
          window: kind === "local" ? window : 0,
          scoreScale: 1,
        })),
    });
  },
};
