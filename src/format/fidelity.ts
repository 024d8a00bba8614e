import { excerpt } from "../excerpt.ts";
import { type Fidelity, fail, type ManifestFile, object, text } from "./manifest.ts";

const MEASURED = [
  "tokens",
  "perplexity_float32",
  "perplexity_converted",
  "kl_mean",
  "top1_agreement",
] as const;

/**
 * What was measured of a model's fidelity, for those who show it; undefined where nothing was.
 *
 * @throws EdgeformerError `invalid_model`, naming the field
 */
export function fidelityOf({ fidelity }: ManifestFile): Fidelity | undefined {
  if (fidelity === undefined) return undefined;
  text(object(fidelity, "fidelity").corpus, "fidelity.corpus");
  for (const name of MEASURED)
    if (!Number.isFinite(fidelity[name]))
      fail(`fidelity.${name} must be a number, not ${excerpt(fidelity[name])}`);
  return fidelity;
}
