// Causal multi-head attention (Vaswani et al. 2017) over a paged int8 cache.
//
// One layer of one KV block, 16 positions:
//
//   ┌──────────────────────────────┬──────────────────────────────┬──────────────┬──────────────┐
//   │ keys: per head a packed tile │ values: per head, per 16     │ key scales   │ value scales │
//   │ [headDimPad/2][16 pos × 2]   │ dims [8 pairs][16 dim × 2 pos]│ [head][16] f32│ [head][16] f32│
//   └──────────────────────────────┴──────────────────────────────┴──────────────┴──────────────┘
//
// Keys are packed like weights with positions as rows, so a score is the matrix kernel's dot product. Values
// are packed with dimensions as rows and positions as columns, so their weighted sum is one, too. Positions
// that are not written yet hold anything: their scores are masked, their probabilities are zero.

import {
  BLOCK_POSITIONS,
  L_ATTENTION_SCALE,
  L_WINDOW,
  M_HEADS,
  M_HEAD_DIM,
  M_HEAD_DIM_PAD,
  M_HIDDEN,
  M_HIDDEN_STRIDE,
  M_KV,
  M_KV_BLOCK_BYTES,
  M_KV_LAYER_BYTES,
  M_NORMED,
  M_PROBS,
  M_ROWS,
  M_SCORES,
  M_TABLES,
  M_TABLE_STRIDE,
  M_WIDTH,
  M_WIDTH_PAD,
  ROW_BYTES,
  ROW_POSITION,
  ROW_SEQUENCE,
} from "./abi";
import { dot16x1 } from "./matmul";
import { exp4, maxLane, sumLanes } from "./math";
import { ofLayer, pointer, real, size } from "./model";
import { absMax, quantize } from "./quantize";

/** int32 [16] of scores; float32 scale and int32 sum of the quantized query, later of the probabilities. */
const dots: usize = memory.data(64, 16);
const queryScale: usize = memory.data(4, 4);
const querySum: usize = memory.data(4, 4);

@inline
function rowField(row: i32, field: i32): i32 {
  return load<i32>(pointer(M_ROWS) + (<usize>row) * ROW_BYTES + ((<usize>field) << 2));
}

/** Block table of the sequence that `row` belongs to. */
@inline
function blockTable(row: i32): usize {
  return pointer(M_TABLES) + (<usize>rowField(row, ROW_SEQUENCE)) * pointer(M_TABLE_STRIDE);
}

/** First byte of `layer` in the block that the table's entry `index` names. */
@inline
function blockLayer(table: usize, index: i32, layer: i32): usize {
  return (
    pointer(M_KV) +
    (<usize>load<u32>(table + ((<usize>index) << 2))) * pointer(M_KV_BLOCK_BYTES) +
    (<usize>layer) * pointer(M_KV_LAYER_BYTES)
  );
}

/** Largest |x| of `n` float32, any n. */
@inline
function absMaxAny(x: usize, n: i32): f32 {
  let largest: f32 = 0;
  for (let i = 0; i < n; i++) largest = max(largest, abs(load<f32>(x + ((<usize>i) << 2))));
  return largest;
}

/** Writes the row's keys and values (float32, from the fused projection) into its place in the cache. */
export function storeKeyValue(row: i32, layer: i32): void {
  const position = rowField(row, ROW_POSITION);
  const j = position & (BLOCK_POSITIONS - 1);
  const heads = size(M_HEADS);
  const headDim = size(M_HEAD_DIM);
  const tileBytes = (<usize>size(M_HEAD_DIM_PAD)) * BLOCK_POSITIONS;
  const base = blockLayer(blockTable(row), position >> 4, layer);
  const hidden = pointer(M_HIDDEN) + (<usize>row) * pointer(M_HIDDEN_STRIDE);
  const width = (<usize>size(M_WIDTH)) << 2;
  let keys = base + <usize>(((j >> 3) << 4) + ((j & 3) << 2) + ((j >> 2) & 1));
  let values = base + (<usize>heads) * tileBytes + <usize>(((j >> 1) << 5) + ((j & 1) << 1));
  let scales = base + (<usize>heads) * tileBytes * 2 + ((<usize>j) << 2);
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
    for (let d = 0; d < headDim; d++) {
      const at = (<usize>d) << 2;
      const k = <i32>nearest(load<f32>(key + at) * keyFactor);
      store<u8>(keys + <usize>(((d >> 1) << 5) + ((d & 1) << 1)), k ^ keyFlip);
      const v = <i32>nearest(load<f32>(value + at) * valueFactor);
      const place = ((d >> 4) << 8) + (((d >> 3) & 1) << 4) + ((d & 3) << 2) + ((d >> 2) & 1);
      store<u8>(values + <usize>place, v ^ (d & 4 ? 0 : 0x80));
    }
    keys += tileBytes;
    values += tileBytes;
    scales += BLOCK_POSITIONS * 4;
    key += (<usize>headDim) << 2;
    value += (<usize>headDim) << 2;
  }
}

/** int16 of the head's query at `target`, padded with zeros; scale and sum at queryScale and querySum. */
@inline
function quantizeQuery(query: usize, headDim: i32, headDimPad: i32, scratch: usize, target: usize): void {
  let from = query;
  if (headDim != headDimPad) {
    memory.copy(scratch, query, (<usize>headDim) << 2);
    memory.fill(scratch + ((<usize>headDim) << 2), 0, (<usize>(headDimPad - headDim)) << 2);
    from = scratch;
  }
  quantize(from, headDimPad, headDim, absMax(from, headDimPad), target, queryScale, querySum);
}

