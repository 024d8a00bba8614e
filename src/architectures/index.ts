import { excerpt } from "../excerpt.ts";
import type { Architecture } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";
import { gptNeo } from "./gpt-neo.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import type { Recipe } from "./recipe.ts";

/** Every family of models that there is. A new one is a file of this folder and a line here. */
export const ARCHITECTURES: readonly Architecture[] = [gpt2, gptNeo, llama, mistral, qwen2, qwen3];

/** What is supported, for messages. */
export function supportedArchitectures(): string {
  return ARCHITECTURES.map(({ name, label }) => `${label} (${name})`).join(", ");
}

/**
 * The recipe of a configuration.
 *
 * @param fields config.json, or the `config` of model.json with its `architecture` as `model_type`
 * @throws EdgeformerError `unsupported_model` for a family that is not here; what the family throws
 */
export function recipeOf(fields: ConfigFields): Recipe {
  const type = fields.peek("model_type");
  const architecture = ARCHITECTURES.find(({ name, matches }) => name === type || matches?.(fields));
  if (architecture === undefined)
    return fields.unsupported(
      `model_type ${excerpt(type ?? null)}: this architecture is not supported; supported are ${supportedArchitectures()}`,
    );
  fields.refuse("quantization_config", "a checkpoint that is quantized already; take the original one");
  return architecture.recipe(fields);
}
