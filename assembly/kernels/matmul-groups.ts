// Matrix products with weights that have a step for each group of columns (dot4.ts, dot8-steps.ts): the sums that
// matmul.ts makes float32 and finishes.

import { BLOCK_COLUMNS, KIND_FOUR_BIT, M_QUANTIZED_STRIDE } from "../abi";
import { pointer } from "../descriptor";
import { EXPANDED_ROWS, GROUP_COLUMNS } from "../four-bit";
import { REGION_GROUP_SUMS, REGION_PANEL, REGION_QUANTIZED } from "../regions";
import { columnsOf, kindOf, padded, stepsOf } from "../tensor";
import { dot32x1, dot32x2, expand16, halfBytes4, sumGroups } from "./dot4";
import { dot8x4 } from "./dot8";
import { dotSteps16x1, dotSteps16x2, expandSteps16 } from "./dot8-steps";
import { GROUP_ROWS, activationFactors, blockBytes, multiplyPanel } from "./strassen";

/** Rows that are multiplied with weights as int16, four at a time; the others take the codes as they are. */
@inline
function expandedRows(rows: i32): i32 {
  return rows < EXPANDED_ROWS ? 0 : rows & ~3;
}

@inline
function groupsOf(columns: i32): usize {
  return <usize>((columns + GROUP_COLUMNS - 1) / GROUP_COLUMNS);
}

/** What the rows 0 … rows−1 need before multiplyCodes(): Σx of each group of columns. */
export function prepareCodes(k: i32, rows: i32): void {
  let target = pointer(REGION_GROUP_SUMS);
  for (let r = expandedRows(rows); r < rows; r++, target += groupsOf(k) << 2)
    sumGroups(pointer(REGION_QUANTIZED) + (<usize>r) * pointer(M_QUANTIZED_STRIDE), k, target);
}

/**
 * Many rows × the 16 rows of weights in REGION_PANEL: Strassen's product takes the first 8 · `groups` rows, the others
 * go four by four.
 */
function multiplyExpanded(columns: i32, x: usize, rows: i32, factors: usize, groups: i32, target: usize, next: usize): void {
  const stride = pointer(M_QUANTIZED_STRIDE);
  const panel = pointer(REGION_PANEL);
  if (groups) multiplyPanel(panel, columns, factors, groups, target, next);
  for (let r = groups * GROUP_ROWS; r < rows; r += 4) {
    const from = x + stride * <usize>r;
    const to = target + ((<usize>r) << 6);
    dot8x4(panel, from, stride, columns, to, 0, 0);
    dot8x4(panel + ((<usize>columns) << 4), from, stride, columns, to + 32, 0, 0);
  }
}

/**
 * sums[strip, row] = weights · x[row] for the strips of 16 rows first … first+strips−1 of a group, block by block of
 * columns; the sums must be zeros. In four bits, `first` and `strips` are even.
 *
 * @param weight the matrix' record
 * @param base first byte of the group of strips
 * @param plane bytes from there to the second plane
 * @param start the group's first strip, and how many it has
 * @param groups groups of 8 rows that prepareGroups() made factors of
 * @param sums int32 [strips, rows, 16]
 */
export function multiplyCodes(
  weight: usize,
  base: usize,
  plane: usize,
  start: i32,
  groupStrips: i32,
  first: i32,
  strips: i32,
  rows: i32,
  groups: i32,
  sums: usize,
): void {
  const isFourBit = kindOf(weight) == KIND_FOUR_BIT;
  const k = padded(columnsOf(weight));
  const stride = pointer(M_QUANTIZED_STRIDE);
  const targetStride = (<usize>rows) << 6;
  const expanded = expandedRows(rows);
  const sumsStride = groupsOf(k) << 2;
  const stepsStride = groupsOf(k) << 4;
  let steps: usize = isFourBit ? 0 : stepsOf(weight) + <usize>(start + first) * stepsStride;
  let groupSums = pointer(REGION_GROUP_SUMS);
  let factors = activationFactors();
  for (let column = 0; column < k; column += BLOCK_COLUMNS) {
    const columns = min(BLOCK_COLUMNS, k - column);
    const bytes = isFourBit ? halfBytes4(columns) : (<usize>columns) << 3;
    // A half in four bits has the rows of a strip, so that a pair of strips is as many bytes from the next.
    const before = isFourBit ? (halfBytes4(column) * <usize>groupStrips + bytes * <usize>first) >> 1
      : ((<usize>column) << 3) * <usize>groupStrips + bytes * <usize>first;
    const w = base + before;
    let x = pointer(REGION_QUANTIZED) + ((<usize>column) << 1);
    if (expanded) {
      let target = sums;
      let from = w;
      for (let s: usize = 0; s < <usize>strips; s++, target += targetStride) {
        let next = from + bytes;
        if (isFourBit) {
          // One half after the other: first plane, second plane, first plane of the next strip.
          if (s & 1) next -= plane;
          else next = from + plane;
          expand16(from, columns, pointer(REGION_PANEL));
        } else expandSteps16(from, plane, steps + s * stepsStride, columns, pointer(REGION_PANEL));
        multiplyExpanded(columns, x, expanded, factors, groups, target, next);
        from = next;
      }
      if (groups) factors += blockBytes(columns, groups);
    }
    x += stride * <usize>expanded;
    let target = sums + ((<usize>expanded) << 6);
    let sum = groupSums;
    let r = expanded;
    for (; r + 1 < rows; r += 2, x += stride << 1, target += 128, sum += sumsStride << 1) {
      if (isFourBit) dot32x2(w, plane, x, stride, sum, sumsStride, columns, strips >> 1, target, targetStride);
      else dotSteps16x2(w, plane, steps, stepsStride, x, stride, sum, sumsStride, columns, strips, target, targetStride);
    }
    if (r < rows) {
      if (isFourBit) dot32x1(w, plane, x, sum, columns, strips >> 1, target, targetStride);
      else dotSteps16x1(w, plane, steps, stepsStride, x, sum, columns, strips, target, targetStride);
    }
    steps += groupsOf(columns) << 4;
    groupSums += groupsOf(columns) << 2;
  }
}
