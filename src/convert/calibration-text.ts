// What four-bit weights are calibrated with.

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { EdgeformerError } from "../errors.ts";
import type { Model } from "../model.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { ownText } from "./quantize/own-text.ts";

/** Windows of a text that somebody gives, and tokens of a window. */
const TEXT_WINDOWS = 16;
const TEXT_WINDOW = 256;
/** Fewer tokens say too little about what a matrix is multiplied with. */
const LEAST_TOKENS = 512;

/** A text by the name that messages give it. */
export interface NamedText {
  name: string;
  text: string;
}

/**
 * Windows of a text that somebody gives, as token ids.
 *
 * @param longest positions of the model
 * @throws EdgeformerError `invalid_option` for a text that is too short, or that the model has no tokenizer for
 */
export function givenWindows(
  { name, text }: NamedText,
  tokenizer: Tokenizer | undefined,
  longest: number,
): number[][] {
  const fault = (message: string) => new EdgeformerError("invalid_option", message, { param: "calibrate" });
  if (!tokenizer) throw fault(`the model has no tokenizer that could read ${name}: leave the text out`);
  const ids = tokenizer.encode(text);
  if (ids.length < LEAST_TOKENS)
    throw fault(`${name} has ${ids.length} tokens; to calibrate with it takes at least ${LEAST_TOKENS}`);
  const length = Math.min(TEXT_WINDOW, longest);
  const count = Math.min(TEXT_WINDOWS, Math.floor(ids.length / length));
  // Spread over the whole text.
  return Array.from({ length: count }, (_, i) => {
    const start = Math.floor((i * (ids.length - length)) / Math.max(count - 1, 1));
    return ids.slice(start, start + length);
  });
}

/**
 * Windows of a text that the model writes itself.
 *
 * @param directory where the model in eight bits is kept for that time, in a directory of its own
 * @param openEightBit writes the model in eight bits into a directory that is there, and opens it
 */
export async function ownWindows(
  directory: string,
  openEightBit: (directory: string) => Promise<Model>,
  onProgress: (share: number) => void,
): Promise<number[][]> {
  const own = join(directory, "eight-bit");
  await mkdir(own);
  try {
    const model = await openEightBit(own);
    try {
      return await ownText(model, onProgress);
    } finally {
      model.dispose();
    }
  } finally {
    await rm(own, { recursive: true });
  }
}
