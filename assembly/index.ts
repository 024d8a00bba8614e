// The engine's exports: numbers in, numbers out. src/engine/exports.ts is the other side.

// The kernels are exported for their tests, and because the optimizer would inline them into their callers
// otherwise, where V8 spills their accumulators.
export { addValues, scoreBlock } from "./layers/attention";
export { expand16 } from "./kernels/dot4";
export { dot16x1, dot16x2, dot8x4 } from "./kernels/dot8";
export { expandSteps16 } from "./kernels/dot8-steps";
export { largestRowSum } from "./kernels/row-sums";
export { setModel } from "./descriptor";
export { blocks, embed, forward, head } from "./forward";
export { logSumExp, mask, penalize, sample, topLogits } from "./sampling/sampler";
export { random, seed } from "./sampling/pcg32";

/** e^x in float64, so that no host's own exp decides a digit. */
export function exp(x: f64): f64 {
  return Math.exp(x);
}
