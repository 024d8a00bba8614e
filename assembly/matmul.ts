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
const HALF_ROWS: usize = <usize>TILE_ROWS / 2;
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

// A turn of the kernels' loops is written out twice, because recent V8 takes one as it is written, and where there is
// no guard region around the memory (workerd) it compares every address with the memory's size and computes the
// largest allowed one for each offset anew: one row 1.08x, two rows 1.05x. V8 before 12 would move the loads of
// both halves to the top and spill. A way out between them, which is never taken, keeps them apart.

/**
 * One row of activations × `strips` strips that follow one another.
 *
 * @param w first plane of the strips, [strips, k/2][16] bytes
 * @param plane bytes from there to the second
 * @param x int16 [k], k a multiple of 8
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
      if (from + 8 >= end) break;
      const x2 = v128.load_splat<i32>(from, 8);
      const u2 = v128.load(w, 32);
      const v2 = v128.load(w2, 32);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u2, x2));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u2, 8), x2));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v2, x2));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v2, 8), x2));
      const x3 = v128.load_splat<i32>(from, 12);
      const u3 = v128.load(w, 48);
      const v3 = v128.load(w2, 48);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u3, x3));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u3, 8), x3));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v3, x3));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v3, 8), x3));
      w += 64;
      w2 += 64;
      from += 16;
    }
    addSums(target, d0, b0, d1, b1, offset);
    target += targetStride;
  }
}

/**
 * Two rows of activations × `strips` strips that follow one another: each weight is loaded and shifted once for
 * both rows.
 *
 * The loop over strips is here rather than outside because old V8 unrolls an inner loop the more, the deeper it is
 * nested: 4 to 9 % at prefill.
 *
 * @param w first plane of the strips, [strips, k/2][16] bytes
 * @param plane bytes from there to the second
 * @param x int16 [2, k], rows `stride` bytes apart, k a multiple of 4
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
      const xs0 = v128.load_splat<i32>(from);
      const ys0 = v128.load_splat<i32>(y);
      const u0 = v128.load(w);
      const v0 = v128.load(w2);
      const uHigh0 = i16x8.shr_s(u0, 8);
      const vHigh0 = i16x8.shr_s(v0, 8);
      dx0 = i32x4.add(dx0, i32x4.dot_i16x8_s(u0, xs0));
      bx0 = i32x4.add(bx0, i32x4.dot_i16x8_s(uHigh0, xs0));
      dx1 = i32x4.add(dx1, i32x4.dot_i16x8_s(v0, xs0));
      bx1 = i32x4.add(bx1, i32x4.dot_i16x8_s(vHigh0, xs0));
      dy0 = i32x4.add(dy0, i32x4.dot_i16x8_s(u0, ys0));
      by0 = i32x4.add(by0, i32x4.dot_i16x8_s(uHigh0, ys0));
      dy1 = i32x4.add(dy1, i32x4.dot_i16x8_s(v0, ys0));
      by1 = i32x4.add(by1, i32x4.dot_i16x8_s(vHigh0, ys0));
      if (from + 4 >= end) break;
      const xs1 = v128.load_splat<i32>(from, 4);
      const ys1 = v128.load_splat<i32>(y, 4);
      const u1 = v128.load(w, 16);
      const v1 = v128.load(w2, 16);
      const uHigh1 = i16x8.shr_s(u1, 8);
      const vHigh1 = i16x8.shr_s(v1, 8);
      dx0 = i32x4.add(dx0, i32x4.dot_i16x8_s(u1, xs1));
      bx0 = i32x4.add(bx0, i32x4.dot_i16x8_s(uHigh1, xs1));
      dx1 = i32x4.add(dx1, i32x4.dot_i16x8_s(v1, xs1));
      bx1 = i32x4.add(bx1, i32x4.dot_i16x8_s(vHigh1, xs1));
      dy0 = i32x4.add(dy0, i32x4.dot_i16x8_s(u1, ys1));
      by0 = i32x4.add(by0, i32x4.dot_i16x8_s(uHigh1, ys1));
      dy1 = i32x4.add(dy1, i32x4.dot_i16x8_s(v1, ys1));
      by1 = i32x4.add(by1, i32x4.dot_i16x8_s(vHigh1, ys1));
      w += 32;
      w2 += 32;
      from += 8;
      y += 8;
    }
    addSums(target, dx0, bx0, dx1, bx1, offsetX);
    addSums(target + 64, dy0, by0, dy1, by1, offsetY);
    target += targetStride;
  }
}

/**
 * Four sums become float32 outputs: sum · rowScale · weightScale + bias, through the activation function, added
 * to what is there when `accumulate` (the residual connection).
 */
@inline
function finish4(at: usize, from: usize, rowScale: v128, scales: usize, bias: usize, out: usize, activation: i32, accumulate: bool): void {
  let y = f32x4.mul(f32x4.convert_i32x4_s(v128.load(from + at)), f32x4.mul(rowScale, v128.load(scales + at)));
  if (bias) y = f32x4.add(y, v128.load(bias + at));
  if (activation != ACTIVATION_NONE) y = activate4(y, activation);
  if (accumulate) y = f32x4.add(y, v128.load(out + at));
  v128.store(out + at, y);
}

