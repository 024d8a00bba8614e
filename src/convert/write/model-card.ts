import { createHash } from "node:crypto";
import { countParameters } from "../../architectures/recipe.ts";
import { fidelityOf } from "../../format/fidelity.ts";
import type { Manifest, Provenance } from "../../format/manifest.ts";
import { printable } from "../../printable.ts";
import { describeKinds } from "../describe-kinds.ts";

/** A text on one line that is not long, and with nothing in it that a terminal obeys: cards are read there, too. */
function line(text: string): string {
  return printable(text.replace(/\s+/g, " ").slice(0, 300).trim());
}

/** A text from a file of somebody else's, without markup. */
function plain(text: string): string {
  return line(text).replace(/[\\`*_{}[\]<>|#]/g, "\\$&");
}

/** What the makers say, a line each. */
function describeMakers(provenance: Provenance): string[] {
  const { name, author, organization, url, base_models, license, license_name, license_link } = provenance;
  const by = [author, organization].filter((one) => one !== undefined).join(", ");
  const terms = [license, license_name, license_link].filter((one) => one !== undefined);
  const rows: [string, string | undefined][] = [
    ["Original name", name],
    ["Made by", by === "" ? undefined : by],
    ["Home", url],
    ["Made from", base_models?.join(", ")],
    ["Licence", terms.length === 0 ? undefined : terms.join(", ")],
  ];
  return rows.flatMap(([label, text]) => (text === undefined ? [] : [`- ${label}: ${plain(text)}`]));
}

const FIRST_WORDS = "An edgeformer model";

/** Ends a card, with the digest of what stands before: whoever writes more into it makes it a file of their own. */
const MARK = "\n<!-- edgeformer card ";

function markOf(text: string): string {
  return `${MARK}${createHash("sha256").update(text).digest("hex").slice(0, 16)} -->\n`;
}

/** Whether a README.md was written by a conversion, under the name of whatever model, and not changed since. */
export function isModelCard(text: string): boolean {
  if (!text.startsWith("# ") || !text.slice(0, 1000).includes(`\n\n${FIRST_WORDS}`)) return false;
  const end = text.indexOf(MARK);
  // Early versions wrote no mark.
  return end === -1 || text.slice(end) === markOf(text.slice(0, end));
}

/** README.md of a converted model. */
export function modelCard(manifest: Manifest): string {
  const { name, architecture, recipe, provenance, tokenizer } = manifest;
  const fidelity = fidelityOf(manifest);
  const revision = provenance.revision === null ? "" : `, revision ${line(provenance.revision)}`;
  const millions = (countParameters(recipe) / 1e6).toFixed(1);
  const measured = fidelity
    ? `Perplexity on ${line(fidelity.corpus)} (${fidelity.tokens} tokens): ${fidelity.perplexity_float32.toFixed(3)} in float32, ${fidelity.perplexity_converted.toFixed(3)} converted.`
    : "Fidelity was not measured (`edgeformer convert --verify` does).";
  const text = `# ${line(name)}

${FIRST_WORDS}.

- Converted from: ${line(provenance.source)}${revision}
- SHA-256 of the source's weights: \`${provenance.sha256}\`
${describeMakers(provenance)
  .map((line) => `${line}\n`)
  .join(
    "",
  )}- Architecture: ${architecture}, ${recipe.layers.length} layers, width ${recipe.hiddenSize}, ${recipe.numHeads} heads, context ${recipe.maxPositions}, ${millions} M parameters
- Weights: ${describeKinds(manifest)}
- Tokenizer: ${tokenizer === null ? "none (token ids only)" : tokenizer.file}
- ${measured}

Licence and limits are those of the source; see its model card.
`;
  return text + markOf(text);
}
