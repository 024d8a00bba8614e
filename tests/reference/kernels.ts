// Naive twins of the engine's integer kernels: row-major, one loop per sum, nothing packed. Where a float32
// operation decides an integer, Math.fround stands where the engine rounds.

/** Largest magnitude of a quantized activation, so that a sum over K products with int8 fits an int32. */
export function activationAmplitude(K: number): number {
  return Math.min(32767, Math.floor((2 ** 31 - 1) / (127 * K)));
}

/** Rounds to the nearest integer, halves to even, as f32x4.nearest does. */
export function nearest(x: number): number {
  const floor = Math.floor(x);
  const fraction = x - floor;
  if (fraction < 0.5) return floor;
  if (fraction > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

export interface QuantizedRow<Values> {
  values: Values;
  /** What one step is worth: x ≈ values · scale. */
  scale: number;
}

/** int16 activations of one row; a row of zeros has scale 0. */
export function quantizeActivations(x: Float32Array, amplitude: number): QuantizedRow<Int16Array> {
  const maximum = x.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  if (maximum === 0) return { values: new Int16Array(x.length), scale: 0 };
  const inverse = Math.fround(amplitude / maximum);
  return {
    values: Int16Array.from(x, (value) => nearest(Math.fround(value * inverse))),
    scale: Math.fround(maximum / amplitude),
  };
}

/** int8 values of one weight row or key, symmetric in ±127. */
export function quantizeInt8(x: Float32Array): QuantizedRow<Int8Array> {
  const { values, scale } = quantizeActivations(x, 127);
  return { values: Int8Array.from(values), scale };
}

/**
 * Integer product of activations x (T, K) with weights (N, K): exact, so the order of the sum is irrelevant.
 * out is (T, N); throws if a sum leaves int32, which the amplitude rule forbids.
 */
export function integerMatmul(x: Int16Array, weights: Int8Array | Int32Array, K: number): Int32Array {
  const T = x.length / K;
  const N = weights.length / K;
  const out = new Int32Array(T * N);
  for (let t = 0; t < T; t++)
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[t * K + k]! * weights[n * K + k]!;
      if (sum !== (sum | 0)) throw new Error(`sum ${sum} does not fit an int32`);
      out[t * N + n] = sum;
    }
  return out;
}

/** One head of attention over a cache of int8 keys and values, each position with a scale of its own. */
export interface IntegerCache {
  keys: QuantizedRow<Int8Array>[];
  values: QuantizedRow<Int8Array>[];
}

/**
 * Attention of one query (headDim) over every position of the cache: integer scores, softmax in float64,
 * value scales folded into the probabilities, probabilities to int16 by the amplitude rule with K = the number
 * of positions, integer sum.
 */
export function integerAttention(query: Float32Array, cache: IntegerCache, scale: number): Float32Array {
  const headDim = query.length;
  const positions = cache.keys.length;
  const q = quantizeActivations(query, activationAmplitude(headDim));
  const scores = cache.keys.map(
    (key) =>
      q.values.reduce((sum, value, i) => sum + value * key.values[i]!, 0) * q.scale * key.scale * scale,
  );
  const maximum = Math.max(...scores);
  const exps = scores.map((score) => Math.exp(score - maximum));
  const sum = exps.reduce((a, b) => a + b, 0);
  const weighted = Float32Array.from(exps, (e, p) => (e / sum) * cache.values[p]!.scale);
  const probabilities = quantizeActivations(weighted, activationAmplitude(positions));
  return Float32Array.from({ length: headDim }, (_, i) => {
    let total = 0;
    for (let p = 0; p < positions; p++) total += probabilities.values[p]! * cache.values[p]!.values[i]!;
    return total * probabilities.scale;
  });
}
