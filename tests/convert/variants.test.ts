import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { measureFidelity } from "../../src/convert/verify/fidelity.ts";
import { logSoftmax } from "../../src/convert/verify/float-math.ts";
import { referenceLogits, referenceStates } from "../../src/convert/verify/reference.ts";
import { integers } from "../reference/random.ts";
import { roundedWeights, temporaryDirectory, weightsOf } from "./checkpoints.ts";
import { traceLayers } from "./trace.ts";

const VARIANTS = join(import.meta.dirname, "../fixtures/variants");
const temporary = temporaryDirectory();

const names = readdirSync(VARIANTS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** Mean KL(a ‖ b) in nats of rows of logits. */
function divergence(a: ArrayLike<number>, b: ArrayLike<number>, vocabSize: number): number {
  let sum = 0;
  for (let start = 0; start < a.length; start += vocabSize) {
    const p = logSoftmax(a, start, vocabSize);
    const q = logSoftmax(b, start, vocabSize);
    p.forEach((value, i) => {
      sum += Math.exp(value) * (value - q[i]!);
    });
  }
  return sum / (a.length / vocabSize);
}

describe.each(names)("%s", (name) => {
  const directory = join(VARIANTS, name);
  const expected = JSON.parse(readFileSync(join(directory, "expected.json"), "utf8")) as {
    ids: number[];
    logits: string;
  };
  const bytes = Uint8Array.from(Buffer.from(expected.logits, "base64"));
  const logits = new Float32Array(bytes.buffer);
  const { ids } = expected;

  test("the float32 reference gives the logits of transformers", async () => {
    const weights = await weightsOf(directory);
    const found = await referenceLogits(weights, await referenceStates(weights, [ids]));
    await weights.close();
    expect(found.length).toBe(logits.length);
    const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - logits[i]!)), 0);
    expect(worst / largest).toBeLessThan(5e-5);
  });

  test("converted, it is as close to float32 as rounding allows, layer by layer and in the end", async () => {
    const out = join(temporary, name);
    const adapter = join(directory, "adapter");
    const manifest = await convert({
      source: directory,
      out,
      ...(existsSync(adapter) ? { lora: adapter } : {}),
    });
    const weights = await weightsOf(directory);
    const { vocabSize, maxPositions, layers: recipeLayers } = manifest.recipe;
    // One window's mean is within a factor of two of the truth; twelve make it certain to a fifth.
    const windows = Array.from({ length: 12 }, (_, i) => integers(maxPositions, 0, vocabSize - 1, i));
    const rounded = roundedWeights(weights);
    const floor = divergence(
      await referenceLogits(weights, await referenceStates(weights, windows)),
      await referenceLogits(rounded, await referenceStates(rounded, windows)),
      vocabSize,
    );
    const fidelity = await measureFidelity(out, manifest, weights, { name: "test", windows });
    const layers = await traceLayers(out, weights, ids);
    await weights.close();
    expect(layers.map(({ layer }) => layer)).toEqual([-1, ...recipeLayers.keys()]);
    expect(Math.max(...layers.map(({ error }) => error))).toBeLessThan(0.06);
    expect(fidelity.kl_mean).toBeLessThanOrEqual(1.25 * floor + 1e-4);
  });
});
