// Cholesky's decomposition, float64, in place.

@inline
function at(matrix: usize, stride: usize, row: i32, column: i32): usize {
  return matrix + stride * <usize>row + ((<usize>column) << 3);
}

/** Σ_m row[m] · other[m], two sums side by side. */
@inline
function dot(row: usize, other: usize, length: i32): f64 {
  let sums = f64x2.splat(0);
  const end = row + ((<usize>length & ~1) << 3);
  for (; row < end; row += 16, other += 16) sums = f64x2.add(sums, f64x2.mul(v128.load(row), v128.load(other)));
  let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  if (length & 1) sum += load<f64>(row) * load<f64>(other);
  return sum;
}

/**
 * Overwrites the lower half of a symmetric positive definite matrix with L, A = L · Lᵀ.
 *
 * Four rows at a time: each earlier row is read once for all four, from the second-level cache or beyond.
 *
 * @param matrix float64 [n, n], rows `stride` bytes apart, which is a multiple of 16
 * @returns whether it is positive definite
 */
export function factor(matrix: usize, n: i32, stride: usize): bool {
  for (let first = 0; first < n; first += 4) {
    const rows = min(4, n - first);
    const a = at(matrix, stride, first, 0);
    if (rows == 4) {
      const b = a + stride;
      const c = b + stride;
      const d = c + stride;
      for (let j = 0; j < first; j++) {
        const row = at(matrix, stride, j, 0);
        let sa = f64x2.splat(0);
        let sb = f64x2.splat(0);
        let sc = f64x2.splat(0);
        let sd = f64x2.splat(0);
        let m: usize = 0;
        for (const end = (<usize>j & ~1) << 3; m < end; m += 16) {
          const x = v128.load(row + m);
          sa = f64x2.add(sa, f64x2.mul(v128.load(a + m), x));
          sb = f64x2.add(sb, f64x2.mul(v128.load(b + m), x));
          sc = f64x2.add(sc, f64x2.mul(v128.load(c + m), x));
          sd = f64x2.add(sd, f64x2.mul(v128.load(d + m), x));
        }
        const last = j & 1 ? load<f64>(row + m) : 0;
        const place = (<usize>j) << 3;
        const diagonal = load<f64>(row + place);
        eliminate(a, m, place, sa, last, diagonal);
        eliminate(b, m, place, sb, last, diagonal);
        eliminate(c, m, place, sc, last, diagonal);
        eliminate(d, m, place, sd, last, diagonal);
      }
    } else
      for (let i = first; i < n; i++) {
        const row = at(matrix, stride, i, 0);
        for (let j = 0; j < first; j++) {
          const other = at(matrix, stride, j, 0);
          const place = (<usize>j) << 3;
          store<f64>(row + place, (load<f64>(row + place) - dot(row, other, j)) / load<f64>(other + place));
        }
      }
    for (let i = first; i < first + rows; i++) {
      const row = at(matrix, stride, i, 0);
      for (let j = first; j < i; j++) {
        const other = at(matrix, stride, j, 0);
        const place = (<usize>j) << 3;
        store<f64>(row + place, (load<f64>(row + place) - dot(row, other, j)) / load<f64>(other + place));
      }
      const place = (<usize>i) << 3;
      const square = load<f64>(row + place) - dot(row, row, i);
      if (!(square > 0)) return false;
      store<f64>(row + place, Math.sqrt(square));
    }
  }
  return true;
}

/** row[j] = (row[j] − Σ) / diagonal; `last` is the other row's odd element, whose place `m` is. */
@inline
function eliminate(row: usize, m: usize, place: usize, sums: v128, last: f64, diagonal: f64): void {
  const sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1) + load<f64>(row + m) * last;
  store<f64>(row + place, (load<f64>(row + place) - sum) / diagonal);
}
