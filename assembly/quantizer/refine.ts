// What is left to gain after rounding column by column: each group's step and offset, then its codes, once more in the
// light of what all other columns have become. With e = w − q and second moments H the error is e · H · eᵀ, and
//
//   P = e · H      a change d of some q's changes the error by d · H · dᵀ − 2 · P · dᵀ
//
// so that a step and an offset follow from two equations, and a code from one.

import { INTEGER_LIMIT, STEP_LIMIT, GROUP_COLUMNS } from "../four-bit";
import { PANEL } from "./panel";

const ROW: usize = <usize>PANEL * 4;
/** P of a group's columns, and the changes of their q's: float32 [32, 16]. */
const gradients: usize = memory.data(GROUP_COLUMNS * PANEL * 4, 16);
const changes: usize = memory.data(GROUP_COLUMNS * PANEL * 4, 16);

/** P of the columns first … first+count−1. */
function sumGradients(errors: usize, moments: usize, columns: i32, first: i32, count: i32): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    let a0 = f32x4.splat(0);
    let a1 = f32x4.splat(0);
    let a2 = f32x4.splat(0);
    let a3 = f32x4.splat(0);
    let c = moments + (((<usize>first + i) * <usize>columns) << 2);
    let e = errors;
    for (const end = c + ((<usize>columns) << 2); c < end; c += 4, e += ROW) {
      const f = v128.load_splat<f32>(c);
      a0 = f32x4.add(a0, f32x4.mul(v128.load(e), f));
      a1 = f32x4.add(a1, f32x4.mul(v128.load(e, 16), f));
      a2 = f32x4.add(a2, f32x4.mul(v128.load(e, 32), f));
      a3 = f32x4.add(a3, f32x4.mul(v128.load(e, 48), f));
    }
    const to = gradients + i * ROW;
    v128.store(to, a0);
    v128.store(to, a1, 16);
    v128.store(to, a2, 32);
    v128.store(to, a3, 48);
  }
}

@inline
function moment(moments: usize, columns: i32, row: usize, column: usize): v128 {
  return v128.load_splat<f32>(moments + ((row * <usize>columns + column) << 2));
}

/** Four rows' step and offset of a group by least squares, whole numbers within the limits; left where that gains nothing. */
function refit(errors: usize, moments: usize, columns: i32, first: usize, count: usize, steps: usize, offsets: usize, codes: usize, four: usize): void {
  let a11 = f32x4.splat(0);
  let a12 = f32x4.splat(0);
  let a22 = f32x4.splat(0);
  let b1 = f32x4.splat(0);
  let b2 = f32x4.splat(0);
  for (let i: usize = 0; i < count; i++) {
    let hu = f32x4.splat(0);
    let h = f32x4.splat(0);
    for (let j: usize = 0; j < count; j++) {
      const f = moment(moments, columns, first + i, first + j);
      hu = f32x4.add(hu, f32x4.mul(f, f32x4.convert_i32x4_s(v128.load(codes + j * ROW + four))));
      h = f32x4.add(h, f);
    }
    const u = f32x4.convert_i32x4_s(v128.load(codes + i * ROW + four));
    const p = v128.load(gradients + i * ROW + four);
    a11 = f32x4.add(a11, f32x4.mul(hu, u));
    a12 = f32x4.add(a12, hu);
    a22 = f32x4.add(a22, h);
    b1 = f32x4.add(b1, f32x4.mul(p, u));
    b2 = f32x4.add(b2, p);
  }
  const one = f32x4.splat(1);
  const limit = f32x4.splat(<f32>INTEGER_LIMIT);
  const determinant = f32x4.sub(f32x4.mul(a11, a22), f32x4.mul(a12, a12));
  const solvable = f32x4.gt(determinant, f32x4.mul(f32x4.mul(a11, a22), f32x4.splat(1e-5)));
  const exact = f32x4.div(f32x4.sub(f32x4.mul(b1, a22), f32x4.mul(b2, a12)), v128.bitselect(determinant, one, solvable));
  const step = v128.load(steps + four);
  const offset = v128.load(offsets + four);
  const wanted = f32x4.nearest(f32x4.add(step, v128.and(exact, solvable)));
  const newStep = f32x4.max(f32x4.min(wanted, f32x4.splat(<f32>STEP_LIMIT)), one);
  const s = f32x4.sub(newStep, step);
  const shift = f32x4.div(f32x4.sub(b2, f32x4.mul(s, a12)), a22);
  const highest = f32x4.sub(limit, f32x4.mul(newStep, f32x4.splat(15)));
  const newOffset = f32x4.min(f32x4.max(f32x4.nearest(f32x4.add(offset, shift)), f32x4.neg(limit)), highest);
  const z = f32x4.sub(newOffset, offset);
  const quadratic = f32x4.add(
    f32x4.mul(f32x4.mul(s, s), a11),
    f32x4.add(f32x4.mul(f32x4.mul(z, z), a22), f32x4.mul(f32x4.splat(2), f32x4.mul(f32x4.mul(s, z), a12))),
  );
  const linear = f32x4.mul(f32x4.splat(2), f32x4.add(f32x4.mul(b1, s), f32x4.mul(b2, z)));
  const gains = f32x4.lt(quadratic, linear);
  const ds = v128.and(s, gains);
  const dz = v128.and(z, gains);
  v128.store(steps + four, f32x4.add(step, ds));
  v128.store(offsets + four, f32x4.add(offset, dz));
  for (let i: usize = 0; i < count; i++) {
    const at = i * ROW + four;
    const change = f32x4.add(f32x4.mul(ds, f32x4.convert_i32x4_s(v128.load(codes + at))), dz);
    v128.store(errors + at, f32x4.sub(v128.load(errors + at), change));
    v128.store(changes + at, change);
  }
  for (let i: usize = 0; i < count; i++) {
    const at = gradients + i * ROW + four;
    let p = v128.load(at);
    for (let j: usize = 0; j < count; j++)
      p = f32x4.sub(p, f32x4.mul(moment(moments, columns, first + i, first + j), v128.load(changes + j * ROW + four)));
    v128.store(at, p);
  }
}

