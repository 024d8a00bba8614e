// exp and the activation functions, four float32 at a time. Plain IEEE operations in one order: the same bits
// on every machine.

import { ACTIVATION_GELU_ERF, ACTIVATION_GELU_TANH, ACTIVATION_RELU, ACTIVATION_SILU } from "../abi";

/** 1.5 · 2^23: adding it leaves the nearest integer (ties to even) in the low bits of the float, |x| < 2^22. */
export const ROUND_MAGIC: f32 = 12582912.0;
/** The bits of ROUND_MAGIC. */
export const ROUND_MAGIC_BITS: i32 = 0x4b400000;

// V8 builds a vector constant in three instructions at each use, twice what the arithmetic of exp4 takes. One
// load broadcasts a value from memory: with pmin and pmax for min and max, GELU takes 1.45x less time.
const EXP: usize = memory.data<f32>([
  -87.3, 87.3, 1.44269504, 12582912.0, 0.693359375, 2.12194440e-4,
  1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1.0,
]);
/** 1.5 · 2^23 as bits, less the exponent's bias. */
const EXPONENT: usize = memory.data<i32>([ROUND_MAGIC_BITS - 127]);
const GELU: usize = memory.data<f32>([0.07135481627, 1.5957691216]);

@inline
function constant(table: usize, index: usize): v128 {
  return v128.load_splat<f32>(table + (index << 2));
}

/**
 * e^x with a relative error below 2.5e-7 for −87.3 ≤ x ≤ 87.3; exactly 0 below, e^87.3 above.
 * 2^n · e^r with r in [−ln2/2, ln2/2]; reduction and polynomial are those of Cephes' expf (S. Moshier).
 */
@inline
export function exp4(x: v128): v128 {
  const least = constant(EXP, 0);
  const magic = constant(EXP, 3);
  const clamped = f32x4.pmin(f32x4.pmax(x, least), constant(EXP, 1));
  const shifted = f32x4.add(f32x4.mul(clamped, constant(EXP, 2)), magic);
  const n = f32x4.sub(shifted, magic);
  let r = f32x4.sub(clamped, f32x4.mul(n, constant(EXP, 4)));
  r = f32x4.add(r, f32x4.mul(n, constant(EXP, 5)));
  // Pairs of coefficients first (Estrin): a chain of 8 operations instead of 14.
  const r2 = f32x4.mul(r, r);
  const high = f32x4.add(f32x4.mul(constant(EXP, 6), r), constant(EXP, 7));
  const middle = f32x4.add(f32x4.mul(constant(EXP, 8), r), constant(EXP, 9));
  const low = f32x4.add(f32x4.mul(constant(EXP, 10), r), constant(EXP, 11));
  let p = f32x4.add(f32x4.mul(f32x4.add(f32x4.mul(high, r2), middle), r2), low);
  p = f32x4.add(f32x4.mul(p, r2), f32x4.add(r, constant(EXP, 12)));
  const exponent = i32x4.shl(i32x4.sub(shifted, v128.load_splat<i32>(EXPONENT)), 23);
  return v128.and(f32x4.mul(p, exponent), f32x4.ge(x, least));
}

/** x · σ(z), σ the logistic function. */
@inline
function gate4(x: v128, z: v128): v128 {
  return f32x4.div(x, f32x4.add(constant(EXP, 12), exp4(f32x4.neg(z))));
}

/** HF's NewGELUActivation: ½x(1 + tanh(√(2/π)(x + 0.044715x³))), which is x · σ(2√(2/π)(x + 0.044715x³)). */
@inline
function geluTanh4(x: v128): v128 {
  const cubic = f32x4.add(
    f32x4.mul(f32x4.mul(x, x), constant(GELU, 0)),
    constant(GELU, 1),
  );
  return gate4(x, f32x4.mul(x, cubic));
}

/**
 * ½x(1 + erf(x/√2)), absolute error below 1e-6. erf by Abramowitz and Stegun 7.1.26, arranged so that nothing
 * cancels: max(x, 0) − ½|x| · erfc(|x|/√2).
 */
@inline
function geluErf4(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const u = f32x4.mul(magnitude, f32x4.splat(0.70710678));
  const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.mul(u, f32x4.splat(0.3275911)), f32x4.splat(1)));
  let p = f32x4.splat(1.061405429);
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-1.453152027));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.421413741));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.284496736));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.254829592));
  const erfc = f32x4.mul(f32x4.mul(p, t), exp4(f32x4.neg(f32x4.mul(u, u))));
  return f32x4.sub(f32x4.pmax(x, f32x4.splat(0)), f32x4.mul(f32x4.mul(magnitude, f32x4.splat(0.5)), erfc));
}

/** The activation function of abi.ts's ACTIVATION_… codes. */
@inline
export function activate4(x: v128, kind: i32): v128 {
  if (kind == ACTIVATION_GELU_TANH) return geluTanh4(x);
  if (kind == ACTIVATION_GELU_ERF) return geluErf4(x);
  if (kind == ACTIVATION_RELU) return f32x4.pmax(x, f32x4.splat(0));
  if (kind == ACTIVATION_SILU) return gate4(x, x);
  return x;
}

/** Largest of the four lanes. */
@inline
export function maxLane(x: v128): f32 {
  const pairs = f32x4.pmax(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

/** Sum of the four lanes, (0 + 2) + (1 + 3). */
@inline
export function sumLanes(x: v128): f32 {
  const pairs = f32x4.add(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

@inline
export function sumLanesI32(x: v128): i32 {
  const pairs = i32x4.add(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1);
}
