import type { Recipe } from "../../architectures/recipe.ts";
import type { Model } from "../../model.ts";

const WINDOWS = 16;
/**
 * Positions of a window. Half as many tokens leave half as much divergence again (fable: 0.0027 instead of 0.0017); but
 * what they cost grows with the model, and 4,096 of 135 M parameters take minutes.
 */
const LENGTH = 512;
const LENGTH_OF_LARGE = 256;
/** Weights in blocks from which a model is large. */
const LARGE = 32e6;
/** First of the windows' seeds; any would do. */
const SEED = 1;

/** The token that a text begins with; the first of the vocabulary where the model has none. */
function firstToken({ bosTokenId, eosTokenIds }: Recipe): number {
  return bosTokenId ?? eosTokenIds[0] ?? 0;
}

function weightsInBlocks({ tensors }: Recipe): number {
  return tensors.reduce(
    (sum, { layer, rows, columns }) => sum + (layer === undefined ? 0 : rows * columns),
    0,
  );
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
  const { recipe } = model.manifest;
  const isLarge = weightsInBlocks(recipe) >= LARGE;
  const length = Math.min(isLarge ? LENGTH_OF_LARGE : LENGTH, model.context);
  const first = firstToken(recipe);
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
