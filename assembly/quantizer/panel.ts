// Matrix products for calibration, float32. A panel is 16 vectors side by side, [length][16], so that one coefficient
// is multiplied with all of them. With it, rows of activations are multiplied with a matrix, activations with each
// other, and 16 rows of weights with a triangle of coefficients.

/** Vectors of a panel. */
export const PANEL: i32 = 16;

@inline
function mulAdd(sums: v128, x: v128, factor: v128): v128 {
  return f32x4.add(sums, f32x4.mul(x, factor));
}

/**
 * out[r, 0 … 15] += Σ_j panel[j, 0 … 15] · coefficients[r, j], in the order of j, whatever the number of rows.
 *
 * @param panel float32 [length, 16]
 * @param coefficients float32 [rows, length], rows `stride` bytes apart
 * @param rows an even number
 * @param out float32 [rows, 16], rows `outStride` bytes apart
 */
export function multiplyPanel(panel: usize, length: i32, coefficients: usize, stride: usize, rows: i32, out: usize, outStride: usize): void {
  for (let r = 0; r < rows; r += 2) {
    const second = out + outStride;
    let a0 = v128.load(out);
    let a1 = v128.load(out, 16);
    let a2 = v128.load(out, 32);
    let a3 = v128.load(out, 48);
    let b0 = v128.load(second);
    let b1 = v128.load(second, 16);
    let b2 = v128.load(second, 32);
    let b3 = v128.load(second, 48);
    let x = panel;
    let c = coefficients;
    for (const end = c + ((<usize>length) << 2); c < end; c += 4, x += 64) {
      const x0 = v128.load(x);
      const x1 = v128.load(x, 16);
      const x2 = v128.load(x, 32);
      const x3 = v128.load(x, 48);
      const f = v128.load_splat<f32>(c);
      a0 = mulAdd(a0, x0, f);
      a1 = mulAdd(a1, x1, f);
      a2 = mulAdd(a2, x2, f);
      a3 = mulAdd(a3, x3, f);
      const g = v128.load_splat<f32>(c + stride);
      b0 = mulAdd(b0, x0, g);
      b1 = mulAdd(b1, x1, g);
      b2 = mulAdd(b2, x2, g);
      b3 = mulAdd(b3, x3, g);
    }
    v128.store(out, a0);
    v128.store(out, a1, 16);
    v128.store(out, a2, 32);
    v128.store(out, a3, 48);
    v128.store(second, b0);
    v128.store(second, b1, 16);
    v128.store(second, b2, 32);
    v128.store(second, b3, 48);
    coefficients += stride << 1;
    out += outStride << 1;
  }
}
