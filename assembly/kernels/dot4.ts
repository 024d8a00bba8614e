// The multiply-adds for four-bit weights: int16 activations × codes with steps and offsets, exact in int32.
//
// A 16-bit lane L (four-bit.ts) holds the codes of four rows, L = 4096·n3 + 256·u2 + 16·u1 + u0, n3 = u3 − 8. The lane
// is not taken apart. It is multiplied as it is, and shifted right by 4, 8 and 12:
//
//   S0 = Σ x·L       S1 = Σ x·(L >> 4)      S2 = Σ x·(L >> 8)      S3 = Σ x·(L >> 12)
//
//   Σ x·n3 = S3      Σ x·u2 = S2 − 16·S3    Σ x·u1 = S1 − 16·S2    Σ x·u0 = S0 − 16·S1     (mod 2^32)
//
// because an arithmetic shift by 4 drops exactly the lowest code. At the end of a group each row's sum is multiplied
// with the step, and the offset with Σx of the group:
//
//   Σ x·(s·u + z) = s · Σ x·u + z · Σ x
//
// All of it modulo 2^32, which is enough: the sum over all columns fits int32 by the amplitude rule (quantize.ts).
//
// Per 32 weights that is three shifts, four multiply-adds and four additions, where int8 takes two, four and four. A
// group's end adds 40 vector instructions to 176. So four bits are slower where weights come from the cache (0.77 of
// int8 on an Intel Xeon, Node 20 and 24 alike), and faster where they come from memory (1.2 to 2, as memory is busy).

import { GROUP_COLUMNS, FOUR_BIT_STEP_BYTES } from "../four-bit";
import { multiplyAdd } from "./dot8";
import { sumLanesI32 } from "./math";

/** Bytes of a group's columns in the activations. */
const GROUP: usize = GROUP_COLUMNS * 2;

/** Bytes of half a strip within a block of columns. */
@inline
export function halfBytes4(columns: i32): usize {
  return ((<usize>columns) << 3) + <usize>((columns + GROUP_COLUMNS - 1) / GROUP_COLUMNS) * FOUR_BIT_STEP_BYTES;
}

/**
 * target[group] = Σx of each group of 32 columns, for one row.
 *
 * @param x int16 [columns], a multiple of 16
 * @param target int32 [groups]
 */
export function sumGroups(x: usize, columns: i32, target: usize): void {
  const ones = i16x8.splat(1);
  for (const end = x + ((<usize>columns) << 1); x < end; x += GROUP, target += 4) {
    let sum = i32x4.add(i32x4.dot_i16x8_s(v128.load(x), ones), i32x4.dot_i16x8_s(v128.load(x, 16), ones));
    if (x + 32 < end) {
      sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load(x, 32), ones));
      sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load(x, 48), ones));
    }
    store<i32>(target, sumLanesI32(sum));
  }
}

/** target[0 … 3] += steps · codes + offsets · sum, for four rows. */
@inline
function add4(target: usize, codes: v128, steps: v128, offsets: v128, sum: v128): void {
  v128.store(target, i32x4.add(v128.load(target), i32x4.add(i32x4.mul(codes, steps), i32x4.mul(offsets, sum))));
}

/** The end of a group: target[0 … 15] += its 16 rows. `w` points behind its codes. */
@inline
function addGroup(target: usize, w: usize, sum: v128, s0: v128, s1: v128, s2: v128, s3: v128): void {
  const low = v128.load8x8_u(w);
  add4(target, i32x4.sub(s0, i32x4.shl(s1, 4)), i32x4.extend_low_i16x8_u(low), v128.load16x4_s(w, 16), sum);
  add4(target + 16, i32x4.sub(s1, i32x4.shl(s2, 4)), i32x4.extend_high_i16x8_u(low), v128.load16x4_s(w, 24), sum);
  const high = v128.load8x8_u(w, 8);
  add4(target + 32, i32x4.sub(s2, i32x4.shl(s3, 4)), i32x4.extend_low_i16x8_u(high), v128.load16x4_s(w, 32), sum);
  add4(target + 48, s3, i32x4.extend_high_i16x8_u(high), v128.load16x4_s(w, 40), sum);
}

