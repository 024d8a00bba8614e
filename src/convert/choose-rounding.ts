// How a checkpoint's weights become integers: what `--bits`, `--fit` and `--calibrate` decide.

import type { TensorSpec } from "../architectures/recipe.ts";
import type { WeightKind } from "../format/kinds.ts";
import type { Model } from "../model.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { givenWindows, type NamedText, ownWindows } from "./calibration-text.ts";
import { type Budget, fittedKinds } from "./fitted-kinds.ts";
import { calibratedRounding } from "./quantize/calibrate.ts";
import { importRounding } from "./quantize/import-rounding.ts";
import { type DtypesOf, importedKind, kindsFor } from "./quantize/kinds-for.ts";
import { ownText } from "./quantize/own-text.ts";
import { eightBitRounding, plainRounding, type Rounding } from "./quantize/rounding.ts";
import type { Image } from "./verify/kind-losses.ts";
import type { Weights } from "./weights.ts";
import { writeImage } from "./write/image.ts";

export interface RoundingOptions {
  bits: 4 | 8;
  /** In place of `bits`. */
  budget: Budget | undefined;
  /** Calibrate on this text. [what the model itself writes] */
  text: NamedText | undefined;
  tokenizer: Tokenizer | undefined;
  /** Called with a step's name and the share that is done, 0 to 1. */
  onProgress(step: string, share: number): void;
  /** Makes a directory with an image a model directory without a tokenizer, and opens it. */
  open(directory: string, image: Image): Promise<Model>;
}

export interface ChosenRounding {
  rounding: Rounding;
  /** A sentence on what was chosen and what it cost, once the image is written. */
  describe?: (directory: string, image: Image) => Promise<string>;
}

/**
 * Four bits need a calibration text: the one that is given, or one that the model writes itself, in eight bits.
 *
 * @param directory where models are kept meanwhile, in directories of their own
 * @throws EdgeformerError `invalid_option` for a text that is too short or that the model has no tokenizer for, and for
 *   a budget that cannot be met
 */
export async function chooseRounding(
  directory: string,
  weights: Weights,
  options: RoundingOptions,
): Promise<ChosenRounding> {
  const { bits, budget, text, tokenizer, onProgress, open } = options;
  const { recipe } = weights;
  const dtypesOf = dtypesIn(weights);
  const writing = (share: number) => onProgress("writing a text to calibrate with", share);
  const given = text && givenWindows(text, tokenizer, recipe.maxPositions);

  if (budget !== undefined) {
    const windowsFor = async (at: string, image: Image) => {
      if (given) return given;
      const model = await open(at, image);
      try {
        return await ownText(model, writing);
      } finally {
        model.dispose();
      }
    };
    const fitted = await fittedKinds(directory, weights, dtypesOf, budget, windowsFor, onProgress);
    const { kindOf, windows, describe } = fitted;
    return { rounding: await roundingTo(kindOf, weights, async () => windows!, onProgress), describe };
  }

  const openEightBit = async (at: string) => {
    const image = await writeImage(at, weights, {
      rounding: plainRounding,
      onProgress: (done, total) => onProgress("rounding to eight bits", done / total),
    });
    return open(at, { recipe, ...image });
  };
  const windowsOf = async () => given ?? ownWindows(directory, openEightBit, writing);
  return { rounding: await roundingTo(kindsFor(dtypesOf, bits), weights, windowsOf, onProgress) };
}

/** Rounding to these kinds: calibrated where there are four bits to be made that the file does not have. */
async function roundingTo(
  kindOf: (tensor: TensorSpec) => WeightKind,
  weights: Weights,
  windowsOf: () => Promise<number[][]>,
  onProgress: RoundingOptions["onProgress"],
): Promise<Rounding> {
  const dtypesOf = dtypesIn(weights);
  const isFinished = (tensor: TensorSpec) => importedKind(dtypesOf(tensor)) === "four-bit";
  const isCalibrated = weights.recipe.tensors.some(
    (tensor) => kindOf(tensor) === "four-bit" && !isFinished(tensor),
  );
  if (!isCalibrated) return importRounding(dtypesOf, eightBitRounding(kindOf));
  const calibrated = await calibratedRounding(weights, {
    kindOf,
    isFinished,
    windows: await windowsOf(),
    onProgress: (share) => onProgress("calibrating", share),
  });
  return importRounding(dtypesOf, calibrated);
}

function dtypesIn(weights: Weights): DtypesOf {
  return ({ name }) => weights.dtypes(name);
}
