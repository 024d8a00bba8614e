// Strassen's product (1969) for many rows: seven multiplications where the definition of a matrix product takes eight.
//
// In floating point it costs accuracy. Here every sum is an exact integer modulo 2^32, so that it gives the very
// bits of the direct way: prefill of 128 tokens 1.09x.
//
// A is a strip of weights within a block of columns, B the activations of a group of 8 rows. A is halved by planes
// (abi.ts) and columns, B by columns and rows, their product C by planes and rows:
//
//   M1 = (A11 + A22) · (B11 − B22)
//   M2 = (A21 + A22) ·  B11
//   M3 =  A11        · (B12 − B22)        C11 = M1 + M4 + M5 + M7
//   M4 =  A22        · (B21 − B11)        C12 = M3 + M5
//   M5 = (A11 + A12) ·  B22               C21 = M2 + M4
//   M6 = (A11 − A21) · (B11 − B12)        C22 = M2 + M3 + M6 − M1
//   M7 = (A12 − A22) · (B21 − B22)
//
// These are Strassen's with the signs of the second half's rows turned, so that activations are only subtracted
// from each other: GPT-2's few large activations have the same sign in every row, and their differences are small.
//
// A factor of weights has 9 bits, so it is widened to int16, once for all rows. A factor of activations may need 17.
// Then it is saturated, and what it lacks, its rest, is multiplied apart. That is seldom: with K = 768 the amplitude
// rule (quantize.ts) leaves a third of int16 free, past K = 1032 half of it.

import { BLOCK_COLUMNS, M_QUANTIZED_STRIDE, STRASSEN_COLUMNS, STRASSEN_RESTS } from "../abi";
import { pointer } from "../descriptor";
import {
  REGION_QUANTIZED,
  REGION_STRASSEN,
  STRASSEN_LIST_HEAD,
  STRASSEN_PRODUCTS,
  STRASSEN_WEIGHT_BYTES,
  strassenTileBytes,
} from "../regions";
import { add8, addSigned8, dot8x4 } from "./dot8";

/** Rows of a group: two halves of four. */
export const GROUP_ROWS = 8;
/** Fewer rows do not repay the widening of the weights: 24 are 0.97x, 32 are 1.02x, 40 are 1.04x. */
const LEAST_ROWS = 32;
const PRODUCTS: usize = STRASSEN_PRODUCTS;

// REGION_STRASSEN has the weights' factors of one strip and one block of columns, int16 [7, columns/4][8 rows][2 columns],
// then the activations' factors of all blocks, [7, groups] tiles each. A tile:
//
//   int16 [4 rows, columns/2] │ how many rests, 16 bytes │ int32 [RESTS, 2]: 4 · pair of columns + row, two int16 rests
const RESTS: usize = STRASSEN_LIST_HEAD;

@inline
function tileBytes(columns: i32): usize {
  return <usize>strassenTileBytes(columns);
}

/** Bytes of the activations' factors of one block of columns. */
@inline
export function blockBytes(columns: i32, groups: i32): usize {
  return PRODUCTS * tileBytes(columns) * <usize>groups;
}

/** Where the activations' factors of the first block of columns are. */
@inline
export function activationFactors(): usize {
  return pointer(REGION_STRASSEN) + STRASSEN_WEIGHT_BYTES;
}

/** Notes which of four pairs of columns have a rest. */
function addRests(list: usize, row: i32, pair: i32, rests: v128): void {
  for (let i = 0; i < 4; i++, rests = i8x16.shuffle(rests, rests, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3)) {
    const rest = i32x4.extract_lane(rests, 0);
    if (!rest) continue;
    const count = load<i32>(list);
    store<i32>(list, count + 1);
    if (count >= STRASSEN_RESTS) continue;
    const entry = list + RESTS + ((<usize>count) << 3);
    store<i32>(entry, ((pair + i) << 2) + row);
    store<i32>(entry, rest, 4);
  }
}

/** x − y of 8 columns of a row; what int16 cannot hold goes into the list. */
@inline
function subtract(x: v128, y: v128, at: usize, list: usize, row: i32, pair: i32): void {
  const saturated = i16x8.sub_sat_s(x, y);
  v128.store(at, saturated);
  const rests = i16x8.sub(i16x8.sub(x, y), saturated);
  if (v128.any_true(rests)) addRests(list, row, pair, rests);
}