/**
 * One row of activations × `strips` strips that follow one another within a block of columns.
 *
 * Both planes go on with every 16 bytes, not with every group: each load then walks through one plane, which the
 * processor's prefetcher needs (1.3x to 1.6x from memory). A way out between the steps of a turn for the reasons that
 * dot8.ts gives.
 *
 * @param w first plane of the strips
 * @param plane bytes from there to the second
 * @param x int16 [columns], a multiple of 16
 * @param groupSums Σx of each group (sumGroups)
 * @param target int32 [2 · strips, 16], `targetStride` bytes apart; added to
 */
export function dot32x1(
  w: usize,
  plane: usize,
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
    while (from < end) {
      let s0 = i32x4.splat(0);
      let s1 = i32x4.splat(0);
      let s2 = i32x4.splat(0);
      let s3 = i32x4.splat(0);
      let t0 = i32x4.splat(0);
      let t1 = i32x4.splat(0);
      let t2 = i32x4.splat(0);
      let t3 = i32x4.splat(0);
      const groupEnd = min(from + GROUP, end);
      while (from < groupEnd) {
        const x0 = v128.load_splat<i32>(from);
        const u0 = v128.load(w);
        s0 = multiplyAdd(s0, u0, x0);
        s1 = multiplyAdd(s1, i16x8.shr_s(u0, 4), x0);
        s2 = multiplyAdd(s2, i16x8.shr_s(u0, 8), x0);
        s3 = multiplyAdd(s3, i16x8.shr_s(u0, 12), x0);
        const v0 = v128.load(w2);
        t0 = multiplyAdd(t0, v0, x0);
        t1 = multiplyAdd(t1, i16x8.shr_s(v0, 4), x0);
        t2 = multiplyAdd(t2, i16x8.shr_s(v0, 8), x0);
        t3 = multiplyAdd(t3, i16x8.shr_s(v0, 12), x0);
        if (from + 4 >= groupEnd) break;
        const x1 = v128.load_splat<i32>(from, 4);
        const u1 = v128.load(w, 16);
        s0 = multiplyAdd(s0, u1, x1);
        s1 = multiplyAdd(s1, i16x8.shr_s(u1, 4), x1);
        s2 = multiplyAdd(s2, i16x8.shr_s(u1, 8), x1);
        s3 = multiplyAdd(s3, i16x8.shr_s(u1, 12), x1);
        const v1 = v128.load(w2, 16);
        t0 = multiplyAdd(t0, v1, x1);
        t1 = multiplyAdd(t1, i16x8.shr_s(v1, 4), x1);
        t2 = multiplyAdd(t2, i16x8.shr_s(v1, 8), x1);
        t3 = multiplyAdd(t3, i16x8.shr_s(v1, 12), x1);
        if (from + 8 >= groupEnd) break;
        const x2 = v128.load_splat<i32>(from, 8);
        const u2 = v128.load(w, 32);
        s0 = multiplyAdd(s0, u2, x2);
        s1 = multiplyAdd(s1, i16x8.shr_s(u2, 4), x2);
        s2 = multiplyAdd(s2, i16x8.shr_s(u2, 8), x2);
        s3 = multiplyAdd(s3, i16x8.shr_s(u2, 12), x2);
        const v2 = v128.load(w2, 32);
        t0 = multiplyAdd(t0, v2, x2);
        t1 = multiplyAdd(t1, i16x8.shr_s(v2, 4), x2);
        t2 = multiplyAdd(t2, i16x8.shr_s(v2, 8), x2);
        t3 = multiplyAdd(t3, i16x8.shr_s(v2, 12), x2);
        if (from + 12 >= groupEnd) break;
        const x3 = v128.load_splat<i32>(from, 12);
        const u3 = v128.load(w, 48);
        s0 = multiplyAdd(s0, u3, x3);
        s1 = multiplyAdd(s1, i16x8.shr_s(u3, 4), x3);
        s2 = multiplyAdd(s2, i16x8.shr_s(u3, 8), x3);
        s3 = multiplyAdd(s3, i16x8.shr_s(u3, 12), x3);
        const v3 = v128.load(w2, 48);
        t0 = multiplyAdd(t0, v3, x3);
        t1 = multiplyAdd(t1, i16x8.shr_s(v3, 4), x3);
        t2 = multiplyAdd(t2, i16x8.shr_s(v3, 8), x3);
        t3 = multiplyAdd(t3, i16x8.shr_s(v3, 12), x3);
        w += 64;
        w2 += 64;
        from += 16;
      }
      const sums = v128.load_splat<i32>(sum);
      addGroup(target, w, sums, s0, s1, s2, s3);
      addGroup(target + targetStride, w2, sums, t0, t1, t2, t3);
      w += FOUR_BIT_STEP_BYTES;
      w2 += FOUR_BIT_STEP_BYTES;
      sum += 4;
    }
    target += targetStride << 1;
  }
}

