// The multiply-adds of the matrix kernel: int16 activations × packed int8 weights, exact in int32.
//
// Widening int8 to int16 costs as much as multiplying it. So a packed 16-bit load (abi.ts) is used twice as it
// is: it holds w = 256·b + (a + 128), with a and b weights of two different rows, and
//
//   D = Σ x·w          = 256·B + A + 128·Σx   (mod 2^32)      A = Σ x·a,  B = Σ x·b
//   B = Σ x·(w >> 8)                          exactly: the arithmetic shift drops a + 128
//   A = D − 256·B − 128·Σx                    exactly: A fits int32 by the amplitude rule, so mod 2^32 is enough
//
// Per 16 weights that is one shift, two multiply-adds and two additions, where widening both halves takes two,
// two and two. Measured at K = 768 in V8: 32 against 24 GB/s of weights in cache (bench/, row kernel).

/** sums + the products of eight int16 pairs, added two by two. */
@inline
export function multiplyAdd(sums: v128, w: v128, x: v128): v128 {
  return i32x4.add(sums, i32x4.dot_i16x8_s(w, x));
}

/** target[0 … 15] += A and B of two loads, offset = 128 · Σx. */
@inline
function addSums(target: usize, d0: v128, b0: v128, d1: v128, b1: v128, offset: i32): void {
  const bias = i32x4.splat(offset);
  v128.store(target, i32x4.add(v128.load(target), i32x4.sub(i32x4.sub(d0, i32x4.shl(b0, 8)), bias)));
  v128.store(target, i32x4.add(v128.load(target, 16), b0), 16);
  v128.store(target, i32x4.add(v128.load(target, 32), i32x4.sub(i32x4.sub(d1, i32x4.shl(b1, 8)), bias)), 32);
  v128.store(target, i32x4.add(v128.load(target, 48), b1), 48);
}

// A turn of the kernels' loops is written out several times, because recent V8 takes one as it is written, and where
// there is no guard region around the memory (workerd) it compares every address with the memory's size and computes
// the largest allowed one for each offset anew: one row 1.08x, two rows 1.05x. V8 before 12 would move the loads of
// all turns to the top and spill. A way out between them, which is never taken, keeps them apart.

/**
 * One row of activations × `strips` strips that follow one another.
 *
 * @param w first plane of the strips, [strips, k/2][16] bytes
 * @param plane bytes from there to the second
 * @param x int16 [k], k a multiple of 8
 * @param offset 128 · Σx
 * @param target int32 [strips, 16], strips `targetStride` bytes apart; added to
 */
