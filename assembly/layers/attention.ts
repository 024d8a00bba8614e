// Causal multi-head attention (Vaswani et al. 2017) over a paged int8 cache.
//
// A layer's cache is five stretches, each with what all blocks of 16 positions have there, block after block:
//
//   ┌──────────────────┬───────────────────┬─────────────────┬─────────────────┬─────────────────────────────────┐
//   │ keys of          │ keys of           │ values of       │ values of       │ scales: of the keys [head][16]  │
//   │ positions 0–7    │ positions 8–15    │ dimensions 0–7  │ dimensions 8–15 │ then of the values [head][16]   │
//   │ [head][dim/2][16]│ [head][dim/2][16] │ [head][dim/16]  │ of every 16     │ float32                         │
//   │                  │                   │ [pos/2][16]     │                 │                                 │
//   └──────────────────┴───────────────────┴─────────────────┴─────────────────┴─────────────────────────────────┘
//     M_KV_PLANE bytes   M_KV_PLANE          M_KV_PLANE        M_KV_PLANE
//
// Keys are packed like weights (abi.ts) with positions as rows, so a score is the matrix kernel's dot product.
// Values are packed with dimensions as rows and positions as columns, so their weighted sum is one, too. And as
// with the weights, two streams are read side by side. Positions that are not written yet hold anything: their
// scores are masked, their probabilities are zero.

import {
  BLOCK_POSITIONS,
  L_ATTENTION_SCALE,
  L_WINDOW,
  M_HEADS,
  M_HEAD_SUMS,
  M_HEAD_DIM,
  M_HEAD_DIM_PAD,
  M_HIDDEN,
  M_HIDDEN_STRIDE,
  M_KV,
  M_KV_LAYER_BYTES,
  M_KV_PLANE,
  M_NORMED,
  M_PROBS,
  M_ROWS,
  M_SCORES,
  M_TABLES,
  M_TABLE_STRIDE,
  M_VALUE_SCALES,
  M_WIDTH,
  M_WIDTH_PAD,
  ROW_BYTES,
  ROW_POSITION,
  ROW_SEQUENCE,
} from "../abi";
import { exp4, maxLane, sumLanes } from "../kernels/math";
import { ofLayer, pointer, real, size } from "../descriptor";
import { absMax, quantize, round4 } from "../kernels/quantize";

@inline
function rowField(row: i32, field: i32): i32 {
  return load<i32>(pointer(M_ROWS) + (<usize>row) * ROW_BYTES + ((<usize>field) << 2));
}

/** Block table of the sequence that `row` belongs to. */
@inline
function blockTable(row: i32): usize {
  return pointer(M_TABLES) + (<usize>rowField(row, ROW_SEQUENCE)) * pointer(M_TABLE_STRIDE);
}

/** Bytes of one block in one plane. */
@inline
function planeBytes(): usize {
  return (<usize>size(M_HEADS)) * (<usize>size(M_HEAD_DIM_PAD)) * (BLOCK_POSITIONS / 2);
}

/** First byte of `layer`'s keys, plane 0, in the block that the table's entry `index` names. */
@inline
function blockKeys(table: usize, index: i32, layer: i32): usize {
  return pointer(M_KV) + (<usize>layer) * pointer(M_KV_LAYER_BYTES) + (<usize>load<u32>(table + ((<usize>index) << 2))) * planeBytes();
}

/** First byte of its values, plane 0. */
@inline
function blockValues(table: usize, index: i32, layer: i32): usize {
  return blockKeys(table, index, layer) + 2 * pointer(M_KV_PLANE);
}

/** First of its key scales; the value scales follow. */
@inline
function blockScales(table: usize, index: i32, layer: i32): usize {
  return (
    pointer(M_KV) +
    (<usize>layer) * pointer(M_KV_LAYER_BYTES) +
    4 * pointer(M_KV_PLANE) +
    (<usize>load<u32>(table + ((<usize>index) << 2))) * (<usize>size(M_HEADS)) * (BLOCK_POSITIONS * 8)
  );
}

