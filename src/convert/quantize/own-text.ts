import type { Recipe } from "../../architectures/recipe.ts";
import type { Model } from "../../model.ts";

/** Windows and their length: with half as many tokens, half as much divergence again is left (0.0027 instead of 0.0017). */
const WINDOWS = 16;
const LONGEST = 512;
/** First of the windows' seeds; any would do. */
const SEED = 1;

/** The token that a text begins with; the first of the vocabulary where the model has none. */
function firstToken({ bosTokenId, eosTokenIds }: Recipe): number {
  return bosTokenId ?? eosTokenIds[0] ?? 0;
}

/**
 * A calibration text that needs no text: what the model itself writes, at temperature 1, from the beginning of a text
 * on. It is of the language and of the kind that the model was trained on, and always the same.
 *
 * @param model the model in int8
 * @param onProgress called with the share that is done, 0 to 1
 * @returns windows of token ids, each to be read from position 0
 */
export async function ownText(model: Model, onProgress?: (share: number) => void): Promise<number[][]> {
  const length = Math.min(LONGEST, model.context);
  const first = firstToken(model.manifest.recipe);
  let written = 0;
  return Promise.all(
    Array.from({ length: WINDOWS }, async (_, window) => {
      const ids = [first];
      const options = { maxTokens: length - 1, temperature: 1, seed: SEED + window, ignoreEos: true };
      for await (const chunk of model.generate([first], options)) {
        ids.push(...chunk.ids);
        written += chunk.ids.length;
        onProgress?.(written / (WINDOWS * (length - 1)));
      }
      return ids;
    }),
  );
}