/** Four rows' codes of a group, one column after another. */
function recode(errors: usize, moments: usize, columns: i32, first: usize, count: usize, steps: usize, codes: usize, four: usize): void {
  const step = v128.load(steps + four);
  for (let i: usize = 0; i < count; i++) {
    const at = i * ROW + four;
    const old = f32x4.convert_i32x4_s(v128.load(codes + at));
    const own = moment(moments, columns, first + i, first + i);
    const shift = f32x4.div(v128.load(gradients + at), f32x4.mul(own, step));
    const wanted = f32x4.nearest(f32x4.add(old, shift));
    const code = f32x4.max(f32x4.min(wanted, f32x4.splat(15)), f32x4.splat(0));
    const change = f32x4.mul(f32x4.sub(code, old), step);
    if (!v128.any_true(change)) continue;
    v128.store(codes + at, i32x4.trunc_sat_f32x4_s(code));
    v128.store(errors + at, f32x4.sub(v128.load(errors + at), change));
    for (let j: usize = 0; j < count; j++) {
      const p = gradients + j * ROW + four;
      v128.store(p, f32x4.sub(v128.load(p), f32x4.mul(change, moment(moments, columns, first + i, first + j))));
    }
  }
}

/**
 * Goes once over all groups of 16 rows.
 *
 * @param moments float32 [columns, columns], damped: no diagonal element is 0
 * @param steps float32 [groups, 16]; changed
 * @param offsets likewise
 * @param errors float32 [columns, 16], the weights less what they are rounded to; changed
 * @param codes int32 [columns, 16]; changed
 */
export function refinePanel(moments: usize, columns: i32, steps: usize, offsets: usize, errors: usize, codes: usize): void {
  let e = errors;
  for (let first = 0; first < columns; first += GROUP_COLUMNS) {
    const count = min(GROUP_COLUMNS, columns - first);
    sumGradients(errors, moments, columns, first, count);
    for (let four: usize = 0; four < ROW; four += 16) {
      refit(e, moments, columns, <usize>first, <usize>count, steps, offsets, codes, four);
      recode(e, moments, columns, <usize>first, <usize>count, steps, codes, four);
    }
    e += ROW * <usize>count;
    codes += ROW * <usize>count;
    steps += ROW;
    offsets += ROW;
  }
}
