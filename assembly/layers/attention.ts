// Causal attention (Vaswani et al. 2017) over the paged int8 cache (kv-cache.ts). Several heads of queries may share a
// head of keys and values (grouped queries, Ainslie et al. 2023): each block of the cache is then read once for all of
// them.
//
// A row's attention goes over the cache block by block, all heads of a block together, because that is how they
// lie in memory: a sequence that was given its blocks in order reads one stream of keys, then one of values.
// Head by head it would jump 12 KB after every 1 KB, and wait for memory each time (contexts of 1000: half the
// step); with a block's layers, keys and values side by side it jumped after every 12 KB.
//
// Per head of queries, in REGION_HEAD_SUMS: scale float32 [heads] and sum int32 [heads] of the quantized query, later
// of the probabilities; then int32 [heads, headPad / 16, 4, 4], the four accumulators of 16 channels.

import {
  BLOCK_POSITIONS,
  L_ATTENTION_OUTPUT,
  L_QUERY_KEY_VALUE,
  L_QUERY_NORM,
  L_SCORE_SCALE,
  L_WINDOW,
  M_HEADS,
  M_HEAD_SIZE,
  M_KEY_VALUE_HEADS,
  M_KV_PLANE,
  M_OUTPUT_STRIDE,
  ROW_POSITION,
} from "../abi";
import { ofLayer, pointer, real, size } from "../descriptor";
import { linearStrips } from "../kernels/matmul";
import { exp4, maxLane, sumLanes } from "../kernels/math";
import { absMax, amplitude, quantize, quantizeRow } from "../kernels/quantize";
import {
  REGION_HEAD_SUMS,
  REGION_NORMED,
  REGION_OUTPUT,
  REGION_PROBABILITIES,
  REGION_SCORES,
  REGION_VALUE_SCALES,
} from "../regions";
import { padded, stripsOf } from "../tensor";
import { blockKeys, blockScales, blockTable, blockValues, headPad, prepareHeads, queriesOf, storeKeyValue } from "./kv-cache";
import { addToResidual, narrow, rowField } from "./residual";

@inline
function scaleOf(head: i32): usize {
  return pointer(REGION_HEAD_SUMS) + ((<usize>head) << 2);
}

@inline
function sumOf(head: i32): usize {
  return pointer(REGION_HEAD_SUMS) + ((<usize>(size(M_HEADS) + head)) << 2);
}

/** First of the accumulators: 16-byte aligned behind the scales and sums. */
@inline
function accumulators(): usize {
  return pointer(REGION_HEAD_SUMS) + (((<usize>size(M_HEADS)) * 8 + 15) & ~15);
}

/** Heads of queries that share a head of keys and values. */
@inline
function queriesPerHead(): i32 {
  return size(M_HEADS) / size(M_KEY_VALUE_HEADS);
}

/** Every head's query as int16 [headPad], zero-padded, one after another where the probabilities go later. */
function quantizeQueries(query: usize): void {
  const headSize = size(M_HEAD_SIZE);
  const pad = headPad();
  const scratch = pointer(REGION_SCORES);
  const bytes = (<usize>headSize) << 2;
  let target = pointer(REGION_PROBABILITIES);
  for (let h = 0, heads = size(M_HEADS); h < heads; h++) {
    let from = query;
    if (headSize != pad) {
      memory.copy(scratch, query, bytes);
      memory.fill(scratch + bytes, 0, ((<usize>pad) << 2) - bytes);
      from = scratch;
    }
    quantize(from, pad, <f32>amplitude(headSize), absMax(from, pad), target, scaleOf(h), sumOf(h));
    query += bytes;
    target += (<usize>pad) << 1;
  }
}

/**
 * scores[head, i] = query · key[i] · scale for the 16 positions of a block: the matrix kernel of dot8.ts with the
 * positions as rows, one head after another. Gathers the value scales, too.
 *
 * @param key the block's keys in plane 0
 * @param keyScale float32 [keyValueHeads, 16]; the value scales follow
 * @param scale factor on every score
 * @param scores float32 [heads, 16], heads `stride` bytes apart
 * @param valueScales float32 [keyValueHeads, 16], likewise
 */
