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

import {
  ACTIVATION_NONE,
  BLOCK_COLUMNS,
  GROUP_STRIPS,
  MAX_ROWS,
  M_QUANTIZED,
  M_QUANTIZED_STRIDE,
  M_ROW_SCALE,
  M_ROW_SUM,
  TILE_ROWS,
} from "./abi";
import { activate4 } from "./math";
import { pointer } from "./model";

/** Strips · rows that are summed before their outputs are made. */
const SUMS = 256;
/** Bytes of each plane that touch() reads: less is slower, more is not faster. */
const TOUCHED: usize = 4096;
/** Rows of half a strip. */
const HALF_ROWS = TILE_ROWS / 2;
/** int32 [strips, rows, 16]. */
const sums: usize = memory.data(SUMS * 64, 64);
/** int32 [MAX_ROWS] zeros: Σx for the blocks after the first, which takes the whole row's. */
const noSums: usize = memory.data(MAX_ROWS * 4, 16);

/** target[0 … 15] += A and B of two loads, offset = 128 · Σx. */
@inline
function addSums(target: usize, d0: v128, b0: v128, d1: v128, b1: v128, offset: i32): void {
  const bias = i32x4.splat(offset);
  v128.store(target, i32x4.add(v128.load(target), i32x4.sub(i32x4.sub(d0, i32x4.shl(b0, 8)), bias)));
  v128.store(target, i32x4.add(v128.load(target, 16), b0), 16);
  v128.store(target, i32x4.add(v128.load(target, 32), i32x4.sub(i32x4.sub(d1, i32x4.shl(b1, 8)), bias)), 32);
  v128.store(target, i32x4.add(v128.load(target, 48), b1), 48);
}

/**
 * One row of activations × `strips` strips that follow one another.
 *
 * @param w first plane of the strips, [strips, k/2][16] bytes
 * @param plane bytes from there to the second
 * @param x int16 [k], k a multiple of 4
 * @param offset 128 · Σx
 * @param target int32 [strips, 16], strips `targetStride` bytes apart; added to
 */
export function dot16x1(w: usize, plane: usize, x: usize, k: i32, strips: i32, offset: i32, target: usize, targetStride: usize): void {
  let w2 = w + plane;
  for (let s = 0; s < strips; s++) {
    let from = x;
    let d0 = i32x4.splat(0);
    let b0 = i32x4.splat(0);
    let d1 = i32x4.splat(0);
    let b1 = i32x4.splat(0);
    const end = x + ((<usize>k) << 1);
    // Two pairs a turn: with four, V8 runs out of vector registers and spills.
    while (from < end) {
      const x0 = v128.load_splat<i32>(from);
      const u0 = v128.load(w);
      const v0 = v128.load(w2);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u0, x0));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u0, 8), x0));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v0, x0));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v0, 8), x0));
      const x1 = v128.load_splat<i32>(from, 4);
      const u1 = v128.load(w, 16);
      const v1 = v128.load(w2, 16);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u1, x1));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u1, 8), x1));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v1, x1));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v1, 8), x1));
      w += 32;
      w2 += 32;
      from += 8;
    }
    addSums(target, d0, b0, d1, b1, offset);
    target += targetStride;
  }
}

/**
 * Two rows of activations × `strips` strips that follow one another: each weight is loaded and shifted once for
 * both rows.
 *
 * The loop over strips is here rather than outside because V8 unrolls an inner loop the more, the deeper it is
 * nested: 4 to 9 % at prefill. Two pairs of columns a turn, written out, would be moved to the top of the
 * body, all loads first, and spill.
 *
 * @param w first plane of the strips, [strips, k/2][16] bytes
 * @param plane bytes from there to the second
 * @param x int16 [2, k], rows `stride` bytes apart
 * @param offsetX 128 · Σx of the first row
 * @param offsetY of the second
 * @param target int32 [strips, 2, 16], strips `targetStride` bytes apart; added to
 */
export function dot16x2(
  w: usize,
  plane: usize,
  x: usize,
  stride: usize,
  k: i32,
  strips: i32,
  offsetX: i32,
  offsetY: i32,
  target: usize,
  targetStride: usize,
): void {
  let w2 = w + plane;
  for (let s = 0; s < strips; s++) {
    let from = x;
    let dx0 = i32x4.splat(0);
    let bx0 = i32x4.splat(0);
    let dx1 = i32x4.splat(0);
    let bx1 = i32x4.splat(0);
    let dy0 = i32x4.splat(0);
    let by0 = i32x4.splat(0);
    let dy1 = i32x4.splat(0);
    let by1 = i32x4.splat(0);
    let y = x + stride;
    const end = x + ((<usize>k) << 1);
    while (from < end) {
      const xs = v128.load_splat<i32>(from);
      const ys = v128.load_splat<i32>(y);
      const u = v128.load(w);
      const v = v128.load(w2);
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
      w += 16;
      w2 += 16;
      from += 4;
      y += 4;
    }
    addSums(target, dx0, bx0, dx1, bx1, offsetX);
    addSums(target + 64, dy0, by0, dy1, by1, offsetY);
    target += targetStride;
  }
}