/** The end of a group for two rows of activations, 64 bytes apart in `target`: steps and offsets are loaded once. */
@inline
function addGroups(
  target: usize, w: usize, sumX: v128, sumY: v128,
  s0: v128, s1: v128, s2: v128, s3: v128, t0: v128, t1: v128, t2: v128, t3: v128,
): void {
  const low = v128.load8x8_u(w);
  const step0 = i32x4.extend_low_i16x8_u(low);
  const offset0 = v128.load16x4_s(w, 16);
  add4(target, i32x4.sub(s0, i32x4.shl(s1, 4)), step0, offset0, sumX);
  add4(target + 64, i32x4.sub(t0, i32x4.shl(t1, 4)), step0, offset0, sumY);
  const step1 = i32x4.extend_high_i16x8_u(low);
  const offset1 = v128.load16x4_s(w, 24);
  add4(target + 16, i32x4.sub(s1, i32x4.shl(s2, 4)), step1, offset1, sumX);
  add4(target + 80, i32x4.sub(t1, i32x4.shl(t2, 4)), step1, offset1, sumY);
  const high = v128.load8x8_u(w, 8);
  const step2 = i32x4.extend_low_i16x8_u(high);
  const offset2 = v128.load16x4_s(w, 32);
  add4(target + 32, i32x4.sub(s2, i32x4.shl(s3, 4)), step2, offset2, sumX);
  add4(target + 96, i32x4.sub(t2, i32x4.shl(t3, 4)), step2, offset2, sumY);
  const step3 = i32x4.extend_high_i16x8_u(high);
  const offset3 = v128.load16x4_s(w, 40);
  add4(target + 48, s3, step3, offset3, sumX);
  add4(target + 112, t3, step3, offset3, sumY);
}

/** Two rows of activations from `x` and `y` × one group of half a strip; inlined for each plane (dot32x2). */
@inline
function dotGroup(w: usize, x: usize, y: usize, groupEnd: usize, sumX: v128, sumY: v128, target: usize): void {
  let s0 = i32x4.splat(0);
  let s1 = i32x4.splat(0);
  let s2 = i32x4.splat(0);
  let s3 = i32x4.splat(0);
  let t0 = i32x4.splat(0);
  let t1 = i32x4.splat(0);
  let t2 = i32x4.splat(0);
  let t3 = i32x4.splat(0);
  while (x < groupEnd) {
    const x0 = v128.load_splat<i32>(x);
    const y0 = v128.load_splat<i32>(y);
    const a0 = v128.load(w);
    s0 = multiplyAdd(s0, a0, x0);
    t0 = multiplyAdd(t0, a0, y0);
    const b0 = i16x8.shr_s(a0, 4);
    s1 = multiplyAdd(s1, b0, x0);
    t1 = multiplyAdd(t1, b0, y0);
    const c0 = i16x8.shr_s(a0, 8);
    s2 = multiplyAdd(s2, c0, x0);
    t2 = multiplyAdd(t2, c0, y0);
    const d0 = i16x8.shr_s(a0, 12);
    s3 = multiplyAdd(s3, d0, x0);
    t3 = multiplyAdd(t3, d0, y0);
    if (x + 4 >= groupEnd) break;
    const x1 = v128.load_splat<i32>(x, 4);
    const y1 = v128.load_splat<i32>(y, 4);
    const a1 = v128.load(w, 16);
    s0 = multiplyAdd(s0, a1, x1);
    t0 = multiplyAdd(t0, a1, y1);
    const b1 = i16x8.shr_s(a1, 4);
    s1 = multiplyAdd(s1, b1, x1);
    t1 = multiplyAdd(t1, b1, y1);
    const c1 = i16x8.shr_s(a1, 8);
    s2 = multiplyAdd(s2, c1, x1);
    t2 = multiplyAdd(t2, c1, y1);
    const d1 = i16x8.shr_s(a1, 12);
    s3 = multiplyAdd(s3, d1, x1);
    t3 = multiplyAdd(t3, d1, y1);
    w += 32;
    x += 8;
    y += 8;
  }
  addGroups(target, w, sumX, sumY, s0, s1, s2, s3, t0, t1, t2, t3);
}

