// GPT-2 (Radford et al. 2019), top to bottom. A row is one token of one sequence; a forward pass runs any number
// of rows of any sequences together, and gives each the bits it would get alone.

import {
  ACTIVATION_NONE,
  L_FC,
  L_FC_BIAS,
  L_FC_SCALE,
  L_LN1_BIAS,
  L_LN1_WEIGHT,
  L_LN2_BIAS,
  L_LN2_WEIGHT,
  L_MLP_PROJ,
  L_MLP_PROJ_BIAS,
  L_MLP_PROJ_SCALE,
  L_PROJ,
  L_PROJ_BIAS,
  L_PROJ_SCALE,
  L_QKV,
  L_QKV_BIAS,
  L_QKV_SCALE,
  M_ACTIVATION,
  M_EPSILON,
  M_HEAD,
  M_HEAD_SCALE,
  M_HIDDEN,
  M_HIDDEN_STRIDE,
  M_INNER,
  M_INNER_PAD,
  M_LAYERS,
  M_LNF_BIAS,
  M_LNF_WEIGHT,
  M_LOGITS,
  M_LOGITS_STRIDE,
  M_LOGIT_ROWS,
  M_NORMED,
  M_POSITIONS_PAD,
  M_QUANTIZED,
  M_QUANTIZED_STRIDE,
  M_RESIDUAL,
  M_ROWS,
  M_ROW_SCALE,
  M_ROW_SUM,
  M_VOCAB,
  M_VOCAB_PAD,
  M_WIDTH,
  M_WIDTH_PAD,
  M_WPE,
  M_WPE_SCALE,
  M_WTE,
  M_WTE_SCALE,
  ROW_BYTES,
  ROW_POSITION,
  ROW_TOKEN,
} from "./abi";
import { attend, storeKeyValue } from "./layers/attention";
import { layerNorm } from "./layers/norm";
import { addRow, matmul } from "./kernels/matmul";
import { ofLayer, pointer, real, size } from "./descriptor";
import { absMax, quantize } from "./kernels/quantize";

@inline
function residual(row: i32): usize {
  return pointer(M_RESIDUAL) + (<usize>row) * ((<usize>size(M_WIDTH_PAD)) << 2);
}

/** Quantizes float32 [k] at `x` as row `row` of the matrix kernel's input. */
function quantizeRow(x: usize, row: i32, k: i32, kPad: i32): void {
  const at = (<usize>row) << 2;
  const target = pointer(M_QUANTIZED) + (<usize>row) * pointer(M_QUANTIZED_STRIDE);
  quantize(x, kPad, k, absMax(x, kPad), target, pointer(M_ROW_SCALE) + at, pointer(M_ROW_SUM) + at);
}

/** hiddenStates[row] = wte[token] + wpe[position], float32 [width]. */
function embed(rows: i32): void {
  const widthPad = size(M_WIDTH_PAD);
  const wte = pointer(M_WTE);
  const wpe = pointer(M_WPE);
  for (let r = 0; r < rows; r++) {
    const at = pointer(M_ROWS) + (<usize>r) * ROW_BYTES;
    const token = load<i32>(at + ROW_TOKEN * 4);
    const position = load<i32>(at + ROW_POSITION * 4);
    const x = residual(r);
    memory.fill(x, 0, (<usize>widthPad) << 2);
    addRow(wte, size(M_VOCAB_PAD), widthPad, token, load<f32>(pointer(M_WTE_SCALE) + ((<usize>token) << 2)), x);
    addRow(wpe, size(M_POSITIONS_PAD), widthPad, position, load<f32>(pointer(M_WPE_SCALE) + ((<usize>position) << 2)), x);
  }
}

/** LayerNorm of each residual row, quantized as the next matrix's input. */
function normalize(rows: i32, weight: usize, bias: usize): void {
  const width = size(M_WIDTH);
  const widthPad = size(M_WIDTH_PAD);
  const normed = pointer(M_NORMED);
  for (let r = 0; r < rows; r++) {
    layerNorm(residual(r), weight, bias, width, widthPad, real(M_EPSILON), normed);
    quantizeRow(normed, r, width, widthPad);
  }
}

/** Moves the `wanted` rows listed at M_LOGIT_ROWS (ascending) to the front: rows, residuals and quantized inputs. */
function narrow(wanted: i32): void {
  const widthBytes = (<usize>size(M_WIDTH_PAD)) << 2;
  const quantized = pointer(M_QUANTIZED);
  const stride = pointer(M_QUANTIZED_STRIDE);
  const rows = pointer(M_ROWS);
  for (let i: usize = 0; i < <usize>wanted; i++) {
    const from = <usize>load<i32>(pointer(M_LOGIT_ROWS) + (i << 2));
    if (from == i) continue;
    memory.copy(rows + i * ROW_BYTES, rows + from * ROW_BYTES, ROW_BYTES);
    memory.copy(residual(<i32>i), residual(<i32>from), widthBytes);
    memory.copy(quantized + i * stride, quantized + from * stride, widthBytes >> 1);
    store<f32>(pointer(M_ROW_SCALE) + (i << 2), load<f32>(pointer(M_ROW_SCALE) + (from << 2)));
    store<i32>(pointer(M_ROW_SUM) + (i << 2), load<i32>(pointer(M_ROW_SUM) + (from << 2)));
  }
}

