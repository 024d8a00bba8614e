// How large the weights of a matrix are. A matrix with steps says itself how large its activations may be (model.json,
// `amplitude`), and a model directory can come from anybody: the host holds the one against the other when it loads.

import { BLOCK_COLUMNS, TILE_ROWS } from "../abi";
import { pointer } from "../descriptor";
import { INTEGER_LIMIT } from "../four-bit";
import { REGION_PANEL } from "../regions";
import { columnsOf, stripsOf } from "../tensor";
import { expandBlock, panelPlace } from "./expand";

const ROW_SUMS = memory.data(TILE_ROWS * 4, 16);

/** Makes the columns from `from` on zeros, which a matrix is padded with: in four bits they are a group's offset. */
function clearPadding(from: i32, columns: i32): void {
  for (let column = from; column < columns; column++)
    for (let row = 0; row < TILE_ROWS; row++) store<i16>(panelPlace(columns, row, column), 0);
}

/** sums[row] += Σ|w| of 16 rows of int16 weights in REGION_PANEL; the largest |w| so far, in each lane. */
function addMagnitudes(columns: i32, largest: v128): v128 {
  const ones = i16x8.splat(1);
  let at = pointer(REGION_PANEL);
  for (let sums = ROW_SUMS; sums < ROW_SUMS + TILE_ROWS * 4; sums += 32) {
    let low = v128.load(sums);
    let high = v128.load(sums, 16);
    for (const end = at + ((<usize>columns) << 4); at < end; at += 32) {
      const a = i16x8.abs(v128.load(at));
      const b = i16x8.abs(v128.load(at, 16));
      largest = i16x8.max_u(largest, i16x8.max_u(a, b));
      low = i32x4.add(low, i32x4.dot_i16x8_s(a, ones));
      high = i32x4.add(high, i32x4.dot_i16x8_s(b, ones));
    }
    v128.store(sums, low);
    v128.store(sums, high, 16);
  }
  return largest;
}

/**
 * The largest sum Σ|w| that a row of integer weights has, or −1 if a weight is larger than the format allows
 * (INTEGER_LIMIT), with which int16 does not hold the sums of Strassen's product.
 *
 * @param weight record of a matrix with steps
 */
export function largestRowSum(weight: usize): i32 {
  const k = columnsOf(weight);
  let largest = i16x8.splat(0);
  let largestSum = 0;
  for (let strip = 0, strips = stripsOf(weight); strip < strips; strip++) {
    memory.fill(ROW_SUMS, 0, TILE_ROWS * 4);
    for (let column = 0; column < k; column += BLOCK_COLUMNS) {
      const columns = expandBlock(weight, strip, column);
      clearPadding(k - column, columns);
      largest = addMagnitudes(columns, largest);
    }
    for (let row = 0; row < TILE_ROWS * 4; row += 4) largestSum = max(largestSum, load<i32>(ROW_SUMS + <usize>row));
  }
  return v128.any_true(i16x8.gt_u(largest, i16x8.splat(<i16>INTEGER_LIMIT))) ? -1 : largestSum;
}
