import { mkdirSync } from "node:fs";
import { readImage } from "../../src/convert/verify/fidelity.ts";
import { logSoftmax } from "../../src/convert/verify/float-math.ts";
import { EngineProbe } from "../../src/convert/verify/probe.ts";
import { referenceLogits, referenceStates } from "../../src/convert/verify/reference.ts";
import type { Weights } from "../../src/convert/weights.ts";
import { writeImage } from "../../src/convert/write/image.ts";
import { engineModule } from "../../src/node/index.ts";

/** log p(ids[i] | ids[0 … i−1]) by the float32 reference, the first null. */
export async function referenceLogprobs(
  weights: Weights,
  ids: readonly number[],
): Promise<(number | null)[]> {
  const { vocabSize } = weights.recipe;
  const logits = await referenceLogits(weights, await referenceStates(weights, [ids]));
  return ids.map((id, i) => (i === 0 ? null : logSoftmax(logits, (i - 1) * vocabSize, vocabSize)[id]!));
}

/** Mean distance of log-probabilities, the first left out. */
export function meanError(found: readonly (number | null)[], expected: readonly (number | null)[]): number {
  let sum = 0;
  for (let i = 1; i < expected.length; i++) sum += Math.abs(found[i]! - expected[i]!);
  return sum / (expected.length - 1);
}

/** The same by the engine, from an int8 image of these weights as they are. */
export async function engineLogprobs(
  weights: Weights,
  ids: readonly number[],
  directory: string,
): Promise<(number | null)[]> {
  mkdirSync(directory, { recursive: true });
  const { tensors, parts } = await writeImage(directory, weights);
  const probe = new EngineProbe(await engineModule(), { recipe: weights.recipe, tensors }, ids.length);
  await probe.load(readImage(directory, { parts }));
  const logprobs: (number | null)[] = [null];
  for (const logits of probe.logits(ids))
    if (logprobs.length < ids.length)
      logprobs.push(logSoftmax(logits, 0, logits.length)[ids[logprobs.length]!]!);
  return logprobs;
}
