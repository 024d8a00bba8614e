import type { Engine } from "../engine/engine.ts";
import { EdgeformerError } from "../errors.ts";
import { KINDS } from "../format/kinds.ts";
import { type ModelLayout, sectionsOf } from "../format/layout.ts";

/**
 * Refuses weights with NaN or infinite scales, biases or vectors. The converter writes none, but a model directory can come
 * from anybody, and one such value makes every logit NaN. GPT-2 of 124 M
 * parameters has 255,000 such numbers: 0.2 ms, some milliseconds in a process that has just started.
 *
 * @throws EdgeformerError `invalid_model`
 */
export function checkFloats(engine: Engine, { recipe, tensors }: ModelLayout): void {
  for (const [i, tensor] of recipe.tensors.entries()) {
    const { kind, offset } = tensors[i]!;
    for (const section of sectionsOf(tensor, kind).sections) {
      const isFloat = section.name === "values" ? KINDS[kind].form === "vector" : section.name !== "steps";
      if (isFloat && !engine.areFinite(offset + section.offset, section.bytes / 4))
        throw new EdgeformerError(
          "invalid_model",
          `the ${section.name} of ${tensor.name} hold NaN or infinite numbers; convert the checkpoint again`,
        );
    }
  }
}

const INT32_MAX = 2 ** 31 - 1;

/**
 * Refuses matrices with steps whose sums would not fit int32: model.json says for each how large its activations may
 * be, and only the weights tell whether that is true. It takes as long as half a prefill of 64 tokens.
 *
 * @throws EdgeformerError `invalid_model`
 */
export function checkAmplitudes(engine: Engine, { recipe, tensors }: ModelLayout): void {
  for (const [i, { name }] of recipe.tensors.entries()) {
    const { amplitude } = tensors[i]!;
    if (amplitude === undefined) continue;
    const sum = engine.largestRowSum(i);
    const most = Math.floor(INT32_MAX / Math.max(sum, 1));
    if (sum < 0 || amplitude > most)
      throw new EdgeformerError(
        "invalid_model",
        sum < 0
          ? `the values of ${name} are larger than its kind of weights allows; convert the checkpoint again`
          : `the amplitude of ${name} is ${amplitude}, and its weights allow ${most}; convert the checkpoint again`,
      );
  }
}
