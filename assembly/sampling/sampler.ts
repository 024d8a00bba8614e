// From logits to a token. The logits are read where head() left them; the vocabulary never leaves wasm.

import { HISTOGRAM_BUCKETS, M_LOGITS_STRIDE, M_VOCAB } from "../abi";
import { pointer, size } from "../descriptor";
import { exp4, maxLane } from "../kernels/math";
import { REGION_LOGITS, REGION_MASK, REGION_PAIRS, REGION_SAMPLER, REGION_TOP } from "../regions";
import { random } from "./pcg32";

/** float32 [4]. */
const lanes: usize = memory.data(16, 16);

@inline
function logitsOf(slot: i32): usize {
  return pointer(REGION_LOGITS) + (<usize>slot) * pointer(M_LOGITS_STRIDE);
}

/** Bytes of a slot's logits, −∞ in the padding. */
@inline
function vocabBytes(): usize {
  return pointer(M_LOGITS_STRIDE);
}

@inline
function largestLogit(logits: usize): f32 {
  let largest = f32x4.splat(-Infinity);
  for (const end = logits + vocabBytes(); logits < end; logits += 64) {
    const low = f32x4.pmax(v128.load(logits), v128.load(logits, 16));
    const high = f32x4.pmax(v128.load(logits, 32), v128.load(logits, 48));
    largest = f32x4.pmax(largest, f32x4.pmax(low, high));
  }
  return maxLane(largest);
}

/** Id of the largest logit, the lowest id of several; −1 if the logits are not numbers, which a damaged model gives. */
function argmax(logits: usize): i32 {
  const largest = f32x4.splat(largestLogit(logits));
  for (let at = logits, end = logits + vocabBytes(); at < end; at += 16) {
    const mask = i32x4.bitmask(f32x4.eq(v128.load(at), largest));
    if (!mask) continue;
    const id = <i32>((at - logits) >> 2) + ctz(mask);
    // Where no logit is a number, the padding's −∞ is the largest.
    return id < size(M_VOCAB) ? id : -1;
  }
  return -1;
}

/** ln Σ exp(logits), summed in float64. */
export function logSumExp(slot: i32): f64 {
  const logits = logitsOf(slot);
  const largest = largestLogit(logits);
  const offset = f32x4.splat(largest);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (let at = logits, end = logits + vocabBytes(); at < end; at += 16) {
    const e = exp4(f32x4.sub(v128.load(at), offset));
    low = f64x2.add(low, f64x2.promote_low_f32x4(e));
    high = f64x2.add(high, f64x2.promote_low_f32x4(i32x4.shuffle(e, e, 2, 3, 2, 3)));
  }
  const sum = f64x2.add(low, high);
  return <f64>largest + Math.log(f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1));
}

/** Writes the `k` ≤ MAX_TOP largest logits to REGION_TOP as (id, logit), largest first, the lower id first among equals. */
export function topLogits(slot: i32, k: i32): void {
  const top = pointer(REGION_TOP);
  let lastAt = top - 8;
  for (; k; k--) {
    lastAt += 8;
    // Id −1 and logit −∞.
    store<u64>(lastAt, 0xff800000ffffffff);
  }
  const logits = logitsOf(slot);
  for (let at = logits, end = logits + vocabBytes(); at < end; at += 16) {
    let mask = i32x4.bitmask(f32x4.gt(v128.load(at), v128.load_splat<i32>(lastAt, 4)));
    for (; mask; mask &= mask - 1) {
      const lane = (<usize>ctz(mask)) << 2;
      const value = load<f32>(at + lane);
      let place = lastAt;
      if (!(value > load<f32>(place, 4))) continue;
      for (; place > top && load<f32>(place - 8, 4) < value; place -= 8) store<u64>(place, load<u64>(place - 8));
      store<i32>(place, <i32>((at + lane - logits) >> 2));
      store<f32>(place, value, 4);
    }
  }
}

/**
 * For the `count` pairs (int32 id, int32 times generated) at REGION_PAIRS: the repetition penalty as in HF's
 * RepetitionPenaltyLogitsProcessor, then OpenAI's presence and frequency penalties. A token that occurs only in
 * the prompt is listed with 0 times: the first applies to it, the others do not.
 */
export function penalize(slot: i32, count: i32, repetition: f32, presence: f32, frequency: f32): void {
  const logits = logitsOf(slot);
  let pair = pointer(REGION_PAIRS);
  for (let i = 0; i < count; i++, pair += 8) {
    const at = logits + ((<usize>load<i32>(pair)) << 2);
    const times = load<i32>(pair, 4);
    let value = load<f32>(at);
    value = value > 0 ? value / repetition : value * repetition;
    if (times > 0) value -= presence + frequency * <f32>times;
    // Finite, so that the largest logit is a number whatever the penalties are.
    store<f32>(at, min(max(value, -f32.MAX_VALUE), f32.MAX_VALUE));
  }
}

/** logits[id] = −∞ for each token whose bit at REGION_MASK is 0. */
export function mask(slot: i32): void {
  const logits = logitsOf(slot);
  const lane = i32x4(1, 2, 4, 8);
  let offset: usize = 0;
  do {
    const bits = <i32>load<u8>(pointer(REGION_MASK) + (offset >> 5)) >> <i32>((offset >> 2) & 4);
    const possible = v128.eq<i32>(v128.and(i32x4.splat(bits), lane), lane);
    const at = logits + offset;
    v128.store(at, v128.bitselect(v128.load(at), f32x4.splat(-Infinity), possible));
    offset += 16;
  } while (offset < vocabBytes());
}

