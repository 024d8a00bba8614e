import type { Matrix } from "../weights.ts";

/** Floats of a matrix that are in memory at once. */
const CHUNK_FLOATS = 1 << 20;
/**
 * How far columns are made alike. SmolLM2-135M with its blocks in int8, KL from float32: 0.00196 with 0, 0.00145 with
 * 0.75; with a step for each group 0.00095 and 0.00058.
 */
const COLUMN_SHARE = 0.75;
/**
 * Standard deviations beside the constant part in a key channel's size. SmolLM2-135M with constant parts of 10 (100)
 * deviations in three pairs of each head, cache in int8, KL: 0.0022 (0.22) without factors, 0.0012 (0.067) with 3,
 * 0.0010 (0.052) with 6; 0.0003 (0.023) is what a float cache has.
 */
const KEY_DEVIATIONS = 6;
/** No column counts as smaller than this share of the average one: a dead channel is not blown up. */
const SMALLEST_SHARE = 1e-3;

/** Geometric mean 1, so that nothing grows on the whole. */
function centred(factors: Float64Array): Float32Array {
  let sum = 0;
  for (const factor of factors) sum += Math.log(factor);
  const mean = Math.exp(sum / factors.length);
  return Float32Array.from(factors, (factor) => factor / mean);
}

/** Factors that make `sizes` alike by the share `share`: 0 leaves them, 1 gives all the same size. */
function factorsAgainst(sizes: Float64Array, share: number): Float32Array {
  const floor = (SMALLEST_SHARE * sizes.reduce((sum, size) => sum + size, 0)) / sizes.length || 1;
  return centred(sizes.map((size) => Math.max(size, floor) ** -share));
}

/** Factors of a matrix' columns, from their sizes. */
export function columnFactors(sizes: Float64Array): Float32Array {
  return factorsAgainst(sizes, COLUMN_SHARE);
}

async function* chunks(matrix: Matrix): AsyncGenerator<{ first: number; values: Float32Array }> {
  const { rows, columns } = matrix;
  const step = Math.max(1, Math.floor(CHUNK_FLOATS / columns));
  for (let first = 0; first < rows; first += step)
    yield { first, values: await matrix.read(first, Math.min(step, rows - first)) };
}

/** The size of each column: root mean square of its weights, every row's largest taken as 1. */
export async function columnSizes(matrix: Matrix): Promise<Float64Array> {
  const { columns } = matrix;
  const squares = new Float64Array(columns);
  for await (const { values } of chunks(matrix))
    for (let start = 0; start < values.length; start += columns) {
      let largest = 0;
      for (let i = 0; i < columns; i++) largest = Math.max(largest, Math.abs(values[start + i] as number));
      if (largest === 0) continue;
      for (let i = 0; i < columns; i++)
        (squares[i] as number) += ((values[start + i] as number) / largest) ** 2;
    }
  return squares.map((square) => Math.sqrt(square / matrix.rows));
}

/**
 * How large each output is, [rows]: its constant part and KEY_DEVIATIONS standard deviations, for inputs that are
 * independent and as large as the norm before makes them.
 */
export async function outputSizes(
  matrix: Matrix,
  norm: Float32Array,
  bias?: Float32Array,
): Promise<Float64Array> {
  const { columns } = matrix;
  const sizes = new Float64Array(matrix.rows);
  for await (const { first, values } of chunks(matrix))
    for (let start = 0, row = first; start < values.length; start += columns, row++) {
      let squares = 0;
      for (let i = 0; i < columns; i++) squares += ((values[start + i] as number) * (norm[i] as number)) ** 2;
      sizes[row] = Math.abs(bias?.[row] ?? 0) + KEY_DEVIATIONS * Math.sqrt(squares);
    }
  return sizes;
}

/**
 * Factors of a head's channels that make its keys alike. Rotary embedding turns the two channels of a pair together, so
 * they have one factor.
 *
 * @param sizes of the head's keys before the rotation, [headSize]
 */
export function keyFactors(sizes: Float64Array, rotarySize: number): Float32Array {
  const half = rotarySize / 2;
  const pairs = sizes.map((size, channel) =>
    channel < rotarySize
      ? Math.hypot(size, sizes[channel < half ? channel + half : channel - half]!)
      : size * Math.SQRT2,
  );
  return factorsAgainst(pairs, -1);
}