export function scoreBlock(key: usize, keyScale: usize, scale: f32, scores: usize, valueScales: usize, stride: usize): void {
  const keyValueHeads = size(M_KEY_VALUE_HEADS);
  const queries = queriesPerHead();
  const queryBytes = (<usize>headPad()) << 1;
  const plane = pointer(M_KV_PLANE);
  const gap = (<usize>keyValueHeads) * (BLOCK_POSITIONS * 4);
  let query = pointer(REGION_PROBABILITIES);
  for (let h = 0, head = 0; h < keyValueHeads; h++) {
    for (let q = 0; q < queries; q++, head++) {
      let d0 = i32x4.splat(0);
      let b0 = i32x4.splat(0);
      let d1 = i32x4.splat(0);
      let b1 = i32x4.splat(0);
      let at = key;
      let other = key + plane;
      for (const end = query + queryBytes; query < end; query += 4, at += 16, other += 16) {
        const pair = v128.load_splat<i32>(query);
        const u = v128.load(at);
        const v = v128.load(other);
        d0 = i32x4.add(d0, i32x4.dot_i16x8_s(u, pair));
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(i16x8.shr_s(u, 8), pair));
        d1 = i32x4.add(d1, i32x4.dot_i16x8_s(v, pair));
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(i16x8.shr_s(v, 8), pair));
      }
      const bias = i32x4.splat(load<i32>(sumOf(head)) << 7);
      const factor = f32x4.splat(load<f32>(scaleOf(head)) * scale);
      storeScores(scores, i32x4.sub(i32x4.sub(d0, i32x4.shl(b0, 8)), bias), factor, keyScale);
      storeScores(scores + 16, b0, factor, keyScale + 16);
      storeScores(scores + 32, i32x4.sub(i32x4.sub(d1, i32x4.shl(b1, 8)), bias), factor, keyScale + 32);
      storeScores(scores + 48, b1, factor, keyScale + 48);
      scores += stride;
    }
    for (let i: usize = 0; i < 64; i += 16) v128.store(valueScales + i, v128.load(keyScale + gap + i));
    key += queryBytes << 2;
    keyScale += BLOCK_POSITIONS * 4;
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
function softmax(head: i32, scores: usize, valueScales: usize, n: i32, attended: i32, probs: usize): void {
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
  quantize(scores, n, <f32>amplitude(attended), maxLane(largest), probs, scale, sumOf(head));
  store<f32>(scale, load<f32>(scale) / sumLanes(sum));
}

/**
 * Adds the 16 positions of a block to every head's accumulators: the matrix kernel with 16 channels as rows,
 * kept in memory from block to block.
 *
 * @param values of the block, in plane 0
 * @param probs int16 [heads, 16], heads `stride` bytes apart
 * @param target the first head's accumulators
 */