/** Largest |x| of `n` float32, any n. */
@inline
function absMaxAny(x: usize, n: i32): f32 {
  let largest = absMax(x, n & ~3);
  for (let i = n & ~3; i < n; i++) largest = max(largest, abs(load<f32>(x + ((<usize>i) << 2))));
  return largest;
}

/** Bytes from a head's first to column 4 · `quad` + `i` of a position's key. */
@inline
function keyPlace(quad: usize, i: usize): usize {
  return (quad << 5) + ((i >> 1) << 4) + ((i & 1) << 1);
}

/** Bytes from a head's first to dimension 4 · `quad` + `i` of a position's value; `plane` bytes between the planes. */
@inline
function valuePlace(quad: usize, i: usize, plane: usize): usize {
  return ((quad >> 2) << 7) + ((quad >> 1) & 1) * plane + (i << 2) + (quad & 1);
}

/** Writes the row's keys and values (float32, from the fused projection) into its place in the cache. */
export function storeKeyValue(row: i32, layer: i32): void {
  const position = rowField(row, ROW_POSITION);
  const j = position & (BLOCK_POSITIONS - 1);
  const heads = size(M_HEADS);
  const headDim = size(M_HEAD_DIM);
  const headBytes = (<usize>size(M_HEAD_DIM_PAD)) * (BLOCK_POSITIONS / 2);
  const plane = pointer(M_KV_PLANE);
  const table = blockTable(row);
  const index = position >> 4;
  const hidden = pointer(M_HIDDEN) + (<usize>row) * pointer(M_HIDDEN_STRIDE);
  const width = (<usize>size(M_WIDTH)) << 2;
  let keys = blockKeys(table, index, layer) + (j & 8 ? plane : 0) + <usize>(((j & 3) << 2) + ((j >> 2) & 1));
  let values = blockValues(table, index, layer) + <usize>(((j >> 1) << 4) + ((j & 1) << 1));
  let scales = blockScales(table, index, layer) + ((<usize>j) << 2);
  const valueScales = (<usize>heads) * BLOCK_POSITIONS * 4;
  const keyFlip = j & 4 ? 0 : 0x80;
  let key = hidden + width;
  let value = key + width;
  for (let h = 0; h < heads; h++) {
    const keyMax = absMaxAny(key, headDim);
    const valueMax = absMaxAny(value, headDim);
    const keyFactor: f32 = keyMax < 1e-30 ? 0 : 127 / keyMax;
    const valueFactor: f32 = valueMax < 1e-30 ? 0 : 127 / valueMax;
    store<f32>(scales, keyMax / 127);
    store<f32>(scales + valueScales, valueMax / 127);
    const quads = (<usize>headDim) >> 2;
    for (let quad: usize = 0; quad < quads; quad++) {
      const k = round4(f32x4.mul(v128.load(key + (quad << 4)), f32x4.splat(keyFactor)));
      store<u8>(keys + keyPlace(quad, 0), i32x4.extract_lane(k, 0) ^ keyFlip);
      store<u8>(keys + keyPlace(quad, 1), i32x4.extract_lane(k, 1) ^ keyFlip);
      store<u8>(keys + keyPlace(quad, 2), i32x4.extract_lane(k, 2) ^ keyFlip);
      store<u8>(keys + keyPlace(quad, 3), i32x4.extract_lane(k, 3) ^ keyFlip);
      const v = round4(f32x4.mul(v128.load(value + (quad << 4)), f32x4.splat(valueFactor)));
      const valueFlip = quad & 1 ? 0 : 0x80;
      store<u8>(values + valuePlace(quad, 0, plane), i32x4.extract_lane(v, 0) ^ valueFlip);
      store<u8>(values + valuePlace(quad, 1, plane), i32x4.extract_lane(v, 1) ^ valueFlip);
      store<u8>(values + valuePlace(quad, 2, plane), i32x4.extract_lane(v, 2) ^ valueFlip);
      store<u8>(values + valuePlace(quad, 3, plane), i32x4.extract_lane(v, 3) ^ valueFlip);
    }
    // A head's width need not be a multiple of four.
    for (let i: usize = 0, rest = <usize>headDim & 3; i < rest; i++) {
      const at = (quads << 4) + (i << 2);
      store<u8>(keys + keyPlace(quads, i), <i32>nearest(load<f32>(key + at) * keyFactor) ^ keyFlip);
      store<u8>(values + valuePlace(quads, i, plane), <i32>nearest(load<f32>(value + at) * valueFactor) ^ (quads & 1 ? 0 : 0x80));
    }
    keys += headBytes;
    values += headBytes;
    scales += BLOCK_POSITIONS * 4;
    key += (<usize>headDim) << 2;
    value += (<usize>headDim) << 2;
  }
}

