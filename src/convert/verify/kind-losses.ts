import { open } from "node:fs/promises";
import { join } from "node:path";
import type { ModelLayout, TensorInfo } from "../../format/layout.ts";
import type { Manifest } from "../../format/manifest.ts";
import { engineModule } from "../../node/index.ts";
import { readImage } from "./fidelity.ts";
import { EngineProbe } from "./probe.ts";

/** Tokens of a window, and windows: what a tensor costs is measured on 512 tokens, at every fourth of them. */
const LENGTH = 128;
const WINDOWS = 4;
const EVERY = 4;

/** A model directory's image, or one that becomes a model directory. */
export type Image = ModelLayout & Pick<Manifest, "parts">;

/** Probabilities of the finest model at the positions that are looked at. */
interface Expected {
  /** [vocabSize] */
  probabilities: Float64Array;
  /** Σ p · ln p */
  negativeEntropy: number;
}

/**
 * How far a model's answers move when tensors are stored in other kinds: the mean divergence KL(finest ‖ other) of its
 * next token, in nats, measured by the engine itself.
 */
export class KindLosses {
  readonly #windows: readonly (readonly number[])[];
  readonly #probe: EngineProbe;
  readonly #layers: number;
  /** Of each window: the states [tokens, hiddenSize] before each block. */
  readonly #states: Float32Array[][];
  readonly #expected: Expected[];

  private constructor(probe: EngineProbe, layers: number, windows: readonly (readonly number[])[]) {
    this.#probe = probe;
    this.#layers = layers;
    this.#windows = windows;
    this.#states = windows.map((ids) => probe.statesBeforeBlocks(ids));
    this.#expected = windows.flatMap((ids) =>
      Array.from(probe.someLogits(ids, EVERY), ({ logits, logSumExp }) => {
        const probabilities = new Float64Array(logits.length);
        let negativeEntropy = 0;
        for (let i = 0; i < logits.length; i++) {
          const logprob = (logits[i] as number) - logSumExp;
          probabilities[i] = Math.exp(logprob);
          negativeEntropy += (probabilities[i] as number) * logprob;
        }
        return { probabilities, negativeEntropy };
      }),
    );
  }

  /**
   * @param windows token ids, each read from position 0
   * @param spareBytes bytes of the largest tensor that will stand in for another
   */
  static async create(
    directory: string,
    finest: Image,
    windows: readonly (readonly number[])[],
    spareBytes: number,
  ): Promise<KindLosses> {
    const length = Math.min(LENGTH, finest.recipe.maxPositions);
    const texts = windows.slice(0, WINDOWS).map((ids) => ids.slice(0, length));
    const probe = new EngineProbe(await engineModule(), finest, length, spareBytes);
    await probe.load(readImage(directory, finest));
    return new KindLosses(probe, finest.recipe.layers.length, texts);
  }

  /** Tokens that are read for each measurement. */
  get tokens(): number {
    return this.#windows.reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * The loss when one tensor is another.
   *
   * @param layer the block that it belongs to; `undefined` for what comes before them
   */
  ofTensor(tensor: TensorInfo, bytes: Uint8Array, layer: number | undefined): number {
    this.#probe.replace(tensor, bytes);
    const loss = this.#divergence(this.#probe, (window) =>
      layer === undefined ? undefined : { layer, states: this.#states[window]![layer]! },
    );
    this.#probe.restore();
    return loss;
  }

  /** The same when only the head is another. */
  ofHead(tensor: TensorInfo, bytes: Uint8Array): number {
    return this.ofTensor(tensor, bytes, this.#layers - 1);
  }

  /** The loss of another image of the model. */
  async ofImage(directory: string, image: Image): Promise<number> {
    const length = Math.max(...this.#windows.map((ids) => ids.length));
    const probe = new EngineProbe(await engineModule(), image, length);
    await probe.load(readImage(directory, image));
    return this.#divergence(probe, () => undefined);
  }

  #divergence(
    probe: EngineProbe,
    start: (window: number) => { layer: number; states: Float32Array } | undefined,
  ): number {
    let sum = 0;
    let position = 0;
    for (const [window, ids] of this.#windows.entries()) {
      const from = start(window);
      for (const { logits, logSumExp } of probe.someLogits(ids, EVERY, from?.layer, from?.states)) {
        const { probabilities, negativeEntropy } = this.#expected[position++]!;
        let expectedLogit = 0;
        for (let i = 0; i < logits.length; i++)
          expectedLogit += (probabilities[i] as number) * (logits[i] as number);
        sum += negativeEntropy - expectedLogit + logSumExp;
      }
    }
    return sum / position;
  }
}

/** One tensor's bytes of an image that lies in one file. */
export async function readTensor(
  directory: string,
  { parts }: Pick<Image, "parts">,
  { offset, bytes }: TensorInfo,
): Promise<Uint8Array> {
  const file = await open(join(directory, parts[0]!.file));
  try {
    const buffer = new Uint8Array(bytes);
    const { bytesRead } = await file.read(buffer, 0, bytes, offset);
    if (bytesRead !== bytes) throw new Error(`the image ends within a tensor at byte ${offset + bytesRead}`);
    return buffer;
  } finally {
    await file.close();
  }
}