export function addValues(values: usize, probs: usize, stride: usize, target: usize): void {
  const keyValueHeads = size(M_KEY_VALUE_HEADS);
  const queries = queriesPerHead();
  const sumBytes = (<usize>headPad()) << 2;
  const plane = pointer(M_KV_PLANE);
  for (let h = 0; h < keyValueHeads; h++) {
    for (let q = 0; q < queries; q++) {
      let at = values;
      let other = values + plane;
      for (const end = target + sumBytes; target < end; target += 64) {
        let d0 = v128.load(target);
        let b0 = v128.load(target, 16);
        let d1 = v128.load(target, 32);
        let b1 = v128.load(target, 48);
        for (let p = probs, until = probs + BLOCK_POSITIONS * 2; p < until; p += 4, at += 16, other += 16) {
          const pair = v128.load_splat<i32>(p);
          const u = v128.load(at);
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
    values += sumBytes << 1;
  }
}

/** Every head's accumulators become outputs, float32 [heads · headSize]; padded channels spill into the next head's place. */
function storeOutputs(out: usize): void {
  let from = accumulators();
  const groups = (<usize>headPad()) >> 4;
  for (let h = 0, heads = size(M_HEADS); h < heads; h++) {
    const offset = i32x4.splat(load<i32>(sumOf(h)) << 7);
    const factor = f32x4.splat(load<f32>(scaleOf(h)));
    for (let g: usize = 0; g < groups; g++, from += 64) {
      const at = out + (g << 6);
      for (let i: usize = 0; i < 64; i += 32) {
        const b = v128.load(from + i, 16);
        const a = i32x4.sub(i32x4.sub(v128.load(from + i), i32x4.shl(b, 8)), offset);
        v128.store(at + i, f32x4.mul(f32x4.convert_i32x4_s(a), factor));
        v128.store(at + i, f32x4.mul(f32x4.convert_i32x4_s(b), factor), 16);
      }
    }
    out += (<usize>size(M_HEAD_SIZE)) << 2;
  }
}

/**
 * Attention of one row over its own sequence's positions start … position, all heads.
 * The result is left in the normed row, float32 [heads · headSize], zero-padded.
 */
export function attend(row: i32, layer: i32): void {
  const position = rowField(row, ROW_POSITION);
  const window = size(ofLayer(layer, L_WINDOW));
  const start = window > 0 ? max(0, position - window + 1) : 0;
  const first = start >> 4;
  const blocks = (position >> 4) - first + 1;
  const n = blocks << 4;
  const table = blockTable(row);
  const heads = size(M_HEADS);
  const queries = queriesPerHead();
  const scores = pointer(REGION_SCORES);
  const valueScales = pointer(REGION_VALUE_SCALES);
  const probs = pointer(REGION_PROBABILITIES);
  const stride = (<usize>n) << 2;
  const scale = real(ofLayer(layer, L_SCORE_SCALE));

  prepareHeads(queriesOf(row), heads, pointer(ofLayer(layer, L_QUERY_NORM)), row);
  quantizeQueries(queriesOf(row));
  for (let b = 0; b < blocks; b++) {
    const offset = (<usize>b) << 6;
    scoreBlock(
      blockKeys(table, first + b, layer), blockScales(table, first + b, layer),
      scale, scores + offset, valueScales + offset, stride,
    );
  }
  const before = (<usize>(start - (first << 4))) << 2;
  const behind = (<usize>(position + 1 - (first << 4))) << 2;
  for (let h = 0; h < heads; h++) {
    const at = scores + (<usize>h) * stride;
    for (let i: usize = 0; i < before; i += 4) store<f32>(at + i, -Infinity);
    for (let i = behind; i < stride; i += 4) store<f32>(at + i, -Infinity);
    softmax(h, at, valueScales + (<usize>(h / queries)) * stride, n, position - start + 1, probs + (<usize>h) * (stride >> 1));
  }

  const sums = accumulators();
  memory.fill(sums, 0, (<usize>heads) * ((<usize>headPad()) << 2));
  for (let b = 0; b < blocks; b++)
    addValues(blockValues(table, first + b, layer), probs + ((<usize>b) << 5), stride >> 1, sums);
  const out = pointer(REGION_NORMED);
  storeOutputs(out);
  // The last head's padded channels spilled past the end.
  const width = heads * size(M_HEAD_SIZE);
  memory.fill(out + ((<usize>width) << 2), 0, (<usize>(padded(width) - width)) << 2);
}

/**
 * residual += attention of the normed rows, which are the inputs of the fused projection. Every row's keys and values
 * go into the cache; if `wanted` < `rows`, only the `wanted` listed rows get a query and are carried on.
 *
 * @returns how many rows are carried on
 */
export function attention(layer: i32, rows: i32, wanted: i32): i32 {
  const queryKeyValue = pointer(ofLayer(layer, L_QUERY_KEY_VALUE));
  const out = pointer(REGION_OUTPUT);
  const outStride = pointer(M_OUTPUT_STRIDE);
  const queries = size(M_HEADS) * size(M_HEAD_SIZE);
  const isNarrowed = wanted < rows;
  // A strip that holds queries and keys is computed twice.
  linearStrips(queryKeyValue, isNarrowed ? queries >> 4 : 0, stripsOf(queryKeyValue), rows, out, outStride, false);
  for (let r = 0; r < rows; r++) storeKeyValue(r, layer);
  if (isNarrowed) {
    if (wanted == 0) return 0;
    narrow(wanted);
    rows = wanted;
    linearStrips(queryKeyValue, 0, padded(queries) >> 4, rows, out, outStride, false);
  }
  const output = pointer(ofLayer(layer, L_ATTENTION_OUTPUT));
  for (let r = 0; r < rows; r++) {
    attend(r, layer);
    quantizeRow(pointer(REGION_NORMED), r, output);
  }
  addToResidual(output, rows);
  return rows;
}
