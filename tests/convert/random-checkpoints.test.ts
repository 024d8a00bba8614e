import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { openModel } from "../../src/node/index.ts";
import goldens from "../goldens/llama-shapes.json" with { type: "json" };
import { integers } from "../reference/random.ts";
import { roundedWeights, temporaryDirectory, weightsOf } from "./checkpoints.ts";
import { meanError, referenceLogprobs } from "./logprobs.ts";
import {
  OTHER_CHECKPOINTS,
  RANDOM_CHECKPOINTS,
  type RandomCheckpoint,
  writeRandomCheckpoint,
} from "./random-checkpoint.ts";

const temporary = temporaryDirectory();

function written(checkpoint: RandomCheckpoint): string {
  const source = join(temporary, String(checkpoint.seed));
  writeRandomCheckpoint(source, checkpoint);
  return source;
}

describe.each(Object.entries(goldens))("%s", (name, expected) => {
  test("the float32 reference agrees with PyTorch", async () => {
    const checkpoint = RANDOM_CHECKPOINTS[name]!;
    const weights = await weightsOf(written(checkpoint));
    const found = await referenceLogprobs(weights, integers(64, 0, 100, checkpoint.seed));
    await weights.close();
    expect(found).toHaveLength(expected.length);
    const worst = Math.max(...found.slice(1).map((value, i) => Math.abs(value! - expected[i + 1]!)));
    expect(worst).toBeLessThan(1e-4);
  });
});

const all = Object.entries({ ...RANDOM_CHECKPOINTS, ...OTHER_CHECKPOINTS });

describe.each(all)("%s", (_, checkpoint) => {
  test("the engine is as close to the float32 reference as rounding allows", async () => {
    const source = written(checkpoint);
    const out = join(temporary, `${checkpoint.seed}-int8`);
    await convert({ source, out });
    const model = await openModel(out);
    const weights = await weightsOf(source);
    // One window's mean may be off by a third; six make it certain to a tenth.
    let [floor, error] = [0, 0];
    for (let i = 0; i < 6; i++) {
      const window = integers(64, 0, 100, 100 + i);
      const expected = await referenceLogprobs(weights, window);
      floor += meanError(await referenceLogprobs(roundedWeights(weights), window), expected) / 6;
      error += meanError((await model.score(window)).tokenLogprobs, expected) / 6;
    }
    await weights.close();
    model.dispose();
    expect(floor).toBeGreaterThan(0.003);
    expect(error).toBeLessThanOrEqual(1.25 * floor + 0.002);
  });
});
