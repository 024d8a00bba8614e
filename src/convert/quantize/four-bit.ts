import { FOUR_BIT_GROUP_COLUMNS } from "../../../assembly/four-bit.ts";

/**
 * A matrix in four bits: `scales[r] · (steps[r, g] · codes[r, c] + offsets[r, g])` approximates weight [r, c], where
 * g = ⌊c / 32⌋. For every group |offset| ≤ 2047 and |15 · step + offset| ≤ 2047.
 */
export interface FourBitRows {
  /** Row-major [rows, columns], each 0 to 15. */
  codes: Uint8Array;
  /** [rows, ⌈columns / 32⌉], 0 to 255. */
  steps: Uint8Array;
  /** [rows, ⌈columns / 32⌉]. */
  offsets: Int16Array;
  /** [rows]; 0 for a row of zeros. */
  scales: Float32Array;
}

/** Groups of a row of `columns` weights. */
export function fourBitGroups(columns: number): number {
  return Math.ceil(columns / FOUR_BIT_GROUP_COLUMNS);
}

/** Calls `visit` with the integer weights of each row, int16 [columns], one row after another in the same array. */
function eachIntegerRow(
  { codes, steps, offsets }: Omit<FourBitRows, "scales">,
  columns: number,
  visit: (row: number, weights: Int16Array) => void,
): void {
  const groups = fourBitGroups(columns);
  const weights = new Int16Array(columns);
  for (let row = 0; row < codes.length / columns; row++) {
    for (let c = 0; c < columns; c++) {
      const group = row * groups + Math.floor(c / FOUR_BIT_GROUP_COLUMNS);
      weights[c] =
        (steps[group] as number) * (codes[row * columns + c] as number) + (offsets[group] as number);
    }
    visit(row, weights);
  }
}

/** The largest Σ|s · u + z| of a row: what bounds the activations that the matrix may be multiplied with. */
export function largestRowSum(quantized: Omit<FourBitRows, "scales">, columns: number): number {
  let largest = 0;
  eachIntegerRow(quantized, columns, (_, weights) => {
    let sum = 0;
    for (const weight of weights) sum += Math.abs(weight);
    largest = Math.max(largest, sum);
  });
  return largest;
}

/** The float32 weights [rows, columns] that the quantized ones stand for. */
export function fourBitToFloat(quantized: FourBitRows, columns: number): Float32Array {
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