// A row's attention goes over the cache block by block, all heads of a block together, because that is how they
// lie in memory: a sequence that was given its blocks in order reads one stream of keys, then one of values.
// Head by head it would jump 12 KB after every 1 KB, and wait for memory each time (contexts of 1000: half the
// step); with a block's layers, keys and values side by side it jumped after every 12 KB.
//
// Per head and row, in M_HEAD_SUMS: scale float32 [heads] and sum int32 [heads] of the quantized query, later
// of the probabilities; then int32 [heads, headDimPad / 16, 4, 4], the four accumulators of 16 dimensions.

@inline
function scaleOf(head: i32): usize {
  return pointer(M_HEAD_SUMS) + ((<usize>head) << 2);
}

@inline
function sumOf(heads: i32, head: i32): usize {
  return pointer(M_HEAD_SUMS) + ((<usize>(heads + head)) << 2);
}

/** First of the accumulators: 16-byte aligned behind the scales and sums. */
@inline
function accumulators(heads: i32): usize {
  return pointer(M_HEAD_SUMS) + (((<usize>heads) * 8 + 15) & ~15);
}

/** Every head's query as int16 [headDimPad], zero-padded, one after another where the probabilities go later. */
function quantizeQueries(query: usize, heads: i32, headDim: i32, headDimPad: i32): void {
  const scratch = pointer(M_SCORES);
  let target = pointer(M_PROBS);
  for (let h = 0; h < heads; h++) {
    let from = query;
    if (headDim != headDimPad) {
      memory.copy(scratch, query, (<usize>headDim) << 2);
      memory.fill(scratch + ((<usize>headDim) << 2), 0, (<usize>(headDimPad - headDim)) << 2);
      from = scratch;
    }
    quantize(from, headDimPad, headDim, absMax(from, headDimPad), target, scaleOf(h), sumOf(heads, h));
    query += (<usize>headDim) << 2;
    target += (<usize>headDimPad) << 1;
  }
}

/**
 * scores[head, i] = query · key[i] · scale for the 16 positions of a block: the matrix kernel of matmul.ts with
 * the positions as rows, one head after another. Gathers the value scales, too.
 *
 * @param key the block's keys in plane 0
 * @param plane bytes from there to plane 1
 * @param keyScale float32 [heads, 16]; the value scales follow
 * @param query int16 [heads, headDimPad]
 * @param scores float32 [heads, 16], heads `stride` bytes apart, as are the valueScales
 */
