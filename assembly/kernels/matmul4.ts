// Matrix products with four-bit weights: the sums that matmul.ts makes float32 and finishes.

import { BLOCK_COLUMNS, M_QUANTIZED_STRIDE } from "../abi";
import { pointer } from "../descriptor";
import { EXPANDED_ROWS, FOUR_BIT_GROUP_COLUMNS } from "../four-bit";
import { REGION_GROUP_SUMS, REGION_PANEL, REGION_QUANTIZED } from "../regions";
import { dot32x1, dot32x2, expand16, halfBytes4, sumGroups } from "./dot4";
import { dot8x4 } from "./dot8";
import { GROUP_ROWS, activationFactors, blockBytes, multiplyPanel } from "./strassen";

/** Rows that are multiplied with weights as int16, four at a time; the others take the codes as they are. */
@inline
function expandedRows(rows: i32): i32 {
  return rows < EXPANDED_ROWS ? 0 : rows & ~3;
}

/** Bytes from one row's sums of groups to the next. */
@inline
function sumsStride(k: i32): usize {
  return (<usize>((k + FOUR_BIT_GROUP_COLUMNS - 1) / FOUR_BIT_GROUP_COLUMNS)) << 2;
}

/** What the rows 0 … rows−1 need before multiplyFourBit(): Σx of each group of columns. */
export function prepareFourBit(k: i32, rows: i32): void {
  let target = pointer(REGION_GROUP_SUMS);
  for (let r = expandedRows(rows); r < rows; r++, target += sumsStride(k))
    sumGroups(pointer(REGION_QUANTIZED) + (<usize>r) * pointer(M_QUANTIZED_STRIDE), k, target);
}

/**
 * Many rows × half a strip within a block of columns: the weights become int16, then Strassen's product takes the
 * first 8 · `groups` rows, and the others go four by four.
 */
function multiplyExpanded(w: usize, columns: i32, x: usize, rows: i32, factors: usize, groups: i32, target: usize, next: usize): void {
  const stride = pointer(M_QUANTIZED_STRIDE);
  const panel = pointer(REGION_PANEL);
  expand16(w, columns, panel);
  if (groups) multiplyPanel(panel, columns, factors, groups, target, next);
  for (let r = groups * GROUP_ROWS; r < rows; r += 4) {
    const from = x + stride * <usize>r;
    const to = target + ((<usize>r) << 6);
    dot8x4(panel, from, stride, columns, to, 0, 0);
    dot8x4(panel + ((<usize>columns) << 4), from, stride, columns, to + 32, 0, 0);
  }
}

/**
 * sums[half strip, row] = weights · x[row] for the strips first … first+strips−1 of a group, block by block of columns.
 *
 * @param group first byte of the group of strips
 * @param plane bytes from there to the second plane
 * @param groupStrips strips of the group
 * @param groups groups of 8 rows that prepareGroups() made factors of
 * @param sums int32 [2 · strips, rows, 16], zeros
 */
export function multiplyFourBit(
  group: usize,
  plane: usize,
  groupStrips: i32,
  k: i32,
  first: i32,
  strips: i32,
  rows: i32,
  groups: i32,
  sums: usize,
): void {
  const stride = pointer(M_QUANTIZED_STRIDE);
  const targetStride = (<usize>rows) << 6;
  const expanded = expandedRows(rows);
  let factors = activationFactors();
  for (let column = 0; column < k; column += BLOCK_COLUMNS) {
    const columns = min(BLOCK_COLUMNS, k - column);
    const half = halfBytes4(columns);
    const w = group + halfBytes4(column) * (<usize>groupStrips) + half * <usize>first;
    let x = pointer(REGION_QUANTIZED) + ((<usize>column) << 1);
    if (expanded) {
      let target = sums;
      let from = w;
      for (let s = 0; s < strips; s++, from += half) {
        multiplyExpanded(from, columns, x, expanded, factors, groups, target, from + plane);
        target += targetStride;
        multiplyExpanded(from + plane, columns, x, expanded, factors, groups, target, from + half);
        target += targetStride;
      }
      if (groups) factors += blockBytes(columns, groups);
    }
    x += stride * <usize>expanded;
    let target = sums + ((<usize>expanded) << 6);
    let groupSums = pointer(REGION_GROUP_SUMS) + <usize>((column / FOUR_BIT_GROUP_COLUMNS) << 2);
    let r = expanded;
    for (; r + 1 < rows; r += 2) {
      dot32x2(w, plane, x, stride, groupSums, sumsStride(k), columns, strips, target, targetStride);
      x += stride << 1;
      target += 128;
      groupSums += sumsStride(k) << 1;
    }
    if (r < rows) dot32x1(w, plane, x, groupSums, columns, strips, target, targetStride);
  }
}