/**
 * The end of a strip: 16 sums become float32 outputs, sum · rowScale · weightScale + bias, through the
 * activation function, added to what is there when `accumulate` (the residual connection).
 */
@inline
function finish(from: usize, rowScale: f32, scales: usize, bias: usize, out: usize, activation: i32, accumulate: bool): void {
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
 * sums[strip, row] += block · x[row] for `strips` strips of a block of `columns` columns.
 *
 * Rows outside, strips inside: the first two rows read the strips from memory in one go, so that the processor
 * fetches ahead; the others find them in the second-level cache.
 */
function multiply(weights: usize, plane: usize, columns: i32, strips: i32, x: usize, stride: usize, rows: i32, rowSums: usize): void {
  const targetStride = (<usize>rows) << 6;
  let target = sums;
  let r = 0;
  for (; r + 1 < rows; r += 2) {
    dot16x2(
      weights, plane, x, stride, columns, strips,
      load<i32>(rowSums) << 7, load<i32>(rowSums, 4) << 7, target, targetStride,
    );
    x += stride << 1;
    rowSums += 8;
    target += 128;
  }
  if (r == rows) return;
  dot16x1(weights, plane, x, columns, strips, load<i32>(rowSums) << 7, target, targetStride);
}

/**
 * out[r, :] = f(weights · x[r] + bias) for the quantized rows 0 … rows−1, at least one.
 *
 * Strips outside, rows inside: a block of a strip (12 KB at most) is read from memory once and serves every row
 * from the first-level cache. Which kernel takes a row depends on how many there are; the integers do not.
 *
 * The outputs of as many strips as fit the scratch are made together, because each strip needs one cache line
 * of scales from far away: alone, a strip would wait for memory at its end.
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
  const together = SUMS / rows;
  let left = n / TILE_ROWS;
  while (left > 0) {
    const group = min(left, GROUP_STRIPS);
    const plane = (<usize>group) * HALF_ROWS * (<usize>k);
    touch(weights, plane);
    for (let first = 0; first < group; first += together) {
      const strips = min(together, group - first);
      memory.fill(sums, 0, <usize>(strips * rows) << 6);
      let block = weights;
      for (let column = 0; column < k; column += BLOCK_COLUMNS) {
        const columns = min(BLOCK_COLUMNS, k - column);
        const stripBytes = (<usize>columns) * HALF_ROWS;
        multiply(
          block + (<usize>first) * stripBytes, plane, columns, strips, x + ((<usize>column) << 1), stride,
          rows, column == 0 ? rowSum : noSums,
        );
        block += (<usize>group) * stripBytes;
      }
      let from = sums;
      for (let s = 0; s < strips; s++) {
        for (let r: usize = 0; r < <usize>rows; r++) {
          finish(from, load<f32>(rowScale + (r << 2)), scales, bias, out + r * outStride, activation, accumulate);
          from += 64;
        }
        scales += TILE_ROWS * 4;
        if (bias) bias += TILE_ROWS * 4;
        out += TILE_ROWS * 4;
      }
    }
    weights += plane << 1;
    left -= group;
  }
}

/**
 * Reads the beginnings of a group's planes, all lines at once, and so tells the processor which streams come
 * next: it needs microseconds to follow a new one. Decode at context 64: 1.03x. What was read is stored, lest the compiler
 * leaves the loads out.
 */
function touch(weights: usize, plane: usize): void {
  let seen = 0;
  for (const end = weights + min(plane, TOUCHED); weights < end; weights += 64)
    seen |= load<i32>(weights) | load<i32>(weights + plane);
  store<i32>(sums, seen);
}

/** Signed weight (row, column) of a packed matrix of padded shape [n, k]. */
@inline
export function unpack(weights: usize, n: i32, k: i32, row: i32, column: i32): i32 {
  const j = row & 15;
  const strip = row >> 4;
  const start = strip & ~(GROUP_STRIPS - 1);
  const group = min(n / TILE_ROWS - start, GROUP_STRIPS);
  const block = column / BLOCK_COLUMNS * BLOCK_COLUMNS;
  const inner = column - block;
  const width = min(BLOCK_COLUMNS, k - block);
  const plane = (<usize>group) * (<usize>k);
  const at =
    (<usize>start) * 2 * (<usize>k) +
    (j & 8 ? plane : 0) +
    (<usize>group) * (<usize>block) +
    (<usize>(strip - start)) * (<usize>width);
  const place = <usize>(((inner >> 1) << 4) + ((j & 3) << 2) + ((inner & 1) << 1) + ((j >> 2) & 1));
  const byte = weights + at * HALF_ROWS + place;
  return j & 4 ? <i32>load<i8>(byte) : <i32>(<i8>(load<u8>(byte) ^ 0x80));
}