export function scoreBlock(
  key: usize,
  plane: usize,
  keyScale: usize,
  heads: i32,
  headDimPad: i32,
  query: usize,
  scale: f32,
  scores: usize,
  valueScales: usize,
  stride: usize,
): void {
  const queryBytes = (<usize>headDimPad) << 1;
  let other = key + plane;
  const gap = (<usize>heads) * (BLOCK_POSITIONS * 4);
  for (let h = 0; h < heads; h++) {
    let d0 = i32x4.splat(0);
    let b0 = i32x4.splat(0);
    let d1 = i32x4.splat(0);
    let b1 = i32x4.splat(0);
    for (const end = query + queryBytes; query < end; query += 4, key += 16, other += 16) {
      const pair = v128.load_splat<i32>(query);
      const u = v128.load(key);
      const v = v128.load(other);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u, pair));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u, 8), pair));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v, pair));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v, 8), pair));
    }
    const bias = i32x4.splat(load<i32>(sumOf(heads, h)) << 7);
    const factor = f32x4.splat(load<f32>(scaleOf(h)) * scale);
    storeScores(scores, i32x4.sub(i32x4.sub(d0, i32x4.shl(b0, 8)), bias), factor, keyScale);
    storeScores(scores + 16, b0, factor, keyScale + 16);
    storeScores(scores + 32, i32x4.sub(i32x4.sub(d1, i32x4.shl(b1, 8)), bias), factor, keyScale + 32);
    storeScores(scores + 48, b1, factor, keyScale + 48);
    for (let i: usize = 0; i < 64; i += 16) v128.store(valueScales + i, v128.load(keyScale + gap + i));
    keyScale += BLOCK_POSITIONS * 4;
    scores += stride;
    valueScales += stride;
  }
}

@inline
function storeScores(to: usize, sums: v128, factor: v128, keyScale: usize): void {
  v128.store(to, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(sums), factor), v128.load(keyScale)));
}

/**
 * One head's softmax numerators times the value scales, as int16 probabilities: Σ probs · values, times the
 * factor that is left at scaleOf(head), is the output.
 *
 * @param scores float32 [n], −∞ where masked; n a multiple of 16
 */
function softmax(heads: i32, head: i32, scores: usize, valueScales: usize, n: i32, attended: i32, probs: usize): void {
  const bytes = (<usize>n) << 2;
  let tops = f32x4.splat(-Infinity);
  for (let i: usize = 0; i < bytes; i += 16) tops = f32x4.pmax(tops, v128.load(scores + i));
  const top = f32x4.splat(maxLane(tops));
  let sum = f32x4.splat(0);
  let largest = f32x4.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    const e = exp4(f32x4.sub(v128.load(scores + i), top));
    sum = f32x4.add(sum, e);
    const weighted = f32x4.mul(e, v128.load(valueScales + i));
    largest = f32x4.pmax(largest, weighted);
    v128.store(scores + i, weighted);
  }
  const scale = scaleOf(head);
  quantize(scores, n, attended, maxLane(largest), probs, scale, sumOf(heads, head));
  store<f32>(scale, load<f32>(scale) / sumLanes(sum));
}

/**
 * Adds the 16 positions of a block to every head's accumulators: the matrix kernel with 16 dimensions as rows,
 * kept in memory from block to block.
 *
 * @param values of the block, in plane 0
 * @param plane bytes from there to plane 1
 * @param probs int16 [heads, 16], heads `stride` bytes apart
 * @param groups headDimPad / 16
 */
export function addValues(values: usize, plane: usize, heads: i32, groups: i32, probs: usize, stride: usize, target: usize): void {
  let other = values + plane;
  for (let h = 0; h < heads; h++) {
    for (const end = target + ((<usize>groups) << 6); target < end; target += 64) {
      let d0 = v128.load(target);
      let b0 = v128.load(target, 16);
      let d1 = v128.load(target, 32);
      let b1 = v128.load(target, 48);
      for (let p = probs, until = probs + BLOCK_POSITIONS * 2; p < until; p += 4, values += 16, other += 16) {
        const pair = v128.load_splat<i32>(p);
        const u = v128.load(values);
        const v = v128.load(other);
        d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u, pair));
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u, 8), pair));
        d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v, pair));
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v, 8), pair));
      }
      v128.store(target, d0);
      v128.store(target, b0, 16);
      v128.store(target, d1, 32);
      v128.store(target, b1, 48);
    }
    probs += stride;
  }
}