export function dot16x1(w: usize, plane: usize, x: usize, k: i32, strips: i32, offset: i32, target: usize, targetStride: usize): void {
  let w2 = w + plane;
  for (let s = 0; s < strips; s++) {
    let from = x;
    let d0 = i32x4.splat(0);
    let b0 = i32x4.splat(0);
    let d1 = i32x4.splat(0);
    let b1 = i32x4.splat(0);
    const end = x + ((<usize>k) << 1);
    while (from < end) {
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
      if (from + 8 >= end) break;
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
    addSums(target, d0, b0, d1, b1, offset);
    target += targetStride;
  }
}

/**
 * Two rows of activations × `strips` strips that follow one another: each weight is loaded and shifted once for
 * both rows.
 *
 * The loop over strips is here rather than outside because old V8 unrolls an inner loop the more, the deeper it is
 * nested: 4 to 9 % at prefill.
 *
 * @param w first plane of the strips, [strips, k/2][16] bytes
 * @param plane bytes from there to the second
 * @param x int16 [2, k], rows `stride` bytes apart, k a multiple of 4
 * @param offsetX 128 · Σx of the first row
 * @param offsetY of the second
 * @param target int32 [strips, 2, 16], strips `targetStride` bytes apart; added to
 */
export function dot16x2(
  w: usize,
  plane: usize,
  x: usize,
  stride: usize,
  k: i32,
  strips: i32,
  offsetX: i32,
  offsetY: i32,
  target: usize,
  targetStride: usize,
): void {
  let w2 = w + plane;
  for (let s = 0; s < strips; s++) {
    let from = x;
    let dx0 = i32x4.splat(0);
    let bx0 = i32x4.splat(0);
    let dx1 = i32x4.splat(0);
    let bx1 = i32x4.splat(0);
    let dy0 = i32x4.splat(0);
    let by0 = i32x4.splat(0);
    let dy1 = i32x4.splat(0);
    let by1 = i32x4.splat(0);
    let y = x + stride;
    const end = x + ((<usize>k) << 1);
    while (from < end) {
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
      if (from + 4 >= end) break;
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
    addSums(target, dx0, bx0, dx1, bx1, offsetX);
    addSums(target + 64, dy0, by0, dy1, by1, offsetY);
    target += targetStride;
  }
}

/** target[0 … 7] += two vectors of sums. */
@inline
export function add8(target: usize, low: v128, high: v128): void {
  v128.store(target, i32x4.add(v128.load(target), low));
  v128.store(target, i32x4.add(v128.load(target, 16), high), 16);
}

/** The same where `sign` is 0; subtracts where it is −1. */
@inline
export function addSigned8(target: usize, low: v128, high: v128, sign: v128): void {
  add8(target, i32x4.sub(v128.xor(low, sign), sign), i32x4.sub(v128.xor(high, sign), sign));
}

/**
 * Four rows of activations × 8 rows of weights that are int16 already, added to one or two blocks of sums.
 *
 * Every row has a pointer of its own, so that what V8 compares addresses with, where it does, is the same for all
 * four; transposed into one stream, the activations cost 1.03x to 1.08x. Another pointer for half of the weights, and
 * recent V8 runs out of registers.
 *
 * @param w int16 [k/2][8 rows][2 columns]
 * @param x int16 [4, k], rows `stride` bytes apart, k a multiple of 8
 * @param first int32 [4 rows of activations, 8], rows 64 bytes apart
 * @param second likewise, or 0 for none
 * @param sign 0 to add to `second`, −1 to subtract from it
 */
export function dot8x4(w: usize, x: usize, stride: usize, k: i32, first: usize, second: usize, sign: i32): void {
  let a0 = i32x4.splat(0);
  let a1 = i32x4.splat(0);
  let b0 = i32x4.splat(0);
  let b1 = i32x4.splat(0);
  let c0 = i32x4.splat(0);
  let c1 = i32x4.splat(0);
  let d0 = i32x4.splat(0);
  let d1 = i32x4.splat(0);
  let u = w;
  let xa = x;
  let xb = xa + stride;
  let xc = xb + stride;
  let xd = xc + stride;
  const end = x + ((<usize>k) << 1);
  while (xa < end) {
    const u0 = v128.load(u);
    const v0 = v128.load(u, 16);
    const xa0 = v128.load_splat<i32>(xa);
    a0 = multiplyAdd(a0, u0, xa0);
    a1 = multiplyAdd(a1, v0, xa0);
    const xb0 = v128.load_splat<i32>(xb);
    b0 = multiplyAdd(b0, u0, xb0);
    b1 = multiplyAdd(b1, v0, xb0);
    const xc0 = v128.load_splat<i32>(xc);
    c0 = multiplyAdd(c0, u0, xc0);
    c1 = multiplyAdd(c1, v0, xc0);
    const xd0 = v128.load_splat<i32>(xd);
    d0 = multiplyAdd(d0, u0, xd0);
    d1 = multiplyAdd(d1, v0, xd0);
    if (xa + 4 >= end) break;
    const u1 = v128.load(u, 32);
    const v1 = v128.load(u, 48);
    const xa1 = v128.load_splat<i32>(xa, 4);
    a0 = multiplyAdd(a0, u1, xa1);
    a1 = multiplyAdd(a1, v1, xa1);
    const xb1 = v128.load_splat<i32>(xb, 4);
    b0 = multiplyAdd(b0, u1, xb1);
    b1 = multiplyAdd(b1, v1, xb1);
    const xc1 = v128.load_splat<i32>(xc, 4);
    c0 = multiplyAdd(c0, u1, xc1);
    c1 = multiplyAdd(c1, v1, xc1);
    const xd1 = v128.load_splat<i32>(xd, 4);
    d0 = multiplyAdd(d0, u1, xd1);
    d1 = multiplyAdd(d1, v1, xd1);
    if (xa + 8 >= end) break;
    const u2 = v128.load(u, 64);
    const v2 = v128.load(u, 80);
    const xa2 = v128.load_splat<i32>(xa, 8);
    a0 = multiplyAdd(a0, u2, xa2);
    a1 = multiplyAdd(a1, v2, xa2);
    const xb2 = v128.load_splat<i32>(xb, 8);
    b0 = multiplyAdd(b0, u2, xb2);
    b1 = multiplyAdd(b1, v2, xb2);
    const xc2 = v128.load_splat<i32>(xc, 8);
    c0 = multiplyAdd(c0, u2, xc2);
    c1 = multiplyAdd(c1, v2, xc2);
    const xd2 = v128.load_splat<i32>(xd, 8);
    d0 = multiplyAdd(d0, u2, xd2);
    d1 = multiplyAdd(d1, v2, xd2);
    if (xa + 12 >= end) break;
    const u3 = v128.load(u, 96);
    const v3 = v128.load(u, 112);
    const xa3 = v128.load_splat<i32>(xa, 12);
    a0 = multiplyAdd(a0, u3, xa3);
    a1 = multiplyAdd(a1, v3, xa3);
    const xb3 = v128.load_splat<i32>(xb, 12);
    b0 = multiplyAdd(b0, u3, xb3);
    b1 = multiplyAdd(b1, v3, xb3);
    const xc3 = v128.load_splat<i32>(xc, 12);
    c0 = multiplyAdd(c0, u3, xc3);
    c1 = multiplyAdd(c1, v3, xc3);
    const xd3 = v128.load_splat<i32>(xd, 12);
    d0 = multiplyAdd(d0, u3, xd3);
    d1 = multiplyAdd(d1, v3, xd3);
    u += 128;
    xa += 16;
    xb += 16;
    xc += 16;
    xd += 16;
  }
  add8(first, a0, a1);
  add8(first + 64, b0, b1);
  add8(first + 128, c0, c1);
  add8(first + 192, d0, d1);
  if (!second) return;
  const signs = i32x4.splat(sign);
  addSigned8(second, a0, a1, signs);
  addSigned8(second + 64, b0, b1, signs);
  addSigned8(second + 128, c0, c1, signs);
  addSigned8(second + 192, d0, d1, signs);
}
