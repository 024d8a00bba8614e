// The multiply-adds for int8 codes with a step for each group of 32 columns: int16 activations × step · code, exact in
// int32. The codes are packed as int8 weights are (abi.ts) and multiplied as those are (dot8.ts); where a group ends,
// its sums are multiplied with the rows' steps. The sum over all columns fits int32 by the amplitude rule (quantize.ts).
//
// The steps are a matrix of their own, uint8 [strips][groups][16 rows]: 3 % of the bytes.
//
//   steps ┌──────────────────────┬──────────────────────┬─ ─┬──────────────────────┬─ ─
//         │ strip 0, columns 0…31│ strip 0, columns 32…63│ … │ strip 1, columns 0…31│ …
//         │ row 0 │ row 1 │ … 15 │                      │   │                      │
//         └──────────────────────┴──────────────────────┴─ ─┴──────────────────────┴─ ─

import { GROUP_COLUMNS } from "../four-bit";
import { multiplyAdd } from "./dot8";

const GROUP: usize = GROUP_COLUMNS * 2;

/** target[0 … 3] += steps · sums, for four rows. */
@inline
function add4(target: usize, sums: v128, steps: v128): void {
  v128.store(target, i32x4.add(v128.load(target), i32x4.mul(sums, steps)));
}

/** The end of a group: target[0 … 15] += its 16 rows; `offset` = 128 · Σx. */
@inline
function addGroup(target: usize, steps: usize, offset: v128, d0: v128, b0: v128, d1: v128, b1: v128): void {
  const low = v128.load8x8_u(steps);
  add4(target, i32x4.sub(i32x4.sub(d0, i32x4.shl(b0, 8)), offset), i32x4.extend_low_i16x8_u(low));
  add4(target + 16, b0, i32x4.extend_high_i16x8_u(low));
  const high = v128.load8x8_u(steps, 8);
  add4(target + 32, i32x4.sub(i32x4.sub(d1, i32x4.shl(b1, 8)), offset), i32x4.extend_low_i16x8_u(high));
  add4(target + 48, b1, i32x4.extend_high_i16x8_u(high));
}

/**
 * One row of activations × `strips` strips that follow one another within a block of columns.
 *
 * @param w first plane of the strips
 * @param plane bytes from there to the second
 * @param steps of the first strip's first group; strips `stepsStride` bytes apart
 * @param x int16 [columns], a multiple of 16
 * @param groupSums Σx of each group
 * @param target int32 [strips, 16], `targetStride` bytes apart; added to
 */
export function dotSteps16x1(
  w: usize,
  plane: usize,
  steps: usize,
  stepsStride: usize,
  x: usize,
  groupSums: usize,
  columns: i32,
  strips: i32,
  target: usize,
  targetStride: usize,
): void {
  let w2 = w + plane;
  const end = x + ((<usize>columns) << 1);
  for (let s = 0; s < strips; s++) {
    let from = x;
    let sum = groupSums;
    let step = steps;
    while (from < end) {
      let d0 = i32x4.splat(0);
      let b0 = i32x4.splat(0);
      let d1 = i32x4.splat(0);
      let b1 = i32x4.splat(0);
      const groupEnd = min(from + GROUP, end);
      while (from < groupEnd) {
        const x0 = v128.load_splat<i32>(from);
        const u0 = v128.load(w);
        const v0 = v128.load(w2);
        d0 = multiplyAdd(d0, u0, x0);
        b0 = multiplyAdd(b0, i16x8.shr_s(u0, 8), x0);
        d1 = multiplyAdd(d1, v0, x0);
        b1 = multiplyAdd(b1, i16x8.shr_s(v0, 8), x0);
        const x1 = v128.load_splat<i32>(from, 4);
        const u1 = v128.load(w, 16);
        const v1 = v128.load(w2, 16);
        d0 = multiplyAdd(d0, u1, x1);
        b0 = multiplyAdd(b0, i16x8.shr_s(u1, 8), x1);
        d1 = multiplyAdd(d1, v1, x1);
        b1 = multiplyAdd(b1, i16x8.shr_s(v1, 8), x1);
        if (from + 8 >= groupEnd) break;
        const x2 = v128.load_splat<i32>(from, 8);
        const u2 = v128.load(w, 32);
        const v2 = v128.load(w2, 32);
        d0 = multiplyAdd(d0, u2, x2);
        b0 = multiplyAdd(b0, i16x8.shr_s(u2, 8), x2);
        d1 = multiplyAdd(d1, v2, x2);
        b1 = multiplyAdd(b1, i16x8.shr_s(v2, 8), x2);
        const x3 = v128.load_splat<i32>(from, 12);
        const u3 = v128.load(w, 48);
        const v3 = v128.load(w2, 48);
        d0 = multiplyAdd(d0, u3, x3);
        b0 = multiplyAdd(b0, i16x8.shr_s(u3, 8), x3);
        d1 = multiplyAdd(d1, v3, x3);
        b1 = multiplyAdd(b1, i16x8.shr_s(v3, 8), x3);
        w += 64;
        w2 += 64;
        from += 16;
      }
      addGroup(target, step, i32x4.shl(v128.load_splat<i32>(sum), 7), d0, b0, d1, b1);
      sum += 4;
      step += 16;
    }
    steps += stepsStride;
    target += targetStride;
  }
}

