/** A model by its sizes; its weights are random. */
export interface Shape {
  name: string;
  family: "gpt2" | "llama";
  layers: number;
  width: number;
  heads: number;
  /** Heads of keys and values. */
  keyValueHeads: number;
  /** Width of the feed-forward layer. */
  inner: number;
  vocabulary: number;
  /** How the blocks' matrices are stored; in four bits, the embedding has eight with steps. */
  bits: 8 | 4;
  /** In place of `bits`: the memory that it is converted to fit (`edgeformer convert --fit`). */
  fit?: number;
}

/** Positions of every model that is measured. */
export const CONTEXT = 1024;

/** GPT-2's architecture: its vocabulary, and a feed-forward layer four times as wide as the stream. */
function gpt2(name: string, layers: number, width: number, heads: number, bits: 8 | 4 = 8): Shape {
  const inner = 4 * width;
  return { name, family: "gpt2", layers, width, heads, keyValueHeads: heads, inner, vocabulary: 50257, bits };
}

/** SmolLM2-135M's sizes. */
const SMOLLM2 = {
  family: "llama" as const,
  layers: 30,
  width: 576,
  heads: 9,
  keyValueHeads: 3,
  inner: 1536,
  vocabulary: 49152,
};

export const SHAPES: Record<string, Shape> = {
  fable: gpt2("fable", 4, 192, 3),
  distilgpt2: gpt2("distilgpt2", 6, 768, 12),
  "distilgpt2-4bit": gpt2("distilgpt2-4bit", 6, 768, 12, 4),
  gpt2: gpt2("gpt2", 12, 768, 12),
  "gpt2-100mb": { ...gpt2("gpt2-100mb", 12, 768, 12, 4), fit: 100e6 },
  smollm2: { name: "smollm2", ...SMOLLM2, bits: 8 },
  "smollm2-4bit": { name: "smollm2-4bit", ...SMOLLM2, bits: 4 },
};

/** Outputs and inputs of each of a block's matrices. */
function blockMatrices({ family, width, heads, keyValueHeads, inner }: Shape): [number, number][] {
  const keys = (keyValueHeads * width) / heads;
  return [
    [width + 2 * keys, width],
    [width, width],
    [family === "llama" ? 2 * inner : inner, width],
    [width, inner],
  ];
}

/** Weights of all blocks' matrices. */
export function blockWeights(shape: Shape): number {
  return shape.layers * blockMatrices(shape).reduce((sum, [rows, columns]) => sum + rows * columns, 0);
}

/** Bytes of weights that one decode step has to read: every block's matrices and the head. */
export function bytesPerStep(shape: Shape): number {
  const head = shape.vocabulary * shape.width;
  return shape.bits === 4 ? (blockWeights(shape) * 4.75 + head * 8.25) / 8 : blockWeights(shape) + head;
}

/** A prompt for any of the models: ids without a pattern that a cache could have seen, other ones per `salt`. */
export function prompt(tokens: number, salt = 0): number[] {
  return Array.from({ length: tokens }, (_, i) => (i * 7919 + salt * 104729 + 17) % VOCABULARY);
}

/** Ids below this are in every vocabulary here. */
export const VOCABULARY = 49152;
