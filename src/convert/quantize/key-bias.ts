import { fusedRows } from "../../architectures/recipe.ts";
import { type Weights, weightsWith } from "../weights.ts";

/**
 * The same model without the bias of its keys. A query's score with a key is q·(k + b) = q·k + q·b: the bias adds the same
 * number to all scores of the query, and softmax takes it away again. But the cache stores a key of a head with one scale
 * of eight bits, and a large constant part leaves its variation few of them (GPT-2 has such biases).
 *
 * Rotation turns the bias by the key's position, and a norm divides it by the key's length: then it is not the same for
 * all, and such models are left as they are.
 */
export function withoutKeyBias(weights: Weights): Weights {
  const { positions, tensors } = weights.recipe;
  const biased = new Set(
    tensors.filter(({ role, bias }) => role === "queryKeyValue" && bias).map(({ name }) => name),
  );
  const isNormed = tensors.some(({ role }) => role === "keyNorm");
  if (positions.kind === "rotary" || isNormed || biased.size === 0) return weights;
  const { key, value } = fusedRows(weights.recipe);
  return weightsWith(weights, {
    async bias(name) {
      const bias = await weights.bias(name);
      // A copy: the source may hand out a part of what it keeps.
      return biased.has(name) ? Float32Array.from(bias).fill(0, key, value) : bias;
    },
  });
}
