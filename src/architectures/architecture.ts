import type { ConfigFields } from "./config-fields.ts";
import type { Recipe } from "./recipe.ts";

/** A family of models: how its configuration becomes a recipe. */
export interface Architecture {
  /** transformers' `model_type`, and the name in model.json. */
  name: string;
  /** For people. */
  label: string;
  /** Whether a configuration without `model_type` is of this family. */
  matches?: (fields: ConfigFields) => boolean;
  /**
   * The recipe of a configuration in Hugging Face's layout, or of the `resolved` fields that an earlier call left.
   *
   * @throws EdgeformerError `invalid_model` or `unsupported_model`, naming the field and its value
   */
  recipe: (fields: ConfigFields) => Recipe;
}
