// Matrix products: int16 activations × packed int8 weights (dot.ts), made float32 and finished.

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
} from "../abi";
import { dot16x1, dot16x2 } from "./dot8";
import { activate4 } from "./math";
import { pointer } from "../descriptor";
import { GROUP_ROWS, activationFactors, blockBytes, multiplyGroups, prepareGroups } from "./strassen";

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
 * Strassen's product takes the first 8 · `groups` rows.
 *
 * Rows outside, strips inside: the first two rows read the strips from memory in one go, so that the processor
 * fetches ahead; the others find them in the second-level cache.
 */
function multiply(group: usize, plane: usize, groupStrips: i32, k: i32, first: i32, strips: i32, rows: i32, groups: i32): void {
  const stride = pointer(M_QUANTIZED_STRIDE);
  const targetStride = (<usize>rows) << 6;
  memory.fill(sums, 0, (<usize>strips) * targetStride);
  let factors = activationFactors();
  for (let column = 0; column < k; column += BLOCK_COLUMNS) {
    const columns = min(BLOCK_COLUMNS, k - column);
    const weights = group + HALF_ROWS * ((<usize>groupStrips) * (<usize>column) + (<usize>first) * (<usize>columns));
    let x = pointer(M_QUANTIZED) + ((<usize>column) << 1);
    let rowSum = column == 0 ? pointer(M_ROW_SUM) : noSums;
    let target = sums;
    if (groups) {
      for (let s = 0; s < strips; s++)
        multiplyGroups(weights + (<usize>s) * HALF_ROWS * <usize>columns, plane, columns, factors, groups, sums + (<usize>s) * targetStride);
      factors += blockBytes(columns, groups);
    }
    let r = groups * GROUP_ROWS;
    x += stride * <usize>r;
    rowSum += (<usize>r) << 2;
    target += (<usize>r) << 6;
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
  const groups = prepareGroups(k, rows);
  for (let start = begin & ~(GROUP_STRIPS - 1); start < end; start += GROUP_STRIPS) {
    const group = min(n / TILE_ROWS - start, GROUP_STRIPS);
    const plane = (<usize>group) * HALF_ROWS * (<usize>k);
    const base = weights + (<usize>start) * TILE_ROWS * (<usize>k);
    const until = min(group, end - start);
    let first = max(begin - start, 0);
    touch(base + HALF_ROWS * (<usize>first) * (<usize>min(k, BLOCK_COLUMNS)), plane);
    for (; first < until; first += together) {
      const strips = min(together, until - first);
      multiply(base, plane, group, k, first, strips, rows, groups);
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