/** Restores the heap of float32 at `heap` (smallest first) after its root was replaced. */
function siftDown(heap: usize, count: i32, value: f32): void {
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= count) break;
    let smallest = load<f32>(heap + ((<usize>child) << 2));
    if (child + 1 < count) {
      const right = load<f32>(heap + ((<usize>(child + 1)) << 2));
      if (right < smallest) {
        smallest = right;
        child++;
      }
    }
    if (smallest >= value) break;
    store<f32>(heap + ((<usize>i) << 2), smallest);
    i = child;
  }
  store<f32>(heap + ((<usize>i) << 2), value);
}

/** The k-th largest logit: a heap of the k largest so far, four logits compared with its root at a time. */
function kthLargest(logits: usize, k: i32, heap: usize): f32 {
  for (let i: usize = 0; i < <usize>k; i++) store<f32>(heap + (i << 2), -Infinity);
  for (const end = logits + vocabBytes(); logits < end; logits += 16) {
    let mask = i32x4.bitmask(f32x4.gt(v128.load(logits), v128.load_splat<i32>(heap)));
    for (; mask; mask &= mask - 1) {
      const value = load<f32>(logits + ((<usize>ctz(mask)) << 2));
      if (value > load<f32>(heap)) siftDown(heap, k, value);
    }
  }
  return load<f32>(heap);
}

/**
 * Smallest weight of the nucleus: the largest τ with Σ{weights ≥ τ} ≥ mass. A radix select on the bits of the
 * floats, whose order is that of the numbers: 11, 11 and 9 bits, each with a histogram of the mass.
 */
function nucleus(weights: usize, count: i32, mass: f64): f32 {
  const histogram = weights + vocabBytes();
  const end = weights + ((<usize>count) << 2);
  let prefix: u32 = 0;
  let above: f64 = 0;
  for (let shift = 20; shift >= 0; shift = shift == 20 ? 9 : shift - 9) {
    const bits = shift ? 11 : 9;
    memory.fill(histogram, 0, HISTOGRAM_BUCKETS * 8);
    for (let at = weights; at < end; at += 4) {
      const pattern = load<u32>(at);
      if (pattern >> (shift + bits) != prefix) continue;
      const bucket = histogram + ((<usize>((pattern >> shift) & ((1 << bits) - 1))) << 3);
      store<f64>(bucket, load<f64>(bucket) + <f64>load<f32>(at));
    }
    let bucket = (1 << bits) - 1;
    for (; bucket > 0; bucket--) {
      const inside = load<f64>(histogram + ((<usize>bucket) << 3));
      if (inside > 0 && above + inside >= mass) break;
      above += inside;
    }
    prefix = (prefix << bits) | bucket;
  }
  return reinterpret<f32>(prefix);
}

/**
 * Draws a token: softmax of logits / temperature, cut to the `topK` likeliest (0: all), then to the nucleus of
 * mass `topP`, then to those at least `minP` times as likely as the likeliest: Hugging Face's order. A token
 * that ties with the last one kept is kept, too.
 *
 * Tokens below e^−87 of the likeliest count as impossible.
 *
 * @param sequence whose random numbers to use
 * @param temperature 0 takes the likeliest token
 * @returns the token's id; −1 if the logits are not numbers
 */
export function sample(slot: i32, sequence: i32, temperature: f32, topK: i32, topP: f32, minP: f32): i32 {
  const logits = logitsOf(slot);
  // Below this the reciprocal overflows; the likeliest token has all the mass long before.
  if (temperature < 1e-30) return argmax(logits);
  const weights = pointer(REGION_SAMPLER);
  const ids = weights + vocabBytes() + HISTOGRAM_BUCKETS * 8;
  const threshold = f32x4.splat(topK > 0 ? kthLargest(logits, topK, weights) : -Infinity);
  const largest = f32x4.splat(largestLogit(logits));
  const inverse = f32x4.splat(<f32>1 / temperature);

  // Candidates, in the order of their ids: weights float32 [count], ids int32 [count].
  let count: usize = 0;
  let total: f64 = 0;
  for (let offset: usize = 0, end = vocabBytes(); offset < end; offset += 16) {
    const values = v128.load(logits + offset);
    const kept = f32x4.ge(values, threshold);
    if (!v128.any_true(kept)) continue;
    const e = v128.and(exp4(f32x4.mul(f32x4.sub(values, largest), inverse)), kept);
    let mask = i32x4.bitmask(f32x4.gt(e, f32x4.splat(0)));
    if (mask == 0) continue;
    // The lanes' weights go through memory: candidates are few, or they are all four.
    v128.store(lanes, e);
    for (; mask; mask &= mask - 1) {
      const lane: usize = ctz(mask);
      const weight = load<f32>(lanes + (lane << 2));
      store<f32>(weights + (count << 2), weight);
      store<i32>(ids + (count << 2), <i32>((offset >> 2) + lane));
      total += weight;
      count++;
    }
  }

  // Every logit is −∞, or one is infinite: there is nothing to weigh.
  if (count == 0) return argmax(logits);
  let smallest = minP;
  if (topP < 1) smallest = max(smallest, nucleus(weights, <i32>count, total * <f64>topP));
  let mass: f64 = 0;
  for (let i: usize = 0; i < count; i++) {
    const weight = load<f32>(weights + (i << 2));
    if (weight >= smallest) mass += weight;
  }
  const goal = (<f64>random(sequence) / 4294967296.0) * mass;
  let id = -1;
  let cumulative: f64 = 0;
  for (let i: usize = 0; i < count; i++) {
    const weight = load<f32>(weights + (i << 2));
    if (weight < smallest) continue;
    cumulative += weight;
    id = load<i32>(ids + (i << 2));
    if (cumulative > goal) break;
  }
  return id;
}
