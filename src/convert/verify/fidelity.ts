import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { Fidelity, Manifest } from "../../format/manifest.ts";
import { engineModule } from "../../node/index.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { Weights } from "../weights.ts";
import { logSoftmax } from "./float-math.ts";
import { EngineProbe } from "./probe.ts";
import { referenceLogits, referenceStates } from "./reference.ts";
import { SAMPLE_TEXT, SAMPLE_TITLE } from "./sample-text.ts";

/** Longest window that is scored in one piece. */
const WINDOW = 512;
/** Tokens drawn for a model without a tokenizer. */
const RANDOM_TOKENS = 256;
/** Positions whose float32 logits are in memory at once: 26 MB for GPT-2's vocabulary. */
const LOGIT_ROWS = 64;

/** A text as token ids, cut into windows that are scored on their own. */
export interface Corpus {
  name: string;
  windows: number[][];
}

function cut(ids: number[], window: number): number[][] {
  const windows: number[][] = [];
  for (let start = 0; start < ids.length; start += window) windows.push(ids.slice(start, start + window));
  return windows.filter(({ length }) => length > 1);
}

/**
 * What to measure on: `text`, or the bundled sample; for a model without a tokenizer, token ids spread evenly
 * over its vocabulary.
 */
export function chooseCorpus(
  manifest: Manifest,
  tokenizer: Tokenizer | undefined,
  text?: { name: string; text: string },
): Corpus {
  const window = Math.min(manifest.recipe.maxPositions, WINDOW);
  if (tokenizer) {
    const { name, text: content } = text ?? { name: SAMPLE_TITLE, text: SAMPLE_TEXT };
    return { name, windows: cut(tokenizer.encode(content), window) };
  }
  // Multiples of the golden ratio, modulo 1, visit the vocabulary evenly and in no simple order.
  const golden = (Math.sqrt(5) - 1) / 2;
  const ids = Array.from({ length: RANDOM_TOKENS }, (_, i) =>
    Math.floor(((i * golden) % 1) * manifest.recipe.vocabSize),
  );
  return { name: "token ids without meaning", windows: cut(ids, window) };
}

/** Sums over positions that become means at the end. */
class Tally {
  #positions = 0;
  #predicted = 0;
  #lossFloat = 0;
  #lossConverted = 0;
  #divergence = 0;
  #agreements = 0;

  /** @param next the token that follows, if one does */
  add(float: Float64Array, converted: Float64Array, next: number | undefined): void {
    let divergence = 0;
    let [bestFloat, bestConverted] = [0, 0];
    for (let i = 0; i < float.length; i++) {
      const [a, b] = [float[i] as number, converted[i] as number];
      divergence += Math.exp(a) * (a - b);
      if (a > (float[bestFloat] as number)) bestFloat = i;
      if (b > (converted[bestConverted] as number)) bestConverted = i;
    }
    this.#positions++;
    this.#divergence += divergence;
    if (bestFloat === bestConverted) this.#agreements++;
    if (next === undefined) return;
    this.#predicted++;
    this.#lossFloat -= float[next] as number;
    this.#lossConverted -= converted[next] as number;
  }

  result(corpus: string): Fidelity {
    return {
      corpus,
      tokens: this.#positions,
      perplexity_float32: Math.exp(this.#lossFloat / this.#predicted),
      perplexity_converted: Math.exp(this.#lossConverted / this.#predicted),
      kl_mean: this.#divergence / this.#positions,
      top1_agreement: this.#agreements / this.#positions,
    };
  }
}

/** The image of a model directory, part by part. */
export async function* readImage(
  directory: string,
  { parts }: Pick<Manifest, "parts">,
): AsyncGenerator<Uint8Array> {
  for (const { file } of parts)
    for await (const chunk of createReadStream(join(directory, file), { highWaterMark: 1 << 20 }))
      yield chunk as Uint8Array;
}

/**
 * Compares the converted model in the engine with the float32 checkpoint, position by position.
 *
 * @param directory the converted model's
 * @param onProgress called with the share that is done, 0 to 1
 */
export async function measureFidelity(
  directory: string,
  manifest: Manifest,
  weights: Weights,
  corpus: Corpus,
  onProgress: (share: number) => void = () => {},
): Promise<Fidelity> {
  const { hiddenSize, vocabSize, tensors } = manifest.recipe;
  const tokens = corpus.windows.reduce((sum, ids) => sum + ids.length, 0);
  const numLayers = manifest.recipe.layers.length;
  const layerCost =
    tokens * tensors.reduce((sum, { layer, rows, columns }) => sum + (layer === 0 ? rows * columns : 0), 0);
  const total = numLayers * layerCost + tokens * hiddenSize * vocabSize;
  const states = await referenceStates(weights, corpus.windows, {
    onLayer: (layer) => onProgress(((layer + 1) * layerCost) / total),
  });
  const context = Math.max(...corpus.windows.map(({ length }) => length));
  const probe = new EngineProbe(await engineModule(), manifest, context);
  await probe.load(readImage(directory, manifest));
  const tally = new Tally();
  let row = 0;
  for (const ids of corpus.windows) {
    let float: Float64Array = new Float64Array(0);
    let position = 0;
    for (const converted of probe.logits(ids)) {
      const within = position % LOGIT_ROWS;
      if (within === 0) {
        const end = Math.min(position + LOGIT_ROWS, ids.length);
        float = await referenceLogits(
          weights,
          states.subarray((row + position) * hiddenSize, (row + end) * hiddenSize),
        );
        onProgress((numLayers * layerCost + (row + end) * hiddenSize * vocabSize) / total);
      }
      position++;
      tally.add(
        logSoftmax(float, within * vocabSize, vocabSize),
        logSoftmax(converted, 0, vocabSize),
        ids[position],
      );
    }
    row += ids.length;
  }
  return tally.result(corpus.name);
}
