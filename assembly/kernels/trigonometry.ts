// Sine and cosine of angles up to some millions, in float64: the same bits on every machine, and smaller than a
// library's, which handles any angle.

/** 2 / π. */
const TWO_OVER_PI: f64 = 0.6366197723675814;
/** π / 2 in three parts; the first two have 33 bits, so that their products with whole numbers up to 2^20 are exact. */
const HALF_PI_1: f64 = 1.57079632673412561417e0;
const HALF_PI_2: f64 = 6.0771005063039659846e-11;
const HALF_PI_3: f64 = 2.02226624879595063154e-21;

/** sin r, |r| ≤ π/4: the Taylor polynomial of degree 17, whose error is below 1e-16. */
function sinePolynomial(r: f64): f64 {
  const z = r * r;
  let p: f64 = 1.0 / 355687428096000.0;
  p = p * z - 1.0 / 1307674368000.0;
  p = p * z + 1.0 / 6227020800.0;
  p = p * z - 1.0 / 39916800.0;
  p = p * z + 1.0 / 362880.0;
  p = p * z - 1.0 / 5040.0;
  p = p * z + 1.0 / 120.0;
  p = p * z - 1.0 / 6.0;
  return r + r * z * p;
}

/** cos r, |r| ≤ π/4: the Taylor polynomial of degree 16. */
function cosinePolynomial(r: f64): f64 {
  const z = r * r;
  let p: f64 = 1.0 / 20922789888000.0;
  p = p * z - 1.0 / 87178291200.0;
  p = p * z + 1.0 / 479001600.0;
  p = p * z - 1.0 / 3628800.0;
  p = p * z + 1.0 / 40320.0;
  p = p * z - 1.0 / 720.0;
  p = p * z + 1.0 / 24.0;
  p = p * z - 0.5;
  return 1.0 + z * p;
}

/** sin(x + quarters · π/2). */
function shiftedSine(x: f64, quarters: i32): f64 {
  const n = nearest(x * TWO_OVER_PI);
  const r = x - n * HALF_PI_1 - n * HALF_PI_2 - n * HALF_PI_3;
  const quadrant = (<i32>n + quarters) & 3;
  const value = quadrant & 1 ? cosinePolynomial(r) : sinePolynomial(r);
  return quadrant & 2 ? -value : value;
}

/** sin x, |x| < 2^20, with an absolute error below 1e-15. */
export function sine(x: f64): f64 {
  return shiftedSine(x, 0);
}

/** cos x, likewise. */
export function cosine(x: f64): f64 {
  return shiftedSine(x, 1);
}
