// The forward pass of a decoder-only Transformer, top to bottom. A row is one token of one sequence; a pass runs any
// number of rows of any sequences together, and gives each the bits it would get alone. It can be cut between two
// layers: embed() here, blocks() there, head() elsewhere.

import {
  M_EMBEDDING,
  M_EMBEDDING_SCALE,
  M_FINAL_NORM,
  M_HEAD,
  M_LAYERS,
  M_LOGITS_STRIDE,
  M_POSITIONS,
  M_VOCAB,
  ROW_POSITION,
  ROW_TOKEN,
} from "./abi";
import { pointer, real, size } from "./descriptor";
import { addRow, linearStrips } from "./kernels/matmul";
import { block } from "./layers/block";
import { normalizeRow } from "./layers/norm";
import { residual, residualStride, rowField } from "./layers/residual";
import { prepareRotary } from "./layers/rope";
import { REGION_LOGITS } from "./regions";

/** Hidden states of the rows 0 … rows−1 at REGION_ROWS: embedding[token], plus positions[position] where a model learned them. */
export function embed(rows: i32): void {
  const positions = pointer(M_POSITIONS);
  for (let r = 0; r < rows; r++) {
    const x = residual(r);
    memory.fill(x, 0, residualStride());
    addRow(pointer(M_EMBEDDING), rowField(r, ROW_TOKEN), real(M_EMBEDDING_SCALE), x);
    if (positions) addRow(positions, rowField(r, ROW_POSITION), 1, x);
  }
}

/**
 * Runs the layers from … to−1 on the hidden states of the rows 0 … rows−1. Of the last of them only the `wanted` rows
 * that are listed at REGION_LOGIT_ROWS (ascending) leave hidden states, in that order; a stage that is not the
 * model's last wants all of its rows.
 */
export function blocks(from: i32, to: i32, rows: i32, wanted: i32): void {
  prepareRotary(rows);
  for (let layer = from; layer < to; layer++) block(layer, rows, layer == to - 1 ? wanted : rows);
}

/** embed() and all blocks(), for a model that is here as a whole. */
export function forward(rows: i32, wanted: i32): void {
  embed(rows);
  blocks(0, size(M_LAYERS), rows, wanted);
}

/**
 * Final norm and output head of the hidden states first … first+count−1, into the logits slots 0 … count−1.
 *
 * @param begin the first of the head's strips of 16 tokens whose logits are computed; the others' stay as they are
 * @param end the strip behind the last
 */
export function head(first: i32, count: i32, begin: i32, end: i32): void {
  const weight = pointer(M_HEAD);
  const logits = pointer(REGION_LOGITS);
  const stride = pointer(M_LOGITS_STRIDE);
  for (let i = 0; i < count; i++) normalizeRow(first + i, pointer(M_FINAL_NORM), i, weight);
  linearStrips(weight, begin, end, count, logits, stride, false);
  // Padding can never be the likeliest token, so readers may go over whole vectors.
  for (let i: usize = 0; i < <usize>count; i++)
    for (let at = (<usize>size(M_VOCAB)) << 2; at < stride; at += 4) store<f32>(logits + i * stride + at, -Infinity);
}
