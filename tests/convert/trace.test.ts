import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { sectionsOf } from "../../src/format/layout.ts";
import { temporaryDirectory, weightsOf } from "./checkpoints.ts";
import { firstDeparture } from "./trace.ts";

const VARIANT = join(import.meta.dirname, "../fixtures/variants/gpt2-relu-inverse-layer");
const temporary = temporaryDirectory();
const IDS = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7];

test.each([0, 1, 2])("a fault in layer %i is traced to that layer", async (layer) => {
  const out = join(temporary, `model-${layer}`);
  const { recipe, tensors } = await convert({ source: VARIANT, out });
  const weights = await weightsOf(VARIANT);
  expect(await firstDeparture(out, weights, IDS)).toBeUndefined();
  const image = readFileSync(join(out, "weights.00.bin"));
  const index = tensors.findIndex(({ name }) => name === `blocks.${layer}.mlpInput`);
  const { offset, kind } = tensors[index]!;
  const { sections } = sectionsOf(recipe.tensors[index]!, kind);
  const scales = sections.find(({ name }) => name === "scales")!;
  const start = offset + scales.offset;
  for (let at = start; at < start + scales.bytes; at += 4)
    image.writeFloatLE(1.5 * image.readFloatLE(at), at);
  writeFileSync(join(out, "weights.00.bin"), image);
  expect((await firstDeparture(out, weights, IDS))?.layer).toBe(layer);
  await weights.close();
});
