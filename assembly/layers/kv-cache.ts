// The paged int8 cache of keys and values: where it has what, and how a row's keys and values get there.
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
  L_KEY_NORM,
  M_EPSILON,
  M_HEADS,
  M_HEAD_SIZE,
  M_KEY_VALUE_HEADS,
  M_KV_LAYER_BYTES,
  M_KV_PLANE,
  M_OUTPUT_STRIDE,
  M_ROTARY_SIZE,
  M_TABLE_STRIDE,
  ROW_POSITION,
  ROW_SEQUENCE,
} from "../abi";
import { ofLayer, pointer, real, size } from "../descriptor";
import { absMax, round4 } from "../kernels/quantize";
import { REGION_KV, REGION_OUTPUT, REGION_TABLES } from "../regions";
import { padded, valuesOf } from "../tensor";
import { rmsNorm } from "./norm";
import { rowField } from "./residual";
import { rotate } from "./rope";

/** Block table of the sequence that `row` belongs to. */
@inline
export function blockTable(row: i32): usize {
  return pointer(REGION_TABLES) + (<usize>rowField(row, ROW_SEQUENCE)) * pointer(M_TABLE_STRIDE);
}

/** Channels of a head as the cache stores them. */
@inline
export function headPad(): i32 {
  return padded(size(M_HEAD_SIZE));
}

/** The row's queries, float32 [heads, headSize]; its keys and values follow. */
@inline
export function queriesOf(row: i32): usize {
  return pointer(REGION_OUTPUT) + (<usize>row) * pointer(M_OUTPUT_STRIDE);
}

/** Bytes of one block in one plane. */
@inline
function planeBytes(): usize {
  return (<usize>size(M_KEY_VALUE_HEADS)) * (<usize>headPad()) * (BLOCK_POSITIONS / 2);
}

/** First byte of `layer`'s keys, plane 0, in the block that the table's entry `index` names. */
@inline
export function blockKeys(table: usize, index: i32, layer: i32): usize {
  return pointer(REGION_KV) + (<usize>layer) * pointer(M_KV_LAYER_BYTES) + (<usize>load<u32>(table + ((<usize>index) << 2))) * planeBytes();
}

/** First byte of its values, plane 0. */
@inline
export function blockValues(table: usize, index: i32, layer: i32): usize {
  return blockKeys(table, index, layer) + 2 * pointer(M_KV_PLANE);
}

/** First of its key scales; the value scales follow. */
@inline
export function blockScales(table: usize, index: i32, layer: i32): usize {
  return (
    pointer(REGION_KV) +
    (<usize>layer) * pointer(M_KV_LAYER_BYTES) +
    4 * pointer(M_KV_PLANE) +
    (<usize>load<u32>(table + ((<usize>index) << 2))) * (<usize>size(M_KEY_VALUE_HEADS)) * (BLOCK_POSITIONS * 8)
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

/** What happens to the queries or keys of a row before they are used: a norm, head by head, and rotation. */
export function prepareHeads(x: usize, heads: i32, norm: usize, row: i32): void {
  const headSize = size(M_HEAD_SIZE);
  const isRotary = size(M_ROTARY_SIZE) > 0;
  for (let h = 0; h < heads; h++, x += (<usize>headSize) << 2) {
    if (norm) rmsNorm(x, valuesOf(norm), headSize, real(M_EPSILON), x);
    if (isRotary) rotate(x, row);
  }
}

/** Writes the row's keys and values (float32, from the fused projection) into its place in the cache. */
export function storeKeyValue(row: i32, layer: i32): void {
  const position = rowField(row, ROW_POSITION);
  const j = position & (BLOCK_POSITIONS - 1);
  const heads = size(M_KEY_VALUE_HEADS);
  const headSize = size(M_HEAD_SIZE);
  const headBytes = (<usize>headPad()) * (BLOCK_POSITIONS / 2);
  const plane = pointer(M_KV_PLANE);
  const table = blockTable(row);
  const index = position >> 4;
  const headStride = (<usize>headSize) << 2;
  let keys = blockKeys(table, index, layer) + (j & 8 ? plane : 0) + <usize>(((j & 3) << 2) + ((j >> 2) & 1));
  let values = blockValues(table, index, layer) + <usize>(((j >> 1) << 4) + ((j & 1) << 1));
  let scales = blockScales(table, index, layer) + ((<usize>j) << 2);
  const valueScales = (<usize>heads) * BLOCK_POSITIONS * 4;
  const keyFlip = j & 4 ? 0 : 0x80;
  let key = queriesOf(row) + (<usize>size(M_HEADS)) * headStride;
  let value = key + (<usize>heads) * headStride;
  prepareHeads(key, heads, pointer(ofLayer(layer, L_KEY_NORM)), row);
  for (let h = 0; h < heads; h++) {
    const keyMax = absMaxAny(key, headSize);
    const valueMax = absMaxAny(value, headSize);
    const keyFactor: f32 = keyMax < 1e-30 ? 0 : 127 / keyMax;
    const valueFactor: f32 = valueMax < 1e-30 ? 0 : 127 / valueMax;
    store<f32>(scales, keyMax / 127);
    store<f32>(scales + valueScales, valueMax / 127);
    const quads = (<usize>headSize) >> 2;
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
    for (let i: usize = 0, rest = <usize>headSize & 3; i < rest; i++) {
      const at = (quads << 4) + (i << 2);
      store<u8>(keys + keyPlace(quads, i), <i32>nearest(load<f32>(key + at) * keyFactor) ^ keyFlip);
      store<u8>(values + valuePlace(quads, i, plane), <i32>nearest(load<f32>(value + at) * valueFactor) ^ (quads & 1 ? 0 : 0x80));
    }
    keys += headBytes;
    values += headBytes;
    scales += BLOCK_POSITIONS * 4;
    key += headStride;
    value += headStride;
  }
}
