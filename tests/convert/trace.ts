import { readImage } from "../../src/convert/verify/fidelity.ts";
import { EngineProbe } from "../../src/convert/verify/probe.ts";
import { referenceStates } from "../../src/convert/verify/reference.ts";
import type { Weights } from "../../src/convert/weights.ts";
import { loadManifest } from "../../src/loading/load.ts";
import { directorySource, engineModule } from "../../src/node/index.ts";

export interface LayerError {
  /** −1 is the embedding. */
  layer: number;
  /** |engine − reference| / |reference|, over all tokens. */
  error: number;
}

/** How far the engine's hidden states are from the float32 reference's, layer by layer. */
export async function traceLayers(directory: string, weights: Weights, ids: number[]): Promise<LayerError[]> {
  const manifest = await loadManifest(directorySource(directory));
  const probe = new EngineProbe(await engineModule(), manifest, ids.length);
  await probe.load(readImage(directory, manifest));
  const errors: LayerError[] = [];
  await referenceStates(weights, [ids], {
    onLayer: (layer, expected) => {
      const found = probe.hiddenStates(ids, layer + 1);
      let [difference, norm] = [0, 0];
      expected.forEach((value, i) => {
        difference += (value - found[i]!) ** 2;
        norm += value ** 2;
      });
      errors.push({ layer, error: Math.sqrt(difference / norm) });
    },
  });
  return errors;
}

/** The first layer whose error is above `limit`; undefined if none is. */
export async function firstDeparture(
  directory: string,
  weights: Weights,
  ids: number[],
  limit = 0.03,
): Promise<LayerError | undefined> {
  return (await traceLayers(directory, weights, ids)).find(({ error }) => error > limit);
}
