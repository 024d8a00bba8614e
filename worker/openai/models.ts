import type { Model } from "../../src/index.ts";
import { HttpError } from "../errors.ts";

/** What OpenAI's list says of a model, its context under vLLM's name for it, and what holds where a request is silent. */
export function describeModel(model: Model) {
  return {
    id: model.manifest.name,
    object: "model" as const,
    created: 0,
    owned_by: "edgeformer",
    max_model_len: model.context,
    generation: model.manifest.generation ?? {},
    eos_token_ids: model.manifest.recipe.eosTokenIds,
  };
}

/** The list of the one model that there is. */
export function listModels(model: Model) {
  return { object: "list" as const, data: [describeModel(model)] };
}

/**
 * Refuses a request for another model.
 *
 * @param name what the request asks for; undefined asks for whatever there is
 * @throws HttpError 404
 */
export function checkModelName(model: Model, name: string | undefined): void {
  if (name !== undefined && name !== model.manifest.name)
    throw new HttpError(
      404,
      `The model '${name.slice(0, 128)}' does not exist; this server has '${model.manifest.name}'.`,
      { param: "model", code: "model_not_found" },
    );
}
