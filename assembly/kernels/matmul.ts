// Matrix products: int16 activations × packed weights (dot8.ts, matmul-groups.ts), made float32 and finished.

import { BLOCK_COLUMNS, GROUP_STRIPS, KIND_FOUR_BIT, KIND_INT8, M_QUANTIZED_STRIDE, MAX_ROWS, TILE_ROWS } from "../abi";
import { pointer } from "../descriptor";
import { REGION_QUANTIZED, REGION_ROW_SCALES, REGION_ROW_SUMS } from "../regions";
import { biasOf, columnsOf, kindOf, padded, scalesOf, stripsOf, valuesOf } from "../tensor";
import { dot16x1, dot16x2 } from "./dot8";
import { halfBytes4 } from "./dot4";
import { expandBlock, panelPlace } from "./expand";
import { multiplyCodes, prepareCodes } from "./matmul-groups";
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

/** Four sums become float32 outputs: sum · rowScale · weightScale + bias, added to what is there when `accumulate`. */
@inline
function finish4(at: usize, from: usize, rowScale: v128, scales: usize, bias: usize, out: usize, accumulate: bool): void {
  let y = f32x4.mul(f32x4.convert_i32x4_s(v128.load(from + at)), f32x4.mul(rowScale, v128.load(scales + at)));
  if (bias) y = f32x4.add(y, v128.load(bias + at));
  if (accumulate) y = f32x4.add(y, v128.load(out + at));
  v128.store(out + at, y);
}

/** The outputs of a strip's 16 sums, written out, which is 1 % of a prefill. */
@inline
function finish(from: usize, rowScale: f32, scales: usize, bias: usize, out: usize, accumulate: bool): void {
  const factor = f32x4.splat(rowScale);
  finish4(0, from, factor, scales, bias, out, accumulate);
  finish4(16, from, factor, scales, bias, out, accumulate);
  finish4(32, from, factor, scales, bias, out, accumulate);
  finish4(48, from, factor, scales, bias, out, accumulate);
}

/**
 * sums[strip, row] = int8 weights · x[row] for the strips first … first+strips−1 of a group, block by block of
 * columns; the sums must be zeros. Strassen's product takes the first 8 · `groups` rows.
 *
 * Rows outside, strips inside: the first two rows read the strips from memory in one go, so that the processor
 * fetches ahead; the others find them in the second-level cache.
 */
