import { fusedRows, type Recipe } from "../../architectures/recipe.ts";
import { multiplyAdd } from "./float-math.ts";

/** Queries whose scores are computed together: 2.5 times as fast as one dot product after another. */
const QUERIES = 48;

/** Columns `start … start + count − 1` of rows `first … first + rows − 1`, as [rows, count]. */
function take(
  x: Float64Array,
  width: number,
  first: number,
  rows: number,
  start: number,
  count: number,
): Float64Array {
  const out = new Float64Array(rows * count);
  for (let row = 0; row < rows; row++) {
    const from = (first + row) * width + start;
    out.set(x.subarray(from, from + count), row * count);
  }
  return out;
}

/** [columns, rows] of [rows, columns]. */
function transposed(x: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      out[column * rows + row] = x[row * columns + column] as number;
  return out;
}

/** Scores become probabilities: softmax over the keys oldest … newest, zero elsewhere. */
function softmax(scores: Float64Array, scale: number, oldest: number, newest: number): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (let s = oldest; s <= newest; s++) largest = Math.max(largest, (scores[s] as number) * scale);
  let sum = 0;
  for (let s = oldest; s <= newest; s++) sum += scores[s] = Math.exp((scores[s] as number) * scale - largest);
  for (let s = oldest; s <= newest; s++) (scores[s] as number) /= sum;
  scores.fill(0, 0, oldest);
  scores.fill(0, newest + 1);
}

/**
 * Causal attention of one window (Vaswani et al. 2017), added to `out`.
 *
 * @param qkv queries, keys and values side by side, the window's `length` rows from row `first` on
 * @param out [rows, numHeads · headSize], the same rows
 */
export function attend(
  qkv: Float64Array,
  out: Float64Array,
  first: number,
  length: number,
  recipe: Recipe,
  layer: number,
): void {
  const { numHeads, numKeyValueHeads, headSize } = recipe;
  const { key, value, total } = fusedRows(recipe);
  const { scoreScale, window } = recipe.layers[layer]!;
  const width = numHeads * headSize;
  for (let head = 0; head < numHeads; head++) {
    const shared = Math.floor((head * numKeyValueHeads) / numHeads) * headSize;
    const keys = take(qkv, total, first, length, key + shared, headSize);
    const values = take(qkv, total, first, length, value + shared, headSize);
    for (let start = 0; start < length; start += QUERIES) {
      const count = Math.min(QUERIES, length - start);
      const seen = start + count;
      const queries = take(qkv, total, first + start, count, head * headSize, headSize);
      const scores = new Float64Array(count * seen);
      multiplyAdd(queries, keys, scores, count, seen, headSize, seen, 0);
      for (let t = 0; t < count; t++) {
        const newest = start + t;
        const oldest = Math.max(0, newest - (window || length) + 1);
        softmax(scores.subarray(t * seen, (t + 1) * seen), scoreScale, oldest, newest);
      }
      const seenValues = transposed(values.subarray(0, seen * headSize), seen, headSize);
      const target = out.subarray((first + start) * width);
      multiplyAdd(scores, seenValues, target, count, headSize, seen, width, head * headSize);
    }
  }
}
