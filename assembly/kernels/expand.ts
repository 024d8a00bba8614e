// Weights with a step for each group of columns as plain integers: where a few of them are wanted, and not a product.

import { BLOCK_COLUMNS, GROUP_STRIPS, KIND_FOUR_BIT, TILE_ROWS } from "../abi";
import { pointer } from "../descriptor";
import { GROUP_COLUMNS } from "../four-bit";
import { REGION_PANEL } from "../regions";
import { columnsOf, kindOf, padded, stepsOf, stripsOf, valuesOf } from "../tensor";
import { expand16, halfBytes4 } from "./dot4";
import { expandSteps16 } from "./dot8-steps";

/**
 * The 16 rows of a strip from `column` on, as far as the block of columns goes, as int16 in REGION_PANEL:
 * [2][columns/2][8 rows][2 columns].
 *
 * @param weight record of a matrix with steps
 * @param column a multiple of BLOCK_COLUMNS
 * @returns how many columns
 */
export function expandBlock(weight: usize, strip: i32, column: i32): i32 {
  const k = padded(columnsOf(weight));
  const columns = min(BLOCK_COLUMNS, k - column);
  const isFourBit = kindOf(weight) == KIND_FOUR_BIT;
  // Four-bit strips are stored in pairs.
  const all = isFourBit ? (stripsOf(weight) + 1) & ~1 : stripsOf(weight);
  const start = strip & ~(GROUP_STRIPS - 1);
  const strips = min(GROUP_STRIPS, all - start);
  const s = strip - start;
  const planeBytes = isFourBit ? halfBytes4(k) >> 1 : (<usize>k) << 3;
  const base = valuesOf(weight) + 2 * (<usize>start) * planeBytes;
  const plane = (<usize>strips) * planeBytes;
  const panel = pointer(REGION_PANEL);
  if (isFourBit) {
    const before = halfBytes4(column) * <usize>(strips >> 1) + halfBytes4(columns) * <usize>(s >> 1);
    expand16(base + before + (s & 1 ? plane : 0), columns, panel);
  } else {
    const before = ((<usize>column) * <usize>strips + (<usize>columns) * <usize>s) << 3;
    const groups = strip * ((k + GROUP_COLUMNS - 1) / GROUP_COLUMNS) + column / GROUP_COLUMNS;
    expandSteps16(base + before, plane, stepsOf(weight) + (<usize>groups) * TILE_ROWS, columns, panel);
  }
  return columns;
}

/** Where REGION_PANEL has a weight of row `row` of a strip. */
@inline
export function panelPlace(columns: i32, row: i32, column: i32): usize {
  const half = row & 8 ? columns << 3 : 0;
  return pointer(REGION_PANEL) + ((<usize>(half + ((column >> 1) << 4) + ((row & 7) << 1) + (column & 1))) << 1);
}