function multiply(group: usize, plane: usize, groupStrips: i32, k: i32, first: i32, strips: i32, rows: i32, groups: i32): void {
  const stride = pointer(M_QUANTIZED_STRIDE);
  const targetStride = (<usize>rows) << 6;
  let factors = activationFactors();
  for (let column = 0; column < k; column += BLOCK_COLUMNS) {
    const columns = min(BLOCK_COLUMNS, k - column);
    const weights = group + HALF_ROWS * ((<usize>groupStrips) * (<usize>column) + (<usize>first) * (<usize>columns));
    let x = pointer(REGION_QUANTIZED) + ((<usize>column) << 1);
    let rowSum = column == 0 ? pointer(REGION_ROW_SUMS) : noSums;
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
 * out[r, :] = weight · x[r] + bias for the strips begin … end−1 and the quantized rows 0 … rows−1, at least one;
 * added to what is there when `accumulate` (the residual connection).
 *
 * Strips outside, rows inside: a block of a strip (12 KB at most) is read from memory once and serves every row
 * from the cache. Which kernel takes a row depends on how many there are; the integers do not.
 *
 * The outputs of as many strips as fit the scratch are made together, because each strip needs one cache line
 * of scales from far away: alone, a strip would wait for memory at its end.
 *
 * Four-bit strips are twice as high: a pair of strips is multiplied together, and made outputs of as far as wanted.
 *
 * @param weight record of a packed matrix
 * @param out float32 [rows, outputs], rows `outStride` bytes apart
 */
export function linearStrips(weight: usize, begin: i32, end: i32, rows: i32, out: usize, outStride: usize, accumulate: bool): void {
  const k = padded(columnsOf(weight));
  const isFourBit = kindOf(weight) == KIND_FOUR_BIT;
  const allStrips = storedStrips(weight);
  const scales = scalesOf(weight);
  const bias = biasOf(weight);
  const rowScale = pointer(REGION_ROW_SCALES);
  const together = (SUMS / rows) & ~1;
  const groups = prepareGroups(k, rows);
  if (kindOf(weight) != KIND_INT8) prepareCodes(k, rows);
  for (let start = begin & ~(GROUP_STRIPS - 1); start < end; start += GROUP_STRIPS) {
    const group = min(allStrips - start, GROUP_STRIPS);
    const plane = (<usize>group) * planeBytes(isFourBit, k);
    const base = valuesOf(weight) + 2 * (<usize>start) * planeBytes(isFourBit, k);
    const until = min(group, end - start);
    let first = max(begin - start, 0);
    if (isFourBit) first &= ~1;
    touch(base + (<usize>first) * planeBytes(isFourBit, min(k, BLOCK_COLUMNS)), plane);
    for (; first < until; first += together) {
      const strips = min(together, until - first);
      memory.fill(sums, 0, ((<usize>strips + 1) & ~1) * (<usize>rows << 6));
      if (kindOf(weight) == KIND_INT8) multiply(base, plane, group, k, first, strips, rows, groups);
      else multiplyCodes(weight, base, plane, start, group, first, isFourBit ? (strips + 1) & ~1 : strips, rows, groups, sums);
      let at = (<usize>(start + first)) * (TILE_ROWS * 4);
      let from = sums;
      for (let s = 0; s < strips; s++) {
        if (start + first + s < begin) from += (<usize>rows) << 6;
        else
          for (let r: usize = 0; r < <usize>rows; r++) {
            finish(from, load<f32>(rowScale + (r << 2)), scales + at, bias ? bias + at : 0, out + r * outStride + at, accumulate);
            from += 64;
          }
        at += TILE_ROWS * 4;
      }
    }
  }
}

/** Strips of 16 rows that are stored: four-bit ones in pairs. */
@inline
function storedStrips(weight: usize): i32 {
  return kindOf(weight) == KIND_FOUR_BIT ? (stripsOf(weight) + 1) & ~1 : stripsOf(weight);
}

/** Bytes of a strip of 16 rows and k columns in one of its planes; in four bits, a pair of strips has one half in each. */
@inline
function planeBytes(isFourBit: bool, k: i32): usize {
  return isFourBit ? halfBytes4(k) >> 1 : HALF_ROWS * (<usize>k);
}

/** out[r, :] = weight · x[r] + bias for the quantized rows 0 … rows−1. */
export function linear(weight: usize, rows: i32, out: usize, outStride: usize): void {
  linearStrips(weight, 0, stripsOf(weight), rows, out, outStride, false);
}

/**
 * Reads the beginnings of a group's planes, all lines at once, and so tells the processor which streams come
 * next: it needs microseconds to follow a new one. Decode at context 64: 1.03x. What was read is stored, because the
 * compiler would leave the loads out otherwise.
 */
function touch(weights: usize, plane: usize): void {
  let seen = 0;
  for (const end = weights + min(plane, TOUCHED); weights < end; weights += 64)
    seen |= load<i32>(weights) | load<i32>(weights + plane);
  store<i32>(sums, seen);
}

/** out[i] += factor · row `row` of a packed matrix; `out` is float32 [columns], padded. */
export function addRow(weight: usize, row: i32, factor: f32, out: usize): void {
  const k = padded(columnsOf(weight));
  const scale = factor * load<f32>(scalesOf(weight) + ((<usize>row) << 2));
  const j = row & 15;
  const strip = row >> 4;
  if (kindOf(weight) != KIND_INT8) {
    for (let column = 0; column < k; column += BLOCK_COLUMNS) {
      const columns = expandBlock(weight, strip, column);
      for (let c = 0; c < columns; c++, out += 4)
        store<f32>(out, load<f32>(out) + scale * <f32>load<i16>(panelPlace(columns, j, c)));
    }
    return;
  }
  const start = strip & ~(GROUP_STRIPS - 1);
  const group = <usize>min(stripsOf(weight) - start, GROUP_STRIPS);
  const plane = valuesOf(weight) + (<usize>start) * TILE_ROWS * (<usize>k) + (j & 8 ? group * HALF_ROWS * (<usize>k) : 0);
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