/** The outputs of a strip's 16 sums; without an activation function written out, which is 1 % of a prefill. */
@inline
function finish(from: usize, rowScale: f32, scales: usize, bias: usize, out: usize, activation: i32, accumulate: bool): void {
  const factor = f32x4.splat(rowScale);
  if (activation != ACTIVATION_NONE) {
    for (let at: usize = 0; at < <usize>TILE_ROWS * 4; at += 16)
      finish4(at, from, factor, scales, bias, out, activation, accumulate);
    return;
  }
  finish4(0, from, factor, scales, bias, out, ACTIVATION_NONE, accumulate);
  finish4(16, from, factor, scales, bias, out, ACTIVATION_NONE, accumulate);
  finish4(32, from, factor, scales, bias, out, ACTIVATION_NONE, accumulate);
  finish4(48, from, factor, scales, bias, out, ACTIVATION_NONE, accumulate);
}

/**
 * sums[strip, row] = weights · x[row] for the strips first … first+strips−1 of a group, block by block of columns.
 *
 * Rows outside, strips inside: the first two rows read the strips from memory in one go, so that the processor
 * fetches ahead; the others find them in the second-level cache.
 */
function multiply(group: usize, plane: usize, groupStrips: i32, k: i32, first: i32, strips: i32, rows: i32): void {
  const stride = pointer(M_QUANTIZED_STRIDE);
  const targetStride = (<usize>rows) << 6;
  memory.fill(sums, 0, (<usize>strips) * targetStride);
  for (let column = 0; column < k; column += BLOCK_COLUMNS) {
    const columns = min(BLOCK_COLUMNS, k - column);
    const weights = group + HALF_ROWS * ((<usize>groupStrips) * (<usize>column) + (<usize>first) * (<usize>columns));
    let x = pointer(M_QUANTIZED) + ((<usize>column) << 1);
    let rowSum = column == 0 ? pointer(M_ROW_SUM) : noSums;
    let target = sums;
    let r = 0;
    for (; r + 1 < rows; r += 2) {
      dot16x2(
        weights, plane, x, stride, columns, strips,
        load<i32>(rowSum) << 7, load<i32>(rowSum, 4) << 7, target, targetStride,
      );
      x += stride << 1;
      rowSum += 8;
      target += 128;
    }
    if (r < rows) dot16x1(weights, plane, x, columns, strips, load<i32>(rowSum) << 7, target, targetStride);
  }
}

/**
 * out[r, :] = f(weights · x[r] + bias) for the quantized rows 0 … rows−1, at least one, of the strips
 * begin … end−1.
 *
 * Strips outside, rows inside: a block of a strip (12 KB at most) is read from memory once and serves every row
 * from the cache. Which kernel takes a row depends on how many there are; the integers do not.
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
  begin: i32,
  end: i32,
  scales: usize,
  bias: usize,
  rows: i32,
  out: usize,
  outStride: usize,
  activation: i32,
  accumulate: bool,
): void {
  const rowScale = pointer(M_ROW_SCALE);
  const together = SUMS / rows;
  for (let start = begin & ~(GROUP_STRIPS - 1); start < end; start += GROUP_STRIPS) {
    const group = min(n / TILE_ROWS - start, GROUP_STRIPS);
    const plane = (<usize>group) * HALF_ROWS * (<usize>k);
    const base = weights + (<usize>start) * TILE_ROWS * (<usize>k);
    const until = min(group, end - start);
    touch(base, plane);
    for (let first = max(begin - start, 0); first < until; first += together) {
      const strips = min(together, until - first);
      multiply(base, plane, group, k, first, strips, rows);
      let at = (<usize>(start + first)) * (TILE_ROWS * 4);
      let from = sums;
      for (let s = 0; s < strips; s++) {
        for (let r: usize = 0; r < <usize>rows; r++) {
          finish(from, load<f32>(rowScale + (r << 2)), scales + at, bias ? bias + at : 0, out + r * outStride + at, activation, accumulate);
          from += 64;
        }
        at += TILE_ROWS * 4;
      }
    }
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

/** out[i] += scale · weights[row, i] of a packed matrix of padded shape [n, k]; `out` is float32 [k]. */
export function addRow(weights: usize, n: i32, k: i32, row: i32, scale: f32, out: usize): void {
  const j = row & 15;
  const strip = row >> 4;
  const start = strip & ~(GROUP_STRIPS - 1);
  const group = <usize>min(n / TILE_ROWS - start, GROUP_STRIPS);
  const plane = weights + (<usize>start) * TILE_ROWS * (<usize>k) + (j & 8 ? group * HALF_ROWS * (<usize>k) : 0);
  const place = plane + <usize>(((j & 3) << 2) + ((j >> 2) & 1));
  const flip = j & 4 ? 0 : 0x80;
  for (let column = 0; column < k; column += BLOCK_COLUMNS) {
    const columns = <usize>min(BLOCK_COLUMNS, k - column);
    let at = place + HALF_ROWS * (group * (<usize>column) + (<usize>(strip - start)) * columns);
    for (const end = at + columns * HALF_ROWS; at < end; at += 16, out += 8) {
      store<f32>(out, load<f32>(out) + scale * <f32>(<i8>(load<u8>(at) ^ flip)));
      store<f32>(out, load<f32>(out, 4) + scale * <f32>(<i8>(load<u8>(at, 2) ^ flip)), 4);
    }
  }
}
