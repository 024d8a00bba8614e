import type { GenerationConfig } from "../format/generation.ts";
import type { NamedText } from "./calibration-text.ts";

/** What the converter is doing: bytes of that step, or a share of 1 where bytes mean nothing. */
export type ConvertProgress = (step: string, done: number, total: number) => void;

export interface ConvertOptions {
  /**
   * A directory in Hugging Face's layout, a weights file, a GGUF file or an archive with one, or the id of a model on the
   * hub, behind which a colon and a quantization's name may stand ("ORG/NAME-GGUF:Q4_1"). If it is a LoRA adapter, the
   * base model that it names is converted with it.
   */
  source: string;
  /** Which file of a directory or a repository holds the weights. [found by its layout] */
  file?: string;
  /** The model directory to write. */
  out: string;
  /** The model's name. [the last part of `out`] */
  name?: string;
  /** Replace the model that is at `out`. [false] */
  force?: boolean;
  /** A LoRA adapter to merge: a directory or a hub id. */
  lora?: string;
  /**
   * With 8, floats become int8 and codes that a file holds stay what they are. With 4, blocks get four bits unless the
   * file has them in four, and the embedding and the head eight. [8]
   */
  bits?: 4 | 8;
  /**
   * In place of `bits`: bytes of linear memory that the model may take at `context`. The matrices whose change costs
   * least are put in four bits, by measurement, until it fits; the others stay in eight.
   */
  fit?: number;
  /** With `fit`, the positions that the memory must hold. [the model's, at most 1024] */
  context?: number;
  /** With four bits or `fit`, the text to calibrate and to measure on. [one that the model writes itself] */
  calibrate?: NamedText;
  /** Measure the result against float32: on the bundled sample, or on a text. [not measured] */
  verify?: true | NamedText;
  /** What holds where a request is silent, in place of what the checkpoint says. [the checkpoint's] */
  generation?: GenerationConfig;
  /** What the SHA-256 of the weights' files must be; otherwise nothing is written. [not checked] */
  sha256?: string;
  /** The hub's branch, tag or commit. ["main"] */
  revision?: string;
  /** The hub's access token. [none] */
  token?: string;
  /** Where the hub is. ["https://huggingface.co"] */
  hubUrl?: string;
  /** Where downloads go. [the cache of Hugging Face's libraries] */
  cacheDir?: string;
  onProgress?: ConvertProgress;
  /** Stops the conversion; nothing is left behind. */
  signal?: AbortSignal;
  /** Things to know about the result, one sentence each. */
  onWarning?: (message: string) => void;
}
