/** A GPT-2 architecture by its sizes. The vocabulary is GPT-2's, the MLP four times as wide as the stream. */
export interface Shape {
  name: string;
  layers: number;
  width: number;
  heads: number;
}

export const VOCABULARY = 50257;
export const CONTEXT = 1024;

export const SHAPES: Record<string, Shape> = {
  fable: { name: "fable", layers: 4, width: 192, heads: 3 },
  distilgpt2: { name: "distilgpt2", layers: 6, width: 768, heads: 12 },
  gpt2: { name: "gpt2", layers: 12, width: 768, heads: 12 },
};

/** Bytes of int8 weights that one decode step has to read: every block's matrices and the head. */
export function bytesPerStep({ layers, width }: Shape): number {
  return layers * 12 * width * width + VOCABULARY * width;
}

/** A prompt for any of the models: ids without a pattern that a cache could have seen, other ones per `salt`. */
export function prompt(tokens: number, salt = 0): number[] {
  return Array.from({ length: tokens }, (_, i) => (i * 7919 + salt * 104729 + 17) % VOCABULARY);
}
