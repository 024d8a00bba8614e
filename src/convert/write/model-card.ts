import { countParameters } from "../../architectures/recipe.ts";
import type { Manifest } from "../../format/manifest.ts";

/** README.md of a converted model. */
export function modelCard(manifest: Manifest): string {
  const { name, architecture, recipe, provenance, tokenizer } = manifest;
  const revision = provenance.revision === null ? "" : `, revision ${provenance.revision}`;
  const millions = (countParameters(recipe) / 1e6).toFixed(1);
  const fidelity = manifest.fidelity
    ? `Perplexity on ${manifest.fidelity.corpus} (${manifest.fidelity.tokens} tokens): ${manifest.fidelity.perplexity_float32.toFixed(3)} in float32, ${manifest.fidelity.perplexity_int8.toFixed(3)} in int8.`
    : "Fidelity was not measured (`edgeformer convert --verify` does).";
  return `# ${name}

An edgeformer model: int8 weights with one scale per output row, packed for the engine.

- Converted from: ${provenance.source}${revision}
- SHA-256 of the source's weights: \`${provenance.sha256}\`
- Architecture: ${architecture}, ${recipe.layers.length} layers, width ${recipe.hiddenSize}, ${recipe.numHeads} heads, context ${recipe.maxPositions}, ${millions} M parameters
- Tokenizer: ${tokenizer === null ? "none (token ids only)" : tokenizer.file}
- ${fidelity}

Licence and limits are those of the source; see its model card.
`;
}
