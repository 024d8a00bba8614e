import { fidelityOf } from "../../../src/format/fidelity.ts";
import type { Model } from "../../../src/index.ts";
import { countParameters } from "../../../src/index.ts";
import type { Facts, StandIn } from "../shared/facts.ts";

/** What the page says where the model stands in for `missing`, which could not be fetched. */
export function standInFor(missing: string | undefined): StandIn | null {
  if (missing === undefined) return null;
  return { missing, how: `Connect to the internet, run "npx edgeformer pull ${missing}" and start again.` };
}

/** The part of the facts that the model itself knows. */
export function modelFacts(
  model: Model,
): Omit<Facts, "engineBytes" | "fingerprint" | "maxTokens" | "needsKey" | "publicModel" | "standIn"> {
  const { manifest } = model;
  const { recipe } = manifest;
  const fidelity = fidelityOf(manifest);
  return {
    name: manifest.name,
    architecture: manifest.architecture,
    layers: recipe.layers.length,
    width: recipe.hiddenSize,
    heads: recipe.numHeads,
    context: model.context,
    vocabulary: recipe.vocabSize,
    parameters: countParameters(recipe),
    weightBytes: manifest.parts.reduce((sum, part) => sum + part.bytes, 0),
    memoryBytes: model.memoryBytes,
    source: manifest.provenance.source,
    fidelity: fidelity
      ? {
          corpus: fidelity.corpus,
          tokens: fidelity.tokens,
          float32: fidelity.perplexity_float32,
          converted: fidelity.perplexity_converted,
        }
      : null,
    generation: { ...manifest.generation },
    hasTokenizer: model.tokenizer !== undefined,
    chat:
      manifest.chat_template !== undefined && model.tokenizer
        ? { usesDate: manifest.chat_template.includes("strftime_now") }
        : null,
  };
}
