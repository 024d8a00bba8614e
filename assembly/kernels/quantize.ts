// Activations become int16, one scale per row, so that every sum of int16 · int8 products is exact in int32.

import { M_QUANTIZED_STRIDE } from "../abi";
import { pointer } from "../descriptor";
import { REGION_QUANTIZED, REGION_ROW_SCALES, REGION_ROW_SUMS } from "../regions";
import { amplitudeOf, columnsOf, padded } from "../tensor";
import { ROUND_MAGIC, ROUND_MAGIC_BITS, maxLane, sumLanesI32 } from "./math";

/** Largest int16 magnitude whose dot product with `k` int8 weights (|w| ≤ 127) always fits int32. */
@inline
export function amplitude(k: i32): i32 {
  return min(32767, i32.MAX_VALUE / (127 * k));
}

/** Largest |x| of `n` float32, n a multiple of 4. */
@inline
export function absMax(x: usize, n: i32): f32 {
  let largest = f32x4.splat(0);
  for (const end = x + ((<usize>n) << 2); x < end; x += 16) largest = f32x4.pmax(largest, f32x4.abs(v128.load(x)));
  return maxLane(largest);
}

/** Rounds four float32 (|x| < 2^22) to int32, ties to even: two cheap operations instead of a saturating conversion. */
@inline
export function round4(x: v128): v128 {
  return i32x4.sub(f32x4.add(x, f32x4.splat(ROUND_MAGIC)), i32x4.splat(ROUND_MAGIC_BITS));
}

/** A row below this is taken as zero: the reciprocal of its scale would overflow. */
const SMALLEST: f32 = 1e-30;

/**
 * Writes round(x · a / max|x|) as int16.
 *
 * @param x float32 [n]; n a multiple of 8
 * @param a the largest magnitude to use: small enough that every sum of products fits int32
 * @param largest max|x|
 * @param target int16 [n]
 * @param scale where float32 max|x| / a goes: x ≈ target · scale
 * @param sum where the int32 sum of the targets goes; the packed kernels need it (matmul.ts)
 */
export function quantize(x: usize, n: i32, a: f32, largest: f32, target: usize, scale: usize, sum: usize): void {
  const isZero = largest < SMALLEST;
  const factor = f32x4.splat(isZero ? 0 : a / largest);
  store<f32>(scale, isZero ? 0 : largest / a);
  let total = i32x4.splat(0);
  for (const end = x + ((<usize>n) << 2); x < end; x += 32, target += 16) {
    const low = round4(f32x4.mul(v128.load(x), factor));
    const high = round4(f32x4.mul(v128.load(x, 16), factor));
    const values = i16x8.narrow_i32x4_s(low, high);
    v128.store(target, values);
    total = i32x4.add(total, i32x4.dot_i16x8_s(values, i16x8.splat(1)));
  }
  store<i32>(sum, sumLanesI32(total));
}

/** Quantizes a row, float32 and padded with zeros, as row `row` of the inputs of the matrix `weight`. */
export function quantizeRow(x: usize, row: i32, weight: usize): void {
  const columns = padded(columnsOf(weight));
  const at = (<usize>row) << 2;
  const target = pointer(REGION_QUANTIZED) + (<usize>row) * pointer(M_QUANTIZED_STRIDE);
  quantize(
    x, columns, <f32>amplitudeOf(weight), absMax(x, columns), target,
    pointer(REGION_ROW_SCALES) + at, pointer(REGION_ROW_SUMS) + at,
  );
}