/**
 * The seven activations' factors of a group of 8 rows within a block of columns.
 *
 * @param x int16 [8, columns], rows `stride` bytes apart
 * @param tile of the first factor; `product` bytes from there to the next
 * @returns whether the rests had room
 */
function combineActivations(x: usize, stride: usize, columns: i32, tile: usize, product: usize): bool {
  const list = tile + ((<usize>columns) << 2);
  for (let i: usize = 0; i < PRODUCTS; i++) store<i32>(list + i * product, 0);
  let at = tile;
  for (let row = 0; row < 4; row++, x += stride) {
    const second = x + (stride << 2);
    for (let pair = 0; pair < columns >> 2; pair += 4, at += 16) {
      const k = (<usize>pair) << 2;
      const b11 = v128.load(x + k);
      const b12 = v128.load(second + k);
      const b21 = v128.load(x + k + columns);
      const b22 = v128.load(second + k + columns);
      subtract(b11, b22, at, list, row, pair);
      v128.store(at + product, b11);
      subtract(b12, b22, at + 2 * product, list + 2 * product, row, pair);
      subtract(b21, b11, at + 3 * product, list + 3 * product, row, pair);
      v128.store(at + 4 * product, b22);
      subtract(b11, b12, at + 5 * product, list + 5 * product, row, pair);
      subtract(b21, b22, at + 6 * product, list + 6 * product, row, pair);
    }
  }
  for (let i: usize = 0; i < PRODUCTS; i++) if (load<i32>(list + i * product) > STRASSEN_RESTS) return false;
  return true;
}

/**
 * Makes the activations' factors of the quantized rows 0 … rows−1.
 *
 * @returns groups of 8 rows that multiplyGroups() can take: 0 where it would not be faster, or has no room for rests
 */
export function prepareGroups(k: i32, rows: i32): i32 {
  if (rows < LEAST_ROWS || k < STRASSEN_COLUMNS) return 0;
  const groups = rows / GROUP_ROWS;
  const stride = pointer(M_QUANTIZED_STRIDE);
  let tile = activationFactors();
  for (let column = 0; column < k; column += BLOCK_COLUMNS) {
    const columns = min(BLOCK_COLUMNS, k - column);
    const product = tileBytes(columns) * <usize>groups;
    let x = pointer(REGION_QUANTIZED) + ((<usize>column) << 1);
    for (let g = 0; g < groups; g++, x += stride * GROUP_ROWS)
      if (!combineActivations(x, stride, columns, tile + tileBytes(columns) * <usize>g, product)) return 0;
    tile += blockBytes(columns, groups);
  }
  return groups;
}

/** Masks of the even bytes, and the sign that the packing flipped in them. */
const EVEN: usize = memory.data<u16>([255, 255, 255, 255, 255, 255, 255, 255, 128, 128, 128, 128, 128, 128, 128, 128], 16);

/** The seven factors of one vector of weights of each part of A; factors `bytes` apart. */
@inline
function storeFactors(at: usize, bytes: usize, a11: v128, a12: v128, a21: v128, a22: v128): void {
  v128.store(at, i16x8.add(a11, a22));
  v128.store(at + bytes, i16x8.add(a21, a22));
  v128.store(at + 2 * bytes, a11);
  v128.store(at + 3 * bytes, a22);
  v128.store(at + 4 * bytes, i16x8.add(a11, a12));
  v128.store(at + 5 * bytes, i16x8.sub(a11, a21));
  v128.store(at + 6 * bytes, i16x8.sub(a12, a22));
}

/** Makes the weights' factors of one strip and one block of columns: of 16 bytes the even ones, then the odd ones. */
function combineWeights(w: usize, plane: usize, columns: i32): void {
  const half = (<usize>columns) << 2;
  const bytes = (<usize>columns) << 3;
  const mask = v128.load(EVEN);
  const flip = v128.load(EVEN, 16);
  let at = pointer(REGION_STRASSEN);
  for (const end = w + half; w < end; w += 16, at += 32) {
    const w11 = v128.load(w);
    const w12 = v128.load(w + half);
    const w21 = v128.load(w + plane);
    const w22 = v128.load(w + plane + half);
    storeFactors(
      at, bytes, i16x8.sub(v128.and(w11, mask), flip), i16x8.sub(v128.and(w12, mask), flip),
      i16x8.sub(v128.and(w21, mask), flip), i16x8.sub(v128.and(w22, mask), flip),
    );
    storeFactors(at + 16, bytes, i16x8.shr_s(w11, 8), i16x8.shr_s(w12, 8), i16x8.shr_s(w21, 8), i16x8.shr_s(w22, 8));
  }
}

