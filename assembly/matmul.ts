// The matrix kernel: int16 activations × packed int8 weights, exact in int32.
//
// Widening int8 to int16 costs as much as multiplying it. So a packed 16-bit load (abi.ts) is used twice as it
// is: it holds w = 256·b + (a + 128), with a and b weights of two different rows, and
//
//   D = Σ x·w          = 256·B + A + 128·Σx   (mod 2^32)      A = Σ x·a,  B = Σ x·b
//   B = Σ x·(w >> 8)                          exactly: the arithmetic shift drops a + 128
//   A = D − 256·B − 128·Σx                    exactly: A fits int32 by the amplitude rule, so mod 2^32 is enough
//
// Per 16 weights that is one shift, two multiply-adds and two additions, where widening both halves takes two,
// two and two. Measured at K = 768 in V8: 32 against 24 GB/s of weights in cache (bench/, row kernel).

import { ACTIVATION_NONE, MAX_ROWS, M_QUANTIZED, M_QUANTIZED_STRIDE, M_ROW_SCALE, M_ROW_SUM, TILE_ROWS } from "./abi";
import { activate4 } from "./math";
import { pointer } from "./model";

/** int32 [MAX_ROWS, 16]: what the tile kernels leave for the store. */
const sums: usize = memory.data(MAX_ROWS * 64, 16);

/**
 * One row of activations × one tile of 16 weight rows.
 *
 * @param w packed tile, [k/2][32] bytes
 * @param x int16 [k], k a multiple of 4
 * @param offset 128 · Σx
 * @param target int32 [16]
 */
export function dot16x1(w: usize, x: usize, k: i32, offset: i32, target: usize): void {
  let d0 = i32x4.splat(0);
  let b0 = i32x4.splat(0);
  let d1 = i32x4.splat(0);
  let b1 = i32x4.splat(0);
  const end = x + ((<usize>k) << 1);
  // Two pairs a turn: with four, V8 runs out of vector registers and spills.
  while (x < end) {
    const x0 = v128.load_splat<i32>(x);
    const u0 = v128.load(w);
    const v0 = v128.load(w, 16);
    d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u0, x0));
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u0, 8), x0));
    d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v0, x0));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v0, 8), x0));
    const x1 = v128.load_splat<i32>(x, 4);
    const u1 = v128.load(w, 32);
    const v1 = v128.load(w, 48);
    d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u1, x1));
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u1, 8), x1));
    d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v1, x1));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v1, 8), x1));
    w += 64;
    x += 8;
  }
  const bias = i32x4.splat(offset);
  v128.store(target, i32x4.sub(i32x4.sub(d0, i32x4.shl(b0, 8)), bias));
  v128.store(target, b0, 16);
  v128.store(target, i32x4.sub(i32x4.sub(d1, i32x4.shl(b1, 8)), bias), 32);
  v128.store(target, b1, 48);
}

/**
 * `pairs` times two rows of activations × one tile: each weight is loaded and shifted once for both rows.
 *
 * The loop over pairs is here rather than outside because V8 unrolls an inner loop the more, the deeper it is
 * nested: 4 to 9 % at prefill. Two pairs of columns a turn, written out, would be moved to the top of the
 * body, all loads first, and spill.
 *
 * @param x int16 [2 · pairs, k], rows `stride` bytes apart
 * @param rowSums int32 [2 · pairs], Σx of each row
 * @param target int32 [2 · pairs, 16]
 */
