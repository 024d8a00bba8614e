// The step and the offset of each group of 32 columns, by weighted squared error: 16 rows at a time, four in a vector.

import { INTEGER_LIMIT, STEP_LIMIT, GROUP_COLUMNS } from "../four-bit";
import { PANEL } from "./panel";

const TOP_CODE: f32 = 15;
const ROW: usize = <usize>PANEL * 4;
/** Ranges to try: the whole of a group, then less and less of it. */
const TRIES = 10;
const NARROWER: f32 = 0.04;

/** Σh, Σht and Σhtt of the group; then Σhu, Σhuu and Σhut of the codes that assign() found. */
let h: v128 = i32x4.splat(0);
let ht: v128 = i32x4.splat(0);
let htt: v128 = i32x4.splat(0);
let hu: v128 = i32x4.splat(0);
let huu: v128 = i32x4.splat(0);
let hut: v128 = i32x4.splat(0);

/** Sums over the nearest codes at this step and offset, which need not be integers. */
function assign(targets: usize, importance: usize, columns: i32, step: v128, offset: v128): void {
  const inverse = f32x4.div(f32x4.splat(1), f32x4.max(step, f32x4.splat(1e-3)));
  const top = f32x4.splat(TOP_CODE);
  let su = f32x4.splat(0);
  let suu = f32x4.splat(0);
  let sut = f32x4.splat(0);
  for (let i = 0; i < columns; i++, targets += ROW, importance += 4) {
    const t = v128.load(targets);
    const code = f32x4.nearest(f32x4.mul(f32x4.sub(t, offset), inverse));
    const u = f32x4.max(f32x4.min(code, top), f32x4.splat(0));
    const weighted = f32x4.mul(v128.load_splat<f32>(importance), u);
    su = f32x4.add(su, weighted);
    suu = f32x4.add(suu, f32x4.mul(weighted, u));
    sut = f32x4.add(sut, f32x4.mul(weighted, t));
  }
  hu = su;
  huu = suu;
  hut = sut;
}

/** The step that least squares give for the codes; `step` where they are all the same. */
function regress(step: v128): v128 {
  const mean = f32x4.div(hu, h);
  const variance = f32x4.sub(huu, f32x4.mul(mean, hu));
  const covariance = f32x4.sub(hut, f32x4.mul(mean, ht));
  const varies = f32x4.gt(variance, f32x4.mul(h, f32x4.splat(1e-4)));
  return v128.bitselect(f32x4.div(covariance, f32x4.max(variance, f32x4.splat(1e-30))), step, varies);
}

@inline
function wholeStep(step: v128): v128 {
  return f32x4.max(f32x4.min(f32x4.nearest(step), f32x4.splat(<f32>STEP_LIMIT)), f32x4.splat(1));
}

/** The offset that goes with a step and the codes, such that every code's weight is within the limit. */
@inline
function wholeOffset(step: v128): v128 {
  const limit = f32x4.splat(<f32>INTEGER_LIMIT);
  const best = f32x4.nearest(f32x4.div(f32x4.sub(ht, f32x4.mul(step, hu)), h));
  const highest = f32x4.sub(limit, f32x4.mul(step, f32x4.splat(TOP_CODE)));
  return f32x4.min(f32x4.max(best, f32x4.neg(limit)), highest);
}

/** Σ h · (step · u + offset − t)² from the sums. */
function errorOf(step: v128, offset: v128): v128 {
  const two = f32x4.splat(2);
  const squares = f32x4.add(htt, f32x4.mul(f32x4.mul(step, step), huu));
  const cross = f32x4.mul(step, f32x4.sub(f32x4.mul(offset, hu), hut));
  const rest = f32x4.mul(offset, f32x4.sub(f32x4.mul(offset, h), f32x4.mul(two, ht)));
  return f32x4.add(f32x4.add(squares, f32x4.mul(two, cross)), rest);
}

/** Four rows of one group. */
function fitFour(targets: usize, importance: usize, columns: i32, steps: usize, offsets: usize): void {
  let low = v128.load(targets);
  let high = low;
  let sh = f32x4.splat(0);
  let st = f32x4.splat(0);
  let stt = f32x4.splat(0);
  for (let i: usize = 0; i < <usize>columns; i++) {
    const t = v128.load(targets + i * ROW);
    low = f32x4.min(low, t);
    high = f32x4.max(high, t);
    const weight = v128.load_splat<f32>(importance + (i << 2));
    const weighted = f32x4.mul(weight, t);
    sh = f32x4.add(sh, weight);
    st = f32x4.add(st, weighted);
    stt = f32x4.add(stt, f32x4.mul(weighted, t));
  }
  h = sh;
  ht = st;
  htt = stt;
  const middle = f32x4.mul(f32x4.add(low, high), f32x4.splat(0.5));
  const range = f32x4.sub(high, low);
  let bestStep = f32x4.splat(1);
  let bestOffset = f32x4.splat(0);
  let least = f32x4.splat(f32.MAX_VALUE);
  for (let i = 0; i < TRIES; i++) {
    const part = f32x4.mul(range, f32x4.splat(1 - NARROWER * <f32>i));
    let step = f32x4.mul(part, f32x4.splat(1 / TOP_CODE));
    const offset = f32x4.sub(middle, f32x4.mul(part, f32x4.splat(0.5)));
    assign(targets, importance, columns, step, offset);
    step = regress(step);
    // Once more from the line that fits the codes.
    assign(targets, importance, columns, step, f32x4.div(f32x4.sub(ht, f32x4.mul(step, hu)), h));
    const whole = wholeStep(regress(step));
    const wholeZ = wholeOffset(whole);
    const error = errorOf(whole, wholeZ);
    const better = f32x4.lt(error, least);
    least = v128.bitselect(error, least, better);
    bestStep = v128.bitselect(whole, bestStep, better);
    bestOffset = v128.bitselect(wholeZ, bestOffset, better);
  }
  v128.store(steps, bestStep);
  v128.store(offsets, bestOffset);
}

/**
 * Steps and offsets of every group of 16 rows, integers as float32.
 *
 * @param targets float32 [columns, 16], the weights divided by their rows' scales
 * @param importance float32 [columns], positive: what a squared error of a column weighs
 * @param steps float32 [groups, 16]
 * @param offsets likewise
 */
export function fitSteps(targets: usize, importance: usize, columns: i32, steps: usize, offsets: usize): void {
  for (let first = 0; first < columns; first += GROUP_COLUMNS) {
    const count = min(GROUP_COLUMNS, columns - first);
    for (let four: usize = 0; four < ROW; four += 16) fitFour(targets + four, importance, count, steps + four, offsets + four);
    targets += ROW * <usize>count;
    importance += (<usize>count) << 2;
    steps += ROW;
    offsets += ROW;
  }
}
