import { BLOCK_COLUMNS, GROUP_STRIPS, TILE_PAD_K, TILE_ROWS } from "../../../assembly/abi.ts";
import { alignUp, padded } from "../../format/align.ts";

/** Flips the sign bit of the even bytes: value + 128, unsigned (assembly/abi.ts). */
const EVEN_FLIP = 0x80;
/** Rows of half a strip, which are neighbours in a plane. */
const HALF_ROWS = TILE_ROWS / 2;

/** Bytes of a packed [rows, columns] matrix, padding included. */
export function packedBytes(rows: number, columns: number): number {
  return alignUp(rows, TILE_ROWS) * alignUp(columns, TILE_PAD_K);
}

/** A matrix may be packed in slices of rows if each but the last is a multiple of this many. */
export const SLICE_ROWS = TILE_ROWS * GROUP_STRIPS;

/** Calls `visit` with a row's blocks of columns: the first column, the one after the last, the first byte. */
function eachBlock(
  rows: number,
  columns: number,
  row: number,
  visit: (first: number, end: number, byte: number) => void,
): void {
  const padded = alignUp(columns, TILE_PAD_K);
  const strips = alignUp(rows, TILE_ROWS) / TILE_ROWS;
  const j = row % TILE_ROWS;
  const strip = (row - j) / TILE_ROWS;
  const start = strip - (strip % GROUP_STRIPS);
  const group = Math.min(GROUP_STRIPS, strips - start);
  const plane = TILE_ROWS * start * padded + (j >= HALF_ROWS ? HALF_ROWS * group * padded : 0);
  for (let first = 0; first < columns; first += BLOCK_COLUMNS) {
    const width = Math.min(BLOCK_COLUMNS, padded - first);
    const half = plane + HALF_ROWS * (group * first + (strip - start) * width);
    visit(first, Math.min(first + width, columns), half + (j & 3) * 4 + ((j >> 2) & 1));
  }
}

/**
 * Packs an int8 matrix into the planes that the kernels read (`plane8x768`, drawn in assembly/abi.ts). Rows and
 * columns of the padding have the value 0. Slices of SLICE_ROWS rows, packed alone, follow one another.
 *
 * @param values row-major [rows, columns]
 */
export function packMatrix(values: Int8Array, rows: number, columns: number): Uint8Array {
  const packed = new Uint8Array(packedBytes(rows, columns));
  // Value 0 in every place: 0x80 in the even bytes.
  for (let i = 0; i < packed.length; i += 2) packed[i] = EVEN_FLIP;
  for (let row = 0; row < rows; row++) {
    const flip = (row & 4) === 0 ? EVEN_FLIP : 0;
    eachBlock(rows, columns, row, (first, end, byte) => {
      for (let k = first; k < end; k++)
        packed[byte + ((k - first) >> 1) * 16 + (k & 1) * 2] = (values[row * columns + k] as number) ^ flip;
    });
  }
  return packed;
}

/** The inverse of `packMatrix`: row-major int8 [rows, columns], padding dropped. */
export function unpackMatrix(packed: Uint8Array, rows: number, columns: number): Int8Array {
  const values = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const flip = (row & 4) === 0 ? EVEN_FLIP : 0;
    eachBlock(rows, columns, row, (first, end, byte) => {
      for (let k = first; k < end; k++)
        values[row * columns + k] = (packed[byte + ((k - first) >> 1) * 16 + (k & 1) * 2] as number) ^ flip;
    });
  }
  return values;
}

/**
 * The steps of an int8 matrix' groups of columns as the kernels read them, [strips][groups][16 rows]; the padding's are
 * 0. Slices of whole strips, packed alone, follow one another.
 *
 * @param steps row-major [rows, groups]
 */
export function packSteps(steps: Uint8Array, rows: number, groups: number): Uint8Array {
  const packed = new Uint8Array(padded(rows) * groups);
  for (let row = 0; row < rows; row++)
    for (let group = 0; group < groups; group++)
      packed[(row - (row % TILE_ROWS)) * groups + group * TILE_ROWS + (row % TILE_ROWS)] = steps[
        row * groups + group
      ] as number;
  return packed;
}
