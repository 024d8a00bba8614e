// How a matrix of four-bit weights lies in memory. AssemblyScript and TypeScript both compile this file, so it holds
// nothing but integer constants.
//
// A weight is an integer s · u + z: u is its code, 0 to 15; the step s and the offset z belong to a group of 32
// columns of one row, 0 ≤ s ≤ 255, and |z| ≤ 2047 and |15 · s + z| ≤ 2047, so that every weight fits 12 bits. The row
// has one float32 scale besides, as an int8 row has.
//
// A matrix [N, K] (N padded to a multiple of 32, K to a multiple of 16) is stored in strips of 32 rows, and each strip
// as two halves of 16 rows. A half holds its columns group by group. A group has 16 bytes for each two columns: eight
// 16-bit lanes, each with the codes of four rows. Then come the steps and the offsets of its 16 rows.
//
//   16 bytes, columns k and k+1, rows r … r+15 of the half
//        ┌───────────────┬───────────────┬───────────────┬─ ─┬───────────────┐
//        │ lane 0        │ lane 1        │ lane 2        │ … │ lane 7        │
//        │ rows +0 4 8 12│ rows +0 4 8 12│ rows +1 5 9 13│   │ rows +3 7 11 15
//        │ column k      │ column k+1    │ column k      │   │ column k+1    │
//        └───────────────┴───────────────┴───────────────┴─ ─┴───────────────┘
//   a lane, 16 bits      15…12     11…8      7…4       3…0
//                      ┌─────────┬─────────┬─────────┬─────────┐
//                      │ u − 8 of│ u of    │ u of    │ u of    │
//                      │ row +12 │ row +8  │ row +4  │ row +0  │     the highest code is signed
//                      └─────────┴─────────┴─────────┴─────────┘
//
//   a group       256 bytes (128 where only 16 columns are left)  16 bytes          32 bytes
//        ┌────────────────────────────────────────────────────┬─────────────────┬────────────────────────┐
//        │ columns 0 1 │ columns 2 3 │ …      │ columns 30 31 │ steps uint8[16] │ offsets int16[16]      │
//        └────────────────────────────────────────────────────┴─────────────────┴────────────────────────┘
//                                                              rows +0 … +15; rows +12 … +15 hold z + 8 · s,
//                                                              because their codes are stored as u − 8
//
// 304 bytes for 512 weights: 4.75 bits each. assembly/kernels/dot4.ts says how they are multiplied.
//
// Groups of strips, planes and blocks of columns are those of the int8 packing (abi.ts), with other sizes: the strips
// of a group, FOUR_BIT_GROUP_STRIPS of them or what is left, make two planes, first the first halves of all of them
// one after another, then the second halves; a plane has the first BLOCK_COLUMNS columns of all its strips, then the
// second of all of them, and so on. The kernel reads both planes side by side.

/** Columns that share a step (and an offset, in four bits). */
export const GROUP_COLUMNS = 32;
/** Rows of a strip; N is padded to a multiple of this. */
export const FOUR_BIT_TILE_ROWS = 32;
/** Strips of a group at most: as many rows as a group of int8 strips has. */
export const FOUR_BIT_GROUP_STRIPS = 256;
/** Bytes of a group's steps and offsets in half a strip. */
export const FOUR_BIT_STEP_BYTES = 48;
/** Largest step, of any kind that has steps. */
export const STEP_LIMIT = 255;
/** Largest magnitude of a weight that has a step, in four bits s · u + z whatever the code is. */
export const INTEGER_LIMIT = 2047;
/**
 * From this many rows of activations on, weights are expanded to int16 first. From memory, 8 rows are 1.25 times as fast
 * without, 12 rows 1.1 times, 16 rows equally fast.
 */
export const EXPANDED_ROWS = 16;
