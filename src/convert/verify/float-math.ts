// The float32 reference's arithmetic, in float64: its own rounding is far below what it measures.
import type { ActivationName } from "../../architectures/recipe.ts";

/** Rows of x and of w whose products are kept in registers: 12 sums, 3 + 4 factors. */
const X_ROWS = 3;
const W_ROWS = 4;

/**
 * out[t, column + n] += Σ_k x[t, k] · w[n, k], for T rows of x and N rows of w.
 *
 * Three rows by four rows at a time, so that each number loaded is used three or four times: four times as
 * fast as one dot product after another (1.1 against 0.25 · 10⁹ multiplications a second on a busy machine).
 *
 * @param x [T, K]
 * @param w [N, K]
 * @param out [T, stride]
 */
export function multiplyAdd(
  x: Float64Array,
  w: Float32Array | Float64Array,
  out: Float64Array,
  T: number,
  N: number,
  K: number,
  stride: number,
  column: number,
): void {
  const packed = packRows(x, 0, T, K, X_ROWS);
  const sums = new Float64Array(X_ROWS * W_ROWS);
  for (let n = 0; n < N; n += W_ROWS) {
    const columns = Math.min(W_ROWS, N - n);
    const panel = packRows(w, n, columns, K, W_ROWS);
    for (let t = 0; t < T; t += X_ROWS) {
      multiplyBlock(packed, t * K, panel, K, sums);
      const rows = Math.min(X_ROWS, T - t);
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++)
          (out[(t + i) * stride + column + n + j] as number) += sums[i * W_ROWS + j] as number;
    }
  }
}

/** Groups of `size` rows, k by k: [⌈count / size⌉, K, size], zeros where rows are missing. */
function packRows(
  rows: Float64Array | Float32Array,
  first: number,
  count: number,
  K: number,
  size: number,
): Float64Array {
  const packed = new Float64Array(Math.ceil(count / size) * size * K);
  for (let row = 0; row < count; row++) {
    const target = (row - (row % size)) * K + (row % size);
    const source = (first + row) * K;
    for (let k = 0; k < K; k++) packed[target + k * size] = rows[source + k] as number;
  }
  return packed;
}

function multiplyBlock(x: Float64Array, start: number, w: Float64Array, K: number, sums: Float64Array): void {
  let a0 = 0;
  let a1 = 0;
  let a2 = 0;
  let a3 = 0;
  let b0 = 0;
  let b1 = 0;
  let b2 = 0;
  let b3 = 0;
  let c0 = 0;
  let c1 = 0;
  let c2 = 0;
  let c3 = 0;
  for (let k = 0, i = start, j = 0; k < K; k++, i += X_ROWS, j += W_ROWS) {
    const w0 = w[j] as number;
    const w1 = w[j + 1] as number;
    const w2 = w[j + 2] as number;
    const w3 = w[j + 3] as number;
    const a = x[i] as number;
    a0 += a * w0;
    a1 += a * w1;
    a2 += a * w2;
    a3 += a * w3;
    const b = x[i + 1] as number;
    b0 += b * w0;
    b1 += b * w1;
    b2 += b * w2;
    b3 += b * w3;
    const c = x[i + 2] as number;
    c0 += c * w0;
    c1 += c * w1;
    c2 += c * w2;
    c3 += c * w3;
  }
  sums.set([a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3]);
}

/** LayerNorm over rows of `weight.length` numbers (Ba, Kiros, Hinton 2016), biased variance as in PyTorch. */
export function layerNorm(
  x: Float64Array,
  weight: Float32Array,
  bias: Float32Array,
  epsilon: number,
): Float64Array {
  const width = weight.length;
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    let mean = 0;
    for (let i = 0; i < width; i++) mean += x[start + i] as number;
    mean /= width;
    let variance = 0;
    for (let i = 0; i < width; i++) variance += ((x[start + i] as number) - mean) ** 2;
    const inverse = 1 / Math.sqrt(variance / width + epsilon);
    for (let i = 0; i < width; i++)
      out[start + i] =
        ((x[start + i] as number) - mean) * inverse * (weight[i] as number) + (bias[i] as number);
  }
  return out;
}

/** RMSNorm over rows of `weight.length` numbers (Zhang and Sennrich 2019). */
export function rmsNorm(x: Float64Array, weight: Float32Array, epsilon: number): Float64Array {
  const width = weight.length;
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    let squares = 0;
    for (let i = 0; i < width; i++) squares += (x[start + i] as number) ** 2;
    const inverse = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i++)
      out[start + i] = (x[start + i] as number) * inverse * (weight[i] as number);
  }
  return out;
}

/**
 * Rotary embedding (Su et al. 2021) of one head, in place: channel i is turned together with channel i + frequencies.length.
 *
 * @param start the head's first number in `x`
 * @param frequencies radians per position
 */
export function rotate(x: Float64Array, start: number, position: number, frequencies: Float32Array): void {
  const half = frequencies.length;
  for (let i = 0; i < half; i++) {
    const angle = position * (frequencies[i] as number);
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    const [a, b] = [x[start + i] as number, x[start + half + i] as number];
    x[start + i] = a * c - b * s;
    x[start + half + i] = b * c + a * s;
  }
}

/** Error function to 1e-15: its Taylor series near 0, the continued fraction of erfc (Abramowitz & Stegun 7.1.14) beyond. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let [term, sum] = [a, a];
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = a;
  for (let n = 60; n >= 1; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / (fraction * Math.sqrt(Math.PI)));
}

function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** transformers' `ACT2FN` by name. */
export const ACTIVATION_FUNCTIONS: Readonly<Record<ActivationName, (x: number) => number>> = {
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  relu: (x) => Math.max(x, 0),
  silu: (x) => x / (1 + Math.exp(-x)),
};

/** log softmax of `count` logits from `start` on. */
export function logSoftmax(logits: ArrayLike<number>, start: number, count: number): Float64Array {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = start; i < start + count; i++) largest = Math.max(largest, logits[i] as number);
  let sum = 0;
  for (let i = start; i < start + count; i++) sum += Math.exp((logits[i] as number) - largest);
  const logSum = largest + Math.log(sum);
  return Float64Array.from({ length: count }, (_, i) => (logits[start + i] as number) - logSum);
}
