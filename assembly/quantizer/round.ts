// Rounding that makes up for its errors (Frantar et al. 2022, GPTQ), in the form of Chee et al. 2023 (QuIP, theorem 1),
// where the same is written without an inverse: with H = (I + U) · D · (I + U)ᵀ, U strictly upper triangular,
//
//   q_k = round(w_k + Σ_{j<k} (w_j − q_j) · U_jk)
//
// minimizes the sum of squares of x · (w − q) greedily, column by column, where H = Σ xᵀ · x.

import { PANEL } from "./panel";

const ROW: usize = <usize>PANEL * 4;

/** Four rows' codes, and what rounding them misses. */
@inline
function round4(weights: usize, sums: v128, steps: usize, offsets: usize, codes: usize, errors: usize): void {
  const step = v128.load(steps);
  const offset = v128.load(offsets);
  const weight = v128.load(weights);
  const code = f32x4.nearest(f32x4.div(f32x4.sub(f32x4.add(weight, sums), offset), step));
  const u = f32x4.max(f32x4.min(code, f32x4.splat(15)), f32x4.splat(0));
  v128.store(codes, i32x4.trunc_sat_f32x4_s(u));
  v128.store(errors, f32x4.sub(weight, f32x4.add(f32x4.mul(step, u), offset)));
}

/**
 * Rounds 16 rows.
 *
 * @param weights float32 [columns, 16], divided by their rows' scales, in the order in which they are rounded
 * @param triangle float32 [columns, columns], row k: U_0k … U_(k−1)k; 0 for plain rounding
 * @param places int32 [columns]: the group of each column
 * @param steps float32 [groups, 16], at least 1
 * @param offsets likewise
 * @param errors scratch float32 [columns, 16]
 * @param codes int32 [columns, 16]
 */
export function roundPanel(weights: usize, triangle: usize, columns: i32, places: usize, steps: usize, offsets: usize, errors: usize, codes: usize): void {
  for (let k: usize = 0; k < <usize>columns; k++) {
    let a0 = f32x4.splat(0);
    let a1 = f32x4.splat(0);
    let a2 = f32x4.splat(0);
    let a3 = f32x4.splat(0);
    if (triangle) {
      let c = triangle + ((k * <usize>columns) << 2);
      let e = errors;
      for (const end = c + (k << 2); c < end; c += 4, e += ROW) {
        const f = v128.load_splat<f32>(c);
        a0 = f32x4.add(a0, f32x4.mul(v128.load(e), f));
        a1 = f32x4.add(a1, f32x4.mul(v128.load(e, 16), f));
        a2 = f32x4.add(a2, f32x4.mul(v128.load(e, 32), f));
        a3 = f32x4.add(a3, f32x4.mul(v128.load(e, 48), f));
      }
    }
    const group = (<usize>load<i32>(places + (k << 2))) * ROW;
    const at = k * ROW;
    round4(weights + at, a0, steps + group, offsets + group, codes + at, errors + at);
    round4(weights + at + 16, a1, steps + group + 16, offsets + group + 16, codes + at + 16, errors + at + 16);
    round4(weights + at + 32, a2, steps + group + 32, offsets + group + 32, codes + at + 32, errors + at + 32);
    round4(weights + at + 48, a3, steps + group + 48, offsets + group + 48, codes + at + 48, errors + at + 48);
  }
}
