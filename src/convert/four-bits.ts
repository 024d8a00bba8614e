// `--bits 4`: which tensors become four-bit weights, and what they are calibrated with.

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { TensorSpec } from "../architectures/recipe.ts";
import { EdgeformerError } from "../errors.ts";
import type { WeightKind } from "../format/kinds.ts";
import type { Model } from "../model.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { isFloatDtype } from "./formats/dtype.ts";
import { calibratedRounding } from "./quantize/calibrate.ts";
import { quantizeEightBitGroups } from "./quantize/eight-bit.ts";
import { ownText } from "./quantize/own-text.ts";
import { plainRounding, type Rounding } from "./quantize/rounding.ts";
import type { Weights } from "./weights.ts";

/** Windows of a text that somebody gives, and tokens of a window. */
const TEXT_WINDOWS = 16;
const TEXT_WINDOW = 256;
/** Fewer tokens say too little about what a matrix is multiplied with. */
const LEAST_TOKENS = 512;

export interface FourBitsOptions {
  /** Calibrate on this text. [what the model itself writes] */
  text?: { name: string; text: string };
  tokenizer: Tokenizer | undefined;
  /** Called with a step's name and the share that is done, 0 to 1. */
  onProgress(step: string, share: number): void;
  /** Writes the model in int8 into a directory that is there, and opens it. */
  openEightBit(directory: string): Promise<Model>;
}

/** Matrices of blocks in four bits; the embedding, the head and learned positions in eight with a step for each group. */
export function kindInFourBits({ form, layer }: TensorSpec): WeightKind {
  if (form === "vector") return "float32";
  return layer === undefined ? "int8-steps" : "four-bit";
}

function windowsOf(name: string, ids: readonly number[], longest: number): number[][] {
  if (ids.length < LEAST_TOKENS)
    throw new EdgeformerError(
      "invalid_option",
      `${name} has ${ids.length} tokens; to calibrate with it takes at least ${LEAST_TOKENS}`,
      { param: "calibrate" },
    );
  const length = Math.min(TEXT_WINDOW, longest);
  const count = Math.min(TEXT_WINDOWS, Math.floor(ids.length / length));
  // Spread over the whole text.
  return Array.from({ length: count }, (_, i) => {
    const start = Math.floor((i * (ids.length - length)) / Math.max(count - 1, 1));
    return ids.slice(start, start + length);
  });
}

/**
 * How weights in floating point become four bits. Calibration needs a text: the one that is given, or one that the model
 * writes itself, in eight bits, for which it is kept in a directory inside `directory` for that time.
 *
 * @throws EdgeformerError `invalid_option` for a text that is too short, or that the model has no tokenizer for
 */
export async function fourBitsRounding(
  directory: string,
  weights: Weights,
  { text, tokenizer, onProgress, openEightBit }: FourBitsOptions,
): Promise<Rounding> {
  // What a file holds in codes stays what it is; to the calibration it is as good as exact.
  const kindOf = (tensor: TensorSpec): WeightKind =>
    tensor.form === "vector" || weights.dtypes(tensor.name).every(isFloatDtype)
      ? kindInFourBits(tensor)
      : "int8";
  if (!weights.recipe.tensors.some((tensor) => kindOf(tensor) === "four-bit")) return plainRounding;
  let windows: number[][];
  if (text !== undefined) {
    if (!tokenizer)
      throw new EdgeformerError(
        "invalid_option",
        `the model has no tokenizer that could read ${text.name}: leave the text out`,
        { param: "calibrate" },
      );
    windows = windowsOf(text.name, tokenizer.encode(text.text), weights.recipe.maxPositions);
  } else {
    const own = join(directory, "eight-bit");
    await mkdir(own);
    try {
      const model = await openEightBit(own);
      try {
        windows = await ownText(model, (share) => onProgress("writing a text to calibrate with", share));
      } finally {
        model.dispose();
      }
    } finally {
      await rm(own, { recursive: true });
    }
  }
  return calibratedRounding(weights, {
    kindOf,
    windows,
    async others(tensor, matrix, first, count) {
      if (kindOf(tensor) !== "int8-steps") return plainRounding.round(tensor, matrix, first, count);
      const rows = await matrix.read(first, count);
      return { kind: "int8-steps", ...quantizeEightBitGroups(rows, count, matrix.columns) };
    },
    onProgress: (share) => onProgress("calibrating", share),
  });
}