export function dot16x2(
  tile: usize,
  x: usize,
  stride: usize,
  k: i32,
  pairs: i32,
  rowSums: usize,
  target: usize,
): void {
  for (let pair = 0; pair < pairs; pair++) {
    let w = tile;
    let y = x + stride;
    let dx0 = i32x4.splat(0);
    let bx0 = i32x4.splat(0);
    let dx1 = i32x4.splat(0);
    let bx1 = i32x4.splat(0);
    let dy0 = i32x4.splat(0);
    let by0 = i32x4.splat(0);
    let dy1 = i32x4.splat(0);
    let by1 = i32x4.splat(0);
    const next = y + stride;
    const end = x + ((<usize>k) << 1);
    while (x < end) {
      const xs = v128.load_splat<i32>(x);
      const ys = v128.load_splat<i32>(y);
      const u = v128.load(w);
      const v = v128.load(w, 16);
      const uHigh = i16x8.shr_s(u, 8);
      const vHigh = i16x8.shr_s(v, 8);
      dx0 = i32x4.add(dx0, i32x4.dot_i16x8_s(u, xs));
      bx0 = i32x4.add(bx0, i32x4.dot_i16x8_s(uHigh, xs));
      dx1 = i32x4.add(dx1, i32x4.dot_i16x8_s(v, xs));
      bx1 = i32x4.add(bx1, i32x4.dot_i16x8_s(vHigh, xs));
      dy0 = i32x4.add(dy0, i32x4.dot_i16x8_s(u, ys));
      by0 = i32x4.add(by0, i32x4.dot_i16x8_s(uHigh, ys));
      dy1 = i32x4.add(dy1, i32x4.dot_i16x8_s(v, ys));
      by1 = i32x4.add(by1, i32x4.dot_i16x8_s(vHigh, ys));
      w += 32;
      x += 4;
      y += 4;
    }
    x = next;
    const biasX = i32x4.splat(load<i32>(rowSums) << 7);
    const biasY = i32x4.splat(load<i32>(rowSums, 4) << 7);
    v128.store(target, i32x4.sub(i32x4.sub(dx0, i32x4.shl(bx0, 8)), biasX));
    v128.store(target, bx0, 16);
    v128.store(target, i32x4.sub(i32x4.sub(dx1, i32x4.shl(bx1, 8)), biasX), 32);
    v128.store(target, bx1, 48);
    v128.store(target, i32x4.sub(i32x4.sub(dy0, i32x4.shl(by0, 8)), biasY), 64);
    v128.store(target, by0, 80);
    v128.store(target, i32x4.sub(i32x4.sub(dy1, i32x4.shl(by1, 8)), biasY), 96);
    v128.store(target, by1, 112);
    rowSums += 8;
    target += 128;
  }
}

/**
 * The end of a tile: 16 sums become float32 outputs, sum · rowScale · weightScale + bias, through the
 * activation function, added to what is there when `accumulate` (the residual connection).
 */
@inline
function storeTile(from: usize, rowScale: f32, scales: usize, bias: usize, out: usize, activation: i32, accumulate: bool): void {
  for (let i: usize = 0; i < <usize>TILE_ROWS * 4; i += 16) {
    let y = f32x4.mul(
      f32x4.convert_i32x4_s(v128.load(from + i)),
      f32x4.mul(f32x4.splat(rowScale), v128.load(scales + i)),
    );
    if (bias) y = f32x4.add(y, v128.load(bias + i));
    if (activation != ACTIVATION_NONE) y = activate4(y, activation);
    if (accumulate) y = f32x4.add(y, v128.load(out + i));
    v128.store(out + i, y);
  }
}

/**
 * out[r, :] = f(weights · x[r] + bias) for the quantized rows 0 … rows−1.
 *
 * Tiles outside, rows inside: a tile (12 KB at K = 768) is read from memory once and serves every row from the
 * first-level cache. Which kernel takes a row depends on how many there are; the integers do not.
 *
 * @param weights packed int8 [n, k], both padded to 16
 * @param scales float32 [n]
 * @param bias float32 [n], or 0 for none
 * @param out float32 [rows, n], rows `outStride` bytes apart
 */
export function matmul(
  weights: usize,
  n: i32,
  k: i32,
  scales: usize,
  bias: usize,
  rows: i32,
  out: usize,
  outStride: usize,
  activation: i32,
  accumulate: bool,
): void {
  const x = pointer(M_QUANTIZED);
  const stride = pointer(M_QUANTIZED_STRIDE);
  const rowScale = pointer(M_ROW_SCALE);
  const rowSum = pointer(M_ROW_SUM);
  const tileBytes = (<usize>k) * TILE_ROWS;
  const tiles = n / TILE_ROWS;
  /** The row that is left over from pairing. */
  const odd: usize = rows & ~1;
  for (let t = 0; t < tiles; t++) {
    dot16x2(weights, x, stride, k, rows >> 1, rowSum, sums);
    if (rows & 1) dot16x1(weights, x + odd * stride, k, load<i32>(rowSum + (odd << 2)) << 7, sums + (odd << 6));
    for (let r: usize = 0; r < <usize>rows; r++)
      storeTile(sums + (r << 6), load<f32>(rowScale + (r << 2)), scales, bias, out + r * outStride, activation, accumulate);
    weights += tileBytes;
    scales += TILE_ROWS * 4;
    if (bias) bias += TILE_ROWS * 4;
    out += TILE_ROWS * 4;
  }
}

/** Signed weight (row, column) of a packed matrix with `k` padded columns. */
@inline
export function unpack(weights: usize, k: i32, row: i32, column: i32): i32 {
  const j = row & 15;
  const at =
    weights +
    (<usize>(row >> 4)) * (<usize>k) * TILE_ROWS +
    (<usize>(((column >> 1) << 5) + ((j >> 3) << 4) + ((j & 3) << 2) + ((column & 1) << 1) + ((j >> 2) & 1)));
  return j & 4 ? <i32>load<i8>(at) : <i32>(<i8>(load<u8>(at) ^ 0x80));
}
