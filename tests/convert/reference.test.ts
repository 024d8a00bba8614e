import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TensorSpec } from "../../src/architectures/recipe.ts";
import { referenceLogits, referenceStates } from "../../src/convert/verify/reference.ts";
import type { Weights } from "../../src/convert/weights.ts";
import { weightsOf } from "./checkpoints.ts";

const IDS = [3, 41, 5, 66, 0, 17];

/** The checkpoint under a recipe with other tensors. */
function withTensors(weights: Weights, change: (tensors: TensorSpec[]) => TensorSpec[]): Weights {
  return { ...weights, recipe: { ...weights.recipe, tensors: change(weights.recipe.tensors) } };
}

/** The checkpoint with some of its tensors, and their biases, set to zero. */
function without(weights: Weights, ...names: string[]): Weights {
  return {
    ...weights,
    bias: async (name) => (await weights.bias(name)).map((value) => (names.includes(name) ? 0 : value)),
    matrix: async (name) => {
      const matrix = await weights.matrix(name);
      if (!names.includes(name)) return matrix;
      return { ...matrix, read: async (_, count) => new Float32Array(count * matrix.columns) };
    },
  };
}

describe("what the float32 reference computes follows from the recipe's tensors", async () => {
  const weights = await weightsOf(join(import.meta.dirname, "../fixtures/variants/gpt2-untied"));

  test("without a norm before the feed-forward layer, it and attention read the same rows and both are added", async () => {
    const parallel = withTensors(weights, (all) => all.filter(({ role }) => role !== "mlpNorm"));
    /** What the first block adds, and what its two branches read. */
    const run = async (subject: Weights) => {
      const states: Float64Array[] = [];
      const inputs = new Map<string, Float64Array>();
      await referenceStates(subject, [IDS], {
        onLayer: (_, x) => states.push(x),
        onInput: (name, rows) => inputs.set(name, rows),
      });
      return { added: states[1]!.map((value, i) => value - states[0]![i]!), inputs };
    };
    const both = await run(parallel);
    expect(both.inputs.get("blocks.0.mlpInput")).toEqual(both.inputs.get("blocks.0.queryKeyValue"));
    const attention = await run(without(parallel, "blocks.0.mlpOutput"));
    const mlp = await run(without(parallel, "blocks.0.attentionOutput"));
    both.added.forEach((value, i) => {
      expect(value).toBeCloseTo(attention.added[i]! + mlp.added[i]!, 12);
    });
    expect(mlp.added.some((value) => Math.abs(value) > 0.1)).toBe(true);
  });

  test("a head with a bias adds it to the logits", async () => {
    const bias = Float32Array.from({ length: weights.recipe.vocabSize }, (_, i) => i / 8 - 4);
    const biased: Weights = {
      ...withTensors(weights, (all) =>
        all.map((tensor) => (tensor.role === "head" ? { ...tensor, bias: true } : tensor)),
      ),
      bias: async (name) => (name === "head" ? bias : weights.bias(name)),
    };
    const states = await referenceStates(weights, [IDS]);
    const plain = await referenceLogits(weights, states);
    (await referenceLogits(biased, states)).forEach((logit, i) => {
      expect(logit).toBeCloseTo(plain[i]! + bias[i % bias.length]!, 12);
    });
  });
});
