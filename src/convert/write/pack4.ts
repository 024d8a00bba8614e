import { BLOCK_COLUMNS, TILE_PAD_K } from "../../../assembly/abi.ts";
import {
  FOUR_BIT_GROUP_STRIPS,
  FOUR_BIT_STEP_BYTES,
  FOUR_BIT_TILE_ROWS,
  GROUP_COLUMNS,
} from "../../../assembly/four-bit.ts";
import { alignUp } from "../../format/align.ts";
import { type FourBitRows, groupsOf } from "../quantize/codes.ts";

/** Rows of half a strip, which are neighbours in a plane. */
const HALF_ROWS = FOUR_BIT_TILE_ROWS / 2;
/** Bytes of two columns of half a strip. */
const PAIR_BYTES = 16;

/** Bytes of half a strip of `columns` columns, which are a multiple of 16. */
function halfBytes(columns: number): number {
  return (columns / 2) * PAIR_BYTES + groupsOf(columns) * FOUR_BIT_STEP_BYTES;
}

/** Bytes of a packed [rows, columns] matrix in four bits, padding included. */
export function packedBytes4(rows: number, columns: number): number {
  return (alignUp(rows, FOUR_BIT_TILE_ROWS) / HALF_ROWS) * halfBytes(alignUp(columns, TILE_PAD_K));
}

/** A matrix may be packed in slices of rows if each but the last is a multiple of this many. */
export const SLICE_ROWS_4 = FOUR_BIT_TILE_ROWS * FOUR_BIT_GROUP_STRIPS;

/** Calls `visit` with each group of a row: its number, the first byte of its columns, and that of its steps. */
function eachGroup(
  rows: number,
  columns: number,
  row: number,
  visit: (group: number, codes: number, steps: number) => void,
): void {
  const padded = alignUp(columns, TILE_PAD_K);
  const strips = alignUp(rows, FOUR_BIT_TILE_ROWS) / FOUR_BIT_TILE_ROWS;
  const strip = Math.floor(row / FOUR_BIT_TILE_ROWS);
  const start = strip - (strip % FOUR_BIT_GROUP_STRIPS);
  const count = Math.min(FOUR_BIT_GROUP_STRIPS, strips - start);
  const second = row % FOUR_BIT_TILE_ROWS >= HALF_ROWS;
  const plane = halfBytes(padded) * (2 * start + (second ? count : 0));
  for (let first = 0; first < columns; first += BLOCK_COLUMNS) {
    const width = Math.min(BLOCK_COLUMNS, padded - first);
    let at = plane + halfBytes(first) * count + halfBytes(width) * (strip - start);
    for (let column = first; column < Math.min(first + width, columns); column += GROUP_COLUMNS) {
      const end = at + (Math.min(GROUP_COLUMNS, first + width - column) / 2) * PAIR_BYTES;
      visit(column / GROUP_COLUMNS, at, end);
      at = end + FOUR_BIT_STEP_BYTES;
    }
  }
}

/** Where a row's codes are within the 16 bytes of two columns: the byte of the first column, and the bits. */
function placeOf(row: number): { byte: number; shift: number; sign: number } {
  const j = row % HALF_ROWS;
  // Of the lane's two bytes the first has rows +0 and +4, the second +8 and +12.
  return { byte: (j % 4) * 4 + (j >> 3), shift: j & 4, sign: j >= 12 ? 8 : 0 };
}

/**
 * Packs a matrix in four bits as the kernels read it (drawn in assembly/four-bit.ts). Rows and columns of the padding
 * weigh nothing. Slices of SLICE_ROWS_4 rows, packed alone, follow one another.
 */
export function packFourBit(
  quantized: Omit<FourBitRows, "scales">,
  rows: number,
  columns: number,
): Uint8Array {
  const { codes, steps, offsets } = quantized;
  const packed = new Uint8Array(packedBytes4(rows, columns));
  const view = new DataView(packed.buffer);
  const groups = groupsOf(columns);
  for (let row = 0; row < rows; row++) {
    const { byte, shift, sign } = placeOf(row);
    const j = row % HALF_ROWS;
    eachGroup(rows, columns, row, (group, at, end) => {
      const first = group * GROUP_COLUMNS;
      const count = Math.min(GROUP_COLUMNS, columns - first);
      for (let c = 0; c < count; c++) {
        const place = at + (c >> 1) * PAIR_BYTES + (c & 1) * 2 + byte;
        packed[place] =
          (packed[place] as number) | (((codes[row * columns + first + c] as number) ^ sign) << shift);
      }
      const step = steps[row * groups + group] as number;
      packed[end + j] = step;
      view.setInt16(end + HALF_ROWS + 2 * j, (offsets[row * groups + group] as number) + sign * step, true);
    });
  }
  return packed;
}

/** The inverse of `packFourBit`, padding dropped. */
export function unpackFourBit(
  packed: Uint8Array,
  rows: number,
  columns: number,
): Omit<FourBitRows, "scales"> {
  const groups = groupsOf(columns);
  const codes = new Uint8Array(rows * columns);
  const steps = new Uint8Array(rows * groups);
  const offsets = new Int16Array(rows * groups);
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let row = 0; row < rows; row++) {
    const { byte, shift, sign } = placeOf(row);
    const j = row % HALF_ROWS;
    eachGroup(rows, columns, row, (group, at, end) => {
      const first = group * GROUP_COLUMNS;
      const count = Math.min(GROUP_COLUMNS, columns - first);
      for (let c = 0; c < count; c++) {
        const place = at + (c >> 1) * PAIR_BYTES + (c & 1) * 2 + byte;
        codes[row * columns + first + c] = (((packed[place] as number) >> shift) & 15) ^ sign;
      }
      const step = packed[end + j] as number;
      steps[row * groups + group] = step;
      offsets[row * groups + group] = view.getInt16(end + HALF_ROWS + 2 * j, true) - sign * step;
    });
  }
  return { codes, steps, offsets };
}
