import { countParameters, type Model } from "../../src/index.ts";

/** What the page tells about the model, and what it has to know of the server. Plain data, `GET /page/facts.json`. */
export interface Facts {
  name: string;
  architecture: string;
  layers: number;
  width: number;
  heads: number;
  /** Tokens that a prompt and its completion may have together. */
  context: number;
  vocabulary: number;
  parameters: number;
  weightBytes: number;
  /** Linear memory, constant while serving. */
  memoryBytes: number;
  engineBytes: number;
  source: string;
  fingerprint: string;
  /** exp of the mean loss in float32 and in int8, where the conversion measured it. */
  fidelity: { corpus: string; tokens: number; float32: number; int8: number } | null;
  /** A model without a tokenizer takes and gives token ids. */
  hasTokenizer: boolean;
  /** Most tokens of one completion. */
  maxTokens: number;
  /** Whether a key has to be sent. */
  needsKey: boolean;
  /** Whether the engine and the weights may be fetched, to run in the browser. */
  publicModel: boolean;
}

/** The part of the facts that the model itself knows. */
export function modelFacts(
  model: Model,
): Omit<Facts, "engineBytes" | "fingerprint" | "maxTokens" | "needsKey" | "publicModel"> {
  const { manifest } = model;
  const { recipe, fidelity } = manifest;
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
          int8: fidelity.perplexity_int8,
        }
      : null,
    hasTokenizer: model.tokenizer !== undefined,
  };
}