/**
 * Two rows of activations × `strips` strips that follow one another: each lane is loaded and shifted once for both.
 *
 * The planes alternate with every group, because 16 sums do not fit the registers. The loop over a group's columns is
 * there twice, so that each load instruction still walks through one plane: as one function that is called twice,
 * 0.45x from memory.
 *
 * @param w first plane of the strips
 * @param plane bytes from there to the second
 * @param x int16 [2, columns], rows `stride` bytes apart, columns a multiple of 16
 * @param groupSums Σx of each group, rows `sumsStride` bytes apart
 * @param target int32 [2 · strips, 2, 16], `targetStride` bytes from one half to the next; added to
 */
export function dot32x2(
  w: usize,
  plane: usize,
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
    let sum = groupSums;
    for (let from = x; from < end; from += GROUP, sum += 4) {
      const groupEnd = min(from + GROUP, end);
      const sumX = v128.load_splat<i32>(sum);
      const sumY = v128.load_splat<i32>(sum + sumsStride);
      const bytes = ((groupEnd - from) << 2) + FOUR_BIT_STEP_BYTES;
      dotGroup(w, from, from + stride, groupEnd, sumX, sumY, target);
      dotGroup(w2, from, from + stride, groupEnd, sumX, sumY, target + targetStride);
      w += bytes;
      w2 += bytes;
    }
    target += targetStride << 1;
  }
}

/** Four bytes of each pair of lanes: 0 0 1 1 2 2 3 3. */
@inline
function twiceLow(x: v128): v128 {
  return i8x16.shuffle(x, x, 0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7);
}

/** 4 4 5 5 6 6 7 7. */
@inline
function twiceHigh(x: v128): v128 {
  return i8x16.shuffle(x, x, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 15, 14, 15);
}

/** Masks of the lowest code of each lane. */
const LOWEST: usize = memory.data<u16>([15, 15, 15, 15, 15, 15, 15, 15], 16);

/**
 * Half a strip's weights within a block of columns as int16, once for many rows of activations.
 *
 * A code of a lane is already where it has to be: four rows by two columns.
 *
 * @param w half a strip
 * @param target int16 [2][columns/2][8 rows][2 columns], as dot8x4 and Strassen's product take them
 */
export function expand16(w: usize, columns: i32, target: usize): void {
  const half = (<usize>columns) << 4;
  const mask = v128.load(LOWEST);
  for (let column = 0; column < columns; column += GROUP_COLUMNS) {
    const end = w + ((<usize>min(GROUP_COLUMNS, columns - column)) << 3);
    const steps0 = v128.load8x8_u(end);
    const steps1 = v128.load8x8_u(end, 8);
    const offsets0 = v128.load(end, 16);
    const offsets1 = v128.load(end, 32);
    const s0 = twiceLow(steps0);
    const s1 = twiceHigh(steps0);
    const s2 = twiceLow(steps1);
    const s3 = twiceHigh(steps1);
    const z0 = twiceLow(offsets0);
    const z1 = twiceHigh(offsets0);
    const z2 = twiceLow(offsets1);
    const z3 = twiceHigh(offsets1);
    for (; w < end; w += 16, target += 32) {
      const lanes = v128.load(w);
      v128.store(target, i16x8.add(z0, i16x8.mul(s0, v128.and(lanes, mask))));
      v128.store(target, i16x8.add(z1, i16x8.mul(s1, v128.and(i16x8.shr_u(lanes, 4), mask))), 16);
      v128.store(target + half, i16x8.add(z2, i16x8.mul(s2, v128.and(i16x8.shr_u(lanes, 8), mask))));
      v128.store(target + half, i16x8.add(z3, i16x8.mul(s3, i16x8.shr_s(lanes, 12))), 16);
    }
    w += FOUR_BIT_STEP_BYTES;
  }
}
