import { PANEL } from "./panel";

const ROW: usize = <usize>PANEL * 4;

/** x[j] −= Σ of the `length` vectors from `from` on, each times its coefficient. */
@inline
function reduce(x: usize, from: usize, coefficients: usize, length: usize): void {
  let a0 = v128.load(x);
  let a1 = v128.load(x, 16);
  let a2 = v128.load(x, 32);
  let a3 = v128.load(x, 48);
  for (const end = coefficients + (length << 2); coefficients < end; coefficients += 4, from += ROW) {
    const f = v128.load_splat<f32>(coefficients);
    a0 = f32x4.sub(a0, f32x4.mul(v128.load(from), f));
    a1 = f32x4.sub(a1, f32x4.mul(v128.load(from, 16), f));
    a2 = f32x4.sub(a2, f32x4.mul(v128.load(from, 32), f));
    a3 = f32x4.sub(a3, f32x4.mul(v128.load(from, 48), f));
  }
  v128.store(x, a0);
  v128.store(x, a1, 16);
  v128.store(x, a2, 32);
  v128.store(x, a3, 48);
}

/**
 * x = x · H⁻¹ for 16 rows, where H = (I + U) · D · (I + U)ᵀ and U is strictly upper triangular.
 *
 * @param x float32 [columns, 16]
 * @param upper float32 [columns, columns], U row by row; what is not above the diagonal is not read
 * @param triangle likewise, U column by column
 * @param inverses float32 [columns], 1 / D
 */
export function solvePanel(x: usize, upper: usize, triangle: usize, inverses: usize, columns: i32): void {
  const n = <usize>columns;
  for (let j = n; j-- > 0; )
    reduce(x + j * ROW, x + (j + 1) * ROW, upper + ((j * n + j + 1) << 2), n - j - 1);
  for (let j: usize = 0; j < n; j++) {
    const at = x + j * ROW;
    const f = f32x4.splat(load<f32>(inverses + (j << 2)));
    for (let i: usize = 0; i < ROW; i += 16) v128.store(at + i, f32x4.mul(v128.load(at + i), f));
  }
  for (let j: usize = 0; j < n; j++) reduce(x + j * ROW, x, triangle + ((j * n) << 2), j);
}
