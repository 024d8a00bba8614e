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
   * Bits of the weights in blocks that the checkpoint has in floating point; the embedding and the head stay in eight.
   * Codes that a file holds stay what they are. [8]
   */
  bits?: 4 | 8;
  /** With four bits, the text to calibrate on. [one that the model writes itself] */
  calibrate?: { name: string; text: string };
  /** Measure the result against float32: on the bundled sample, or on a text. [not measured] */
  verify?: true | { name: string; text: string };
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