/** Two rows of activations, `stride` bytes apart, their sums of groups `sumsStride`; target int32 [strips, 2, 16]. */
export function dotSteps16x2(
  w: usize,
  plane: usize,
  steps: usize,
  stepsStride: usize,
  x: usize,
  stride: usize,
  groupSums: usize,
  sumsStride: usize,
  columns: i32,
  strips: i32,
  target: usize,
  targetStride: usize,
): void {
  let w2 = w + plane;
  const end = x + ((<usize>columns) << 1);
  for (let s = 0; s < strips; s++) {
    let from = x;
    let y = x + stride;
    let sum = groupSums;
    let step = steps;
    while (from < end) {
      let dx0 = i32x4.splat(0);
      let bx0 = i32x4.splat(0);
      let dx1 = i32x4.splat(0);
      let bx1 = i32x4.splat(0);
      let dy0 = i32x4.splat(0);
      let by0 = i32x4.splat(0);
      let dy1 = i32x4.splat(0);
      let by1 = i32x4.splat(0);
      const groupEnd = min(from + GROUP, end);
      while (from < groupEnd) {
        const xs0 = v128.load_splat<i32>(from);
        const ys0 = v128.load_splat<i32>(y);
        const u0 = v128.load(w);
        const v0 = v128.load(w2);
        const uHigh0 = i16x8.shr_s(u0, 8);
        const vHigh0 = i16x8.shr_s(v0, 8);
        dx0 = multiplyAdd(dx0, u0, xs0);
        bx0 = multiplyAdd(bx0, uHigh0, xs0);
        dx1 = multiplyAdd(dx1, v0, xs0);
        bx1 = multiplyAdd(bx1, vHigh0, xs0);
        dy0 = multiplyAdd(dy0, u0, ys0);
        by0 = multiplyAdd(by0, uHigh0, ys0);
        dy1 = multiplyAdd(dy1, v0, ys0);
        by1 = multiplyAdd(by1, vHigh0, ys0);
        if (from + 4 >= groupEnd) break;
        const xs1 = v128.load_splat<i32>(from, 4);
        const ys1 = v128.load_splat<i32>(y, 4);
        const u1 = v128.load(w, 16);
        const v1 = v128.load(w2, 16);
        const uHigh1 = i16x8.shr_s(u1, 8);
        const vHigh1 = i16x8.shr_s(v1, 8);
        dx0 = multiplyAdd(dx0, u1, xs1);
        bx0 = multiplyAdd(bx0, uHigh1, xs1);
        dx1 = multiplyAdd(dx1, v1, xs1);
        bx1 = multiplyAdd(bx1, vHigh1, xs1);
        dy0 = multiplyAdd(dy0, u1, ys1);
        by0 = multiplyAdd(by0, uHigh1, ys1);
        dy1 = multiplyAdd(dy1, v1, ys1);
        by1 = multiplyAdd(by1, vHigh1, ys1);
        w += 32;
        w2 += 32;
        from += 8;
        y += 8;
      }
      addGroup(target, step, i32x4.shl(v128.load_splat<i32>(sum), 7), dx0, bx0, dx1, bx1);
      addGroup(target + 64, step, i32x4.shl(v128.load_splat<i32>(sum + sumsStride), 7), dy0, by0, dy1, by1);
      sum += 4;
      step += 16;
    }
    steps += stepsStride;
    target += targetStride;
  }
}

/** Masks of the even bytes, and the sign that the packing flipped in them. */
const EVEN: usize = memory.data<u16>([255, 255, 255, 255, 255, 255, 255, 255, 128, 128, 128, 128, 128, 128, 128, 128], 16);

/** Bytes 0 0 1 1 2 2 3 3 of eight lanes: a row's step for its two columns. */
@inline
function twiceLow(x: v128): v128 {
  return i8x16.shuffle(x, x, 0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7);
}

@inline
function twiceHigh(x: v128): v128 {
  return i8x16.shuffle(x, x, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 15, 14, 15);
}

/** One plane of expandSteps16. */
@inline
function expandPlane(w: usize, steps: usize, columns: i32, target: usize): void {
  const mask = v128.load(EVEN);
  const flip = v128.load(EVEN, 16);
  for (let column = 0; column < columns; column += GROUP_COLUMNS, steps += 16) {
    const step = v128.load8x8_u(steps);
    const even = twiceLow(step);
    const odd = twiceHigh(step);
    for (const end = w + ((<usize>min(GROUP_COLUMNS, columns - column)) << 3); w < end; w += 16, target += 32) {
      const lanes = v128.load(w);
      v128.store(target, i16x8.mul(even, i16x8.sub(v128.and(lanes, mask), flip)));
      v128.store(target, i16x8.mul(odd, i16x8.shr_s(lanes, 8)), 16);
    }
  }
}

/**
 * A strip's weights within a block of columns as int16, once for many rows of activations.
 *
 * @param w first plane of the strip
 * @param plane bytes from there to the second
 * @param steps of the strip's first group
 * @param target int16 [2][columns/2][8 rows][2 columns], as dot8x4 and Strassen's product take them
 */
export function expandSteps16(w: usize, plane: usize, steps: usize, columns: i32, target: usize): void {
  expandPlane(w, steps, columns, target);
  expandPlane(w + plane, steps + 8, columns, target + ((<usize>columns) << 4));
}