/** Every head's accumulators become outputs, float32 [width]; padded dimensions spill into the next head's place. */
function storeOutputs(heads: i32, headDim: i32, groups: i32, out: usize): void {
  let from = accumulators(heads);
  for (let h = 0; h < heads; h++) {
    const offset = i32x4.splat(load<i32>(sumOf(heads, h)) << 7);
    const factor = f32x4.splat(load<f32>(scaleOf(h)));
    for (let g: usize = 0; g < <usize>groups; g++, from += 64) {
      const at = out + (g << 6);
      for (let i: usize = 0; i < 64; i += 32) {
        const b = v128.load(from + i, 16);
        const a = i32x4.sub(i32x4.sub(v128.load(from + i), i32x4.shl(b, 8)), offset);
        v128.store(at + i, f32x4.mul(f32x4.convert_i32x4_s(a), factor));
        v128.store(at + i, f32x4.mul(f32x4.convert_i32x4_s(b), factor), 16);
      }
    }
    out += (<usize>headDim) << 2;
  }
}

/**
 * Attention of one row over its own sequence's positions start … position, all heads.
 * The result is left in the normed row, float32 [width], zero-padded.
 */
export function attend(row: i32, layer: i32): void {
  const position = rowField(row, ROW_POSITION);
  const window = size(ofLayer(layer, L_WINDOW));
  const start = window > 0 ? max(0, position - window + 1) : 0;
  const first = start >> 4;
  const blocks = (position >> 4) - first + 1;
  const n = blocks << 4;
  const table = blockTable(row);
  const plane = pointer(M_KV_PLANE);
  const heads = size(M_HEADS);
  const headDim = size(M_HEAD_DIM);
  const headDimPad = size(M_HEAD_DIM_PAD);
  const groups = headDimPad >> 4;
  const scores = pointer(M_SCORES);
  const valueScales = pointer(M_VALUE_SCALES);
  const probs = pointer(M_PROBS);
  const stride = (<usize>n) << 2;
  const scale = real(ofLayer(layer, L_ATTENTION_SCALE));

  quantizeQueries(pointer(M_HIDDEN) + (<usize>row) * pointer(M_HIDDEN_STRIDE), heads, headDim, headDimPad);
  for (let b = 0; b < blocks; b++) {
    const offset = (<usize>b) << 6;
    scoreBlock(
      blockKeys(table, first + b, layer), plane, blockScales(table, first + b, layer),
      heads, headDimPad, probs, scale, scores + offset, valueScales + offset, stride,
    );
  }
  const before = (<usize>(start - (first << 4))) << 2;
  const behind = (<usize>(position + 1 - (first << 4))) << 2;
  for (let h = 0; h < heads; h++) {
    const at = (<usize>h) * stride;
    for (let i: usize = 0; i < before; i += 4) store<f32>(scores + at + i, -Infinity);
    for (let i = behind; i < stride; i += 4) store<f32>(scores + at + i, -Infinity);
    softmax(heads, h, scores + at, valueScales + at, n, position - start + 1, probs + (at >> 1));
  }

  const sums = accumulators(heads);
  const headSums = (<usize>groups) << 6;
  memory.fill(sums, 0, (<usize>heads) * headSums);
  for (let b = 0; b < blocks; b++)
    addValues(blockValues(table, first + b, layer), plane, heads, groups, probs + ((<usize>b) << 5), stride >> 1, sums);
  const out = pointer(M_NORMED);
  storeOutputs(heads, headDim, groups, out);
  // The last head's padded dimensions spilled past the width.
  const width = (<usize>size(M_WIDTH)) << 2;
  memory.fill(out + width, 0, ((<usize>size(M_WIDTH_PAD)) << 2) - width);
}
