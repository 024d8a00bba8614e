// Weights as integers that a row's scale and a group's step make of codes: what the kernels multiply.
import { GROUP_COLUMNS } from "../../../assembly/four-bit.ts";

/**
 * Codes with a step, and in four bits an offset, for each group of 32 columns of a row. Of row r and column c the
 * integer is `steps[r, ⌊c / 32⌋] · codes[r, c] + offsets[r, ⌊c / 32⌋]`, ±2047 at most.
 */
export interface CodedRows {
  /** Row-major [rows, columns]. */
  codes: Uint8Array | Int8Array;
  /** [rows, ⌈columns / 32⌉]. */
  steps: Uint8Array;
  /** [rows, ⌈columns / 32⌉]; none where all are 0. */
  offsets?: Int16Array;
}

/** A matrix in four bits: codes 0 to 15. The weight is `scales[r]` times the integer. */
export interface FourBitRows extends CodedRows {
  codes: Uint8Array;
  offsets: Int16Array;
  /** float32 [rows]; 0 for a row of zeros. */
  scales: Float32Array;
}

/** An int8 matrix with a step for each group: codes −127 to 127, steps 0 to 16. */
export interface SteppedRows extends CodedRows {
  codes: Int8Array;
  /** float32 [rows]; 0 for a row of zeros. */
  scales: Float32Array;
}

/** Groups of a row of `columns` weights. */
export function groupsOf(columns: number): number {
  return Math.ceil(columns / GROUP_COLUMNS);
}

/** Calls `visit` with the integer weights of each row, int16 [columns], one row after another in the same array. */
function eachIntegerRow(
  { codes, steps, offsets }: CodedRows,
  columns: number,
  visit: (row: number, weights: Int16Array) => void,
): void {
  const groups = groupsOf(columns);
  const weights = new Int16Array(columns);
  for (let row = 0; row < codes.length / columns; row++) {
    for (let c = 0; c < columns; c++) {
      const group = row * groups + Math.floor(c / GROUP_COLUMNS);
      weights[c] = (steps[group] as number) * (codes[row * columns + c] as number) + (offsets?.[group] ?? 0);
    }
    visit(row, weights);
  }
}

/** The largest Σ|s · u + z| of a row: what bounds the activations that the matrix may be multiplied with. */
export function largestRowSum(quantized: CodedRows, columns: number): number {
  let largest = 0;
  eachIntegerRow(quantized, columns, (_, weights) => {
    let sum = 0;
    for (const weight of weights) sum += Math.abs(weight);
    largest = Math.max(largest, sum);
  });
  return largest;
}

/** The float32 weights [rows, columns] that the quantized ones stand for. */
export function codesToFloat(quantized: FourBitRows | SteppedRows, columns: number): Float32Array {
  const result = new Float32Array(quantized.codes.length);
  eachIntegerRow(quantized, columns, (row, weights) => {
    const scale = quantized.scales[row] as number;
    for (let c = 0; c < columns; c++) result[row * columns + c] = scale * (weights[c] as number);
  });
  return result;
}

/** The largest int16 magnitude of activations for which every sum fits int32, if a row's Σ|weight| is `rowSum` at most. */
export function amplitudeOf(rowSum: number): number {
  return Math.min(32_767, Math.floor((2 ** 31 - 1) / Math.max(rowSum, 1)));
}