/** The same from weights that are int16 already: [2 halves of 8 rows][columns/2][8 rows][2 columns]. */
function combinePanel(panel: usize, columns: i32): void {
  const bytes = (<usize>columns) << 3;
  const half = bytes << 1;
  let at = pointer(REGION_STRASSEN);
  for (const end = panel + bytes; panel < end; panel += 16, at += 16)
    storeFactors(
      at, bytes, v128.load(panel), v128.load(panel + bytes), v128.load(panel + half), v128.load(panel + half + bytes),
    );
}

/** What the saturated activations of a tile lack. */
function multiplyRests(w: usize, columns: i32, entry: usize, rests: i32, first: usize, second: usize, sign: i32): void {
  for (const end = entry + ((<usize>rests) << 3); entry < end; entry += 8) {
    const place = <usize>load<i32>(entry);
    const from = w + ((place >> 2) << 5);
    const row = (place & 3) << 6;
    const x = v128.load_splat<i32>(entry, 4);
    const low = i32x4.dot_i16x8_s(v128.load(from), x);
    const high = i32x4.dot_i16x8_s(v128.load(from, 16), x);
    add8(first + row, low, high);
    if (second) addSigned8(second + row, low, high, i32x4.splat(sign));
  }
}

// Quadrants of C, int32 [8 rows, 16], in bytes; and which of them take a product.
const C11 = 0;
const C12 = 4 * 64;
const C21 = 32;
const C22 = 4 * 64 + 32;
const NONE = -1;
const GROUP_BYTES: usize = GROUP_ROWS * 64;
const FIRST: usize = memory.data<i32>([C11, C21, C12, C11, C11, C22, C11], 4);
const SECOND: usize = memory.data<i32>([C22, C22, C22, C21, C12, NONE, NONE], 4);

/**
 * target[row, :] += weights · x[row] for one strip, one block of columns and the rows of `groups` groups.
 *
 * @param w first plane of the strip, packed int8
 * @param plane bytes from there to the second
 * @param tile the block's factors that prepareGroups() made
 * @param target int32 [rows, 16]
 */
export function multiplyGroups(w: usize, plane: usize, columns: i32, tile: usize, groups: i32, target: usize): void {
  combineWeights(w, plane, columns);
  multiplyFactors(columns, tile, groups, target, w + ((<usize>columns) << 3), plane);
}

/**
 * The same for 16 rows of weights that are int16 already.
 *
 * @param panel int16 [2 halves of 8 rows][columns/2][8 rows][2 columns]
 * @param next what is read next
 */
export function multiplyPanel(panel: usize, columns: i32, tile: usize, groups: i32, target: usize, next: usize): void {
  combinePanel(panel, columns);
  multiplyFactors(columns, tile, groups, target, next, 0);
}

/**
 * The seven products of the weights' factors and the activations'.
 *
 * Between the tiles it reads a little of the strip that comes `next` in memory, so that the processor goes on fetching
 * while it multiplies: 1.03x. After the last strip that is whatever follows the weights in the arena.
 */
function multiplyFactors(columns: i32, tile: usize, groups: i32, target: usize, next: usize, plane: usize): void {
  const list = (<usize>columns) << 2;
  const bytes = tileBytes(columns);
  let factor = pointer(REGION_STRASSEN);
  let seen = 0;
  for (let i: usize = 0; i < PRODUCTS; i++) {
    let first = target + <usize>load<i32>(FIRST + (i << 2));
    const other = load<i32>(SECOND + (i << 2));
    let second: usize = other == NONE ? 0 : target + <usize>other;
    const sign = i == 0 ? -1 : 0;
    for (let g = 0; g < groups; g++) {
      seen |= load<i32>(next) | load<i32>(next, 64) | load<i32>(next + plane) | load<i32>(next + plane, 64);
      next += 128;
      dot8x4(factor, tile, columns, columns >> 1, first, second, sign);
      const rests = load<i32>(tile + list);
      if (rests) multiplyRests(factor, columns, tile + list + RESTS, rests, first, second, sign);
      tile += bytes;
      first += GROUP_BYTES;
      if (second) second += GROUP_BYTES;
    }
    factor += (<usize>columns) << 3;
  }
  // What was read is stored, because the compiler would leave the loads out otherwise.
  store<i32>(pointer(REGION_STRASSEN), seen);
}