/** Strips begin … end−1 of the fused projection of queries, keys and values. */
function project(layer: i32, rows: i32, begin: i32, end: i32): void {
  matmul(
    pointer(ofLayer(layer, L_QKV)), (3 * size(M_WIDTH) + 15) & ~15, size(M_WIDTH_PAD), begin, end,
    pointer(ofLayer(layer, L_QKV_SCALE)), pointer(ofLayer(layer, L_QKV_BIAS)),
    rows, pointer(M_HIDDEN), pointer(M_HIDDEN_STRIDE), ACTIVATION_NONE, false,
  );
}

/**
 * One Transformer block: x += attention(LayerNorm(x)), x += MLP(LayerNorm(x)).
 *
 * Every row's keys and values go into the cache; when `last`, only the `wanted` rows that are listed get a query
 * and are carried on, since nobody reads the others.
 */
function block(layer: i32, rows: i32, wanted: i32, last: bool): void {
  const widthPad = size(M_WIDTH_PAD);
  const inner = size(M_INNER);
  const innerPad = size(M_INNER_PAD);
  const hidden = pointer(M_HIDDEN);
  const hiddenStride = pointer(M_HIDDEN_STRIDE);
  const width = size(M_WIDTH);
  const residuals = pointer(M_RESIDUAL);
  const residualStride = (<usize>widthPad) << 2;

  normalize(rows, pointer(ofLayer(layer, L_LN1_WEIGHT)), pointer(ofLayer(layer, L_LN1_BIAS)));
  const qkvStrips = (3 * width + 15) >> 4;
  const isNarrowed = last && wanted < rows;
  // A strip that holds queries and keys is computed twice.
  project(layer, rows, isNarrowed ? width >> 4 : 0, qkvStrips);
  for (let r = 0; r < rows; r++) storeKeyValue(r, layer);
  if (isNarrowed) {
    if (wanted == 0) return;
    narrow(wanted);
    rows = wanted;
    project(layer, rows, 0, (width + 15) >> 4);
  }
  for (let r = 0; r < rows; r++) {
    attend(r, layer);
    quantizeRow(pointer(M_NORMED), r, width, widthPad);
  }
  matmul(
    pointer(ofLayer(layer, L_PROJ)), widthPad, widthPad, 0, widthPad >> 4,
    pointer(ofLayer(layer, L_PROJ_SCALE)), pointer(ofLayer(layer, L_PROJ_BIAS)),
    rows, residuals, residualStride, ACTIVATION_NONE, true,
  );

  normalize(rows, pointer(ofLayer(layer, L_LN2_WEIGHT)), pointer(ofLayer(layer, L_LN2_BIAS)));
  matmul(
    pointer(ofLayer(layer, L_FC)), innerPad, widthPad, 0, innerPad >> 4,
    pointer(ofLayer(layer, L_FC_SCALE)), pointer(ofLayer(layer, L_FC_BIAS)),
    rows, hidden, hiddenStride, size(M_ACTIVATION), false,
  );
  for (let r = 0; r < rows; r++) quantizeRow(hidden + (<usize>r) * hiddenStride, r, inner, innerPad);
  matmul(
    pointer(ofLayer(layer, L_MLP_PROJ)), widthPad, innerPad, 0, widthPad >> 4,
    pointer(ofLayer(layer, L_MLP_PROJ_SCALE)), pointer(ofLayer(layer, L_MLP_PROJ_BIAS)),
    rows, residuals, residualStride, ACTIVATION_NONE, true,
  );
}

/**
 * Embeds the `rows` rows at M_ROWS and runs every block. Of the last block only the `wanted` rows listed at
 * M_LOGIT_ROWS leave hidden states, in that order, for head().
 */
export function forward(rows: i32, wanted: i32): void {
  embed(rows);
  const layers = size(M_LAYERS);
  for (let layer = 0; layer < layers; layer++) block(layer, rows, wanted, layer == layers - 1);
}

/** Final LayerNorm and output head of the hidden states first … first+count−1, into the logits slots 0 … count−1. */
export function head(first: i32, count: i32): void {
  const width = size(M_WIDTH);
  const widthPad = size(M_WIDTH_PAD);
  const vocabPad = size(M_VOCAB_PAD);
  const normed = pointer(M_NORMED);
  const logits = pointer(M_LOGITS);
  const stride = pointer(M_LOGITS_STRIDE);
  for (let i = 0; i < count; i++) {
    layerNorm(residual(first + i), pointer(M_LNF_WEIGHT), pointer(M_LNF_BIAS), width, widthPad, real(M_EPSILON), normed);
    quantizeRow(normed, i, width, widthPad);
  }
  matmul(
    pointer(M_HEAD), vocabPad, widthPad, 0, vocabPad >> 4,
    pointer(M_HEAD_SCALE), 0, count, logits, stride, ACTIVATION_NONE, false,
  );
  // Padding can never be the likeliest token, so readers may go over whole vectors.
  for (let i = 0; i < count; i++)
    for (let v = size(M_VOCAB); v < vocabPad; v++)
      store<f32>(logits + (<usize>i) * stride + ((<usize>v) << 2), -Infinity);
}
