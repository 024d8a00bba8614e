import { TILE_PAD_K, TILE_ROWS } from "../../assembly/abi.ts";
import { alignUp } from "../manifest.ts";

/** Flips the sign bit of the even bytes: value + 128, unsigned (assembly/abi.ts). */
const EVEN_FLIP = 0x80;

/** Byte of row `j` (0–15) of a group of 16 rows and column `k`, counted from the group's first byte. */
function tileByte(j: number, k: number): number {
  return (k >> 1) * 32 + (j >> 3) * 16 + (j & 3) * 4 + (k & 1) * 2 + ((j >> 2) & 1);
}

/** Bytes of a packed [rows, columns] matrix, padding included. */
export function packedBytes(rows: number, columns: number): number {
  return alignUp(rows, TILE_ROWS) * alignUp(columns, TILE_PAD_K);
}

/**
 * Packs an int8 matrix into the tiles that the kernels read (`tile16x2`, drawn in assembly/abi.ts). Rows and
 * columns of the padding have the value 0.
 *
 * A matrix may be packed in slices of rows, as long as each slice but the last is a multiple of 16 rows: the
 * slices' bytes follow one another.
 *
 * @param values row-major [rows, columns]
 */
export function packMatrix(values: Int8Array, rows: number, columns: number): Uint8Array {
  const groupBytes = alignUp(columns, TILE_PAD_K) * TILE_ROWS;
  const packed = new Uint8Array(packedBytes(rows, columns));
  // Value 0 in every place: 0x80 in the even bytes.
  for (let i = 0; i < packed.length; i += 2) packed[i] = EVEN_FLIP;
  for (let row = 0; row < rows; row++) {
    const j = row % TILE_ROWS;
    const group = ((row - j) / TILE_ROWS) * groupBytes;
    const flip = (j & 4) === 0 ? EVEN_FLIP : 0;
    const first = group + tileByte(j, 0);
    const second = group + tileByte(j, 1);
    const source = row * columns;
    for (let k = 0; k < columns; k++)
      packed[((k & 1) === 0 ? first : second) + (k >> 1) * 32] = (values[source + k] as number) ^ flip;
  }
  return packed;
}

/** The inverse of `packMatrix`: row-major int8 [rows, columns], padding dropped. */
export function unpackMatrix(packed: Uint8Array, rows: number, columns: number): Int8Array {
  const groupBytes = alignUp(columns, TILE_PAD_K) * TILE_ROWS;
  const values = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const j = row % TILE_ROWS;
    const group = ((row - j) / TILE_ROWS) * groupBytes;
    const flip = (j & 4) === 0 ? EVEN_FLIP : 0;
    for (let k = 0; k < columns; k++)
      values[row * columns + k] = (packed[group + tileByte(j, k)] as number) ^ flip;
  }
  return values;
}