/** scores[i] = query · key[i] · scale for the positions of the blocks first … last. */
@inline
function scoreKeys(table: usize, layer: i32, first: i32, last: i32, keys: usize, scales: usize, headDimPad: i32, query: usize, scale: f32, scores: usize): void {
  const factor = f32x4.splat(load<f32>(queryScale) * scale);
  const offset = load<i32>(querySum) << 7;
  for (let b = first; b <= last; b++) {
    const block = blockLayer(table, b, layer);
    dot16x1(block + keys, query, headDimPad, offset, dots);
    const scaleAt = block + scales;
    for (let i: usize = 0; i < 64; i += 16)
      v128.store(
        scores + i,
        f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(v128.load(dots + i)), factor), v128.load(scaleAt + i)),
      );
    scores += 64;
  }
}

/**
 * Softmax numerators times the value scales, as int16 probabilities.
 * @returns what turns their int32 sums into outputs: largest / amplitude / Σ exp
 */
@inline
function softmax(table: usize, layer: i32, first: i32, last: i32, scales: usize, attended: i32, scores: usize, probs: usize): f32 {
  const end = scores + ((<usize>(last - first + 1)) << 6);
  let tops = f32x4.splat(-Infinity);
  for (let at = scores; at < end; at += 16) tops = f32x4.max(tops, v128.load(at));
  const top = f32x4.splat(maxLane(tops));

  let sum = f32x4.splat(0);
  let largest = f32x4.splat(0);
  for (let b = first, at = scores; b <= last; b++, at += 64) {
    const scaleAt = blockLayer(table, b, layer) + scales;
    for (let i: usize = 0; i < 64; i += 16) {
      const e = exp4(f32x4.sub(v128.load(at + i), top));
      sum = f32x4.add(sum, e);
      const weighted = f32x4.mul(e, v128.load(scaleAt + i));
      largest = f32x4.max(largest, weighted);
      v128.store(at + i, weighted);
    }
  }
  quantize(scores, (last - first + 1) << 4, attended, maxLane(largest), probs, queryScale, querySum);
  return load<f32>(queryScale) / sumLanes(sum);
}

/** out[d … d+15] = Σ probs · values, for one group of 16 dimensions. */
@inline
function sumValues(table: usize, layer: i32, first: i32, last: i32, values: usize, probs: usize, factor: f32, out: usize): void {
  let d0 = i32x4.splat(0);
  let b0 = i32x4.splat(0);
  let d1 = i32x4.splat(0);
  let b1 = i32x4.splat(0);
  for (let b = first; b <= last; b++) {
    let w = blockLayer(table, b, layer) + values;
    for (const end = probs + BLOCK_POSITIONS * 2; probs < end; probs += 4, w += 32) {
      const p = v128.load_splat<i32>(probs);
      const u = v128.load(w);
      const v = v128.load(w, 16);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u, p));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u, 8), p));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v, p));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v, 8), p));
    }
  }
  const offset = i32x4.splat(load<i32>(querySum) << 7);
  const factors = f32x4.splat(factor);
  const a0 = i32x4.sub(i32x4.sub(d0, i32x4.shl(b0, 8)), offset);
  const a1 = i32x4.sub(i32x4.sub(d1, i32x4.shl(b1, 8)), offset);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(a0), factors));
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(b0), factors), 16);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(a1), factors), 32);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(b1), factors), 48);
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
  const last = position >> 4;
  const table = blockTable(row);
  const heads = size(M_HEADS);
  const headDim = size(M_HEAD_DIM);
  const headDimPad = size(M_HEAD_DIM_PAD);
  const tileBytes = (<usize>headDimPad) * BLOCK_POSITIONS;
  const allKeys = (<usize>heads) * tileBytes;
  const scale = real(ofLayer(layer, L_ATTENTION_SCALE));
  const scores = pointer(M_SCORES);
  const probs = pointer(M_PROBS);
  const out = pointer(M_NORMED);
  let query = pointer(M_HIDDEN) + (<usize>row) * pointer(M_HIDDEN_STRIDE);
  let target = out;
  const masked = (<usize>(position + 1 - (first << 4))) << 2;
  const scoreBytes = (<usize>(last - first + 1)) << 6;
  for (let h: usize = 0; h < <usize>heads; h++) {
    const keyScales = allKeys * 2 + h * (BLOCK_POSITIONS * 4);
    const valueScales = keyScales + (<usize>heads) * (BLOCK_POSITIONS * 4);
    quantizeQuery(query, headDim, headDimPad, scores, probs);
    scoreKeys(table, layer, first, last, h * tileBytes, keyScales, headDimPad, probs, scale, scores);
    for (let i: usize = 0, until = (<usize>(start - (first << 4))) << 2; i < until; i += 4) store<f32>(scores + i, -Infinity);
    for (let i = masked; i < scoreBytes; i += 4) store<f32>(scores + i, -Infinity);
    const factor = softmax(table, layer, first, last, valueScales, position - start + 1, scores, probs);
    for (let d = 0; d < headDimPad; d += 16)
      sumValues(table, layer, first, last, allKeys + h * tileBytes + ((<usize>d) << 4), probs, factor, target + ((<usize>d) << 2));
    query += (<usize>headDim) << 2;
    target += (<usize>headDim) << 2;
  }
  // Padded dimensions of the last head spilled past the width.
  memory.fill(target, 0, out + ((<usize>size(M_WIDTH_PAD)) << 2) - target);
}
