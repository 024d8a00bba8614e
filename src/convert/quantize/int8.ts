import { INT8_LIMIT } from "../../format/kinds.ts";

/** An int8 matrix with one scale per output row: `values[r · columns + c] · scales[r]` approximates the weight. */
export interface QuantizedRows {
  /** Row-major [rows, columns], each in [−127, 127]. */
  values: Int8Array;
  /** [rows]; 0 for a row of zeros. */
  scales: Float32Array;
}

/** Nearest integer, ties to even, as `torch.round` and `f32x4.nearest` round. */
function roundToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Writes row `row` of `weights`, divided by `scale`, rounded and clipped, into the same place of `values`. */
export function roundRow(
  weights: Float32Array,
  values: Int8Array,
  row: number,
  columns: number,
  scale: number,
): void {
  const start = row * columns;
  for (let i = start; i < start + columns; i++) {
    const value = roundToEven((weights[i] as number) / scale);
    values[i] = Math.min(Math.max(value, -INT8_LIMIT), INT8_LIMIT);
  }
}

/** The scale that maps the largest magnitude of a row to 127; 0 if the row is (or rounds to) zero. */
export function rowScale(weights: Float32Array, row: number, columns: number): number {
  let largest = 0;
  for (let i = row * columns; i < (row + 1) * columns; i++) {
    const magnitude = Math.abs(weights[i] as number);
    if (magnitude > largest) largest = magnitude;
  }
  return Math.fround(largest / INT8_LIMIT);
}

/**
 * Symmetric round-to-nearest int8, one float32 scale per output row.
 *
 * @param weights row-major [rows, columns], finite
 */
export function quantizeRows(weights: Float32Array, rows: number, columns: number): QuantizedRows {
  const values = new Int8Array(rows * columns);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const scale = rowScale(weights, row, columns);
    if (scale === 0) continue;
    scales[row] = scale;
    roundRow(weights, values, row, columns, scale);
  }
  return { values, scales };
}
