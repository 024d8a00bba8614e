// The rows of a forward pass: hidden states between the layers, and which of them go on.

import { M_HIDDEN_SIZE, M_QUANTIZED_STRIDE, M_ROTARY_SIZE, ROW_BYTES } from "../abi";
import { pointer, size } from "../descriptor";
import { linearStrips } from "../kernels/matmul";
import {
  REGION_LOGIT_ROWS,
  REGION_QUANTIZED,
  REGION_RESIDUAL,
  REGION_ROTARY,
  REGION_ROWS,
  REGION_ROW_SCALES,
  REGION_ROW_SUMS,
} from "../regions";
import { padded, stripsOf } from "../tensor";

/** Bytes from one row of hidden states to the next. */
@inline
export function residualStride(): usize {
  return (<usize>padded(size(M_HIDDEN_SIZE))) << 2;
}

/** Hidden states of a row, float32 [hiddenSize]. */
@inline
export function residual(row: i32): usize {
  return pointer(REGION_RESIDUAL) + (<usize>row) * residualStride();
}

/** residual += weight · x + bias for the quantized rows 0 … rows−1. */
export function addToResidual(weight: usize, rows: i32): void {
  linearStrips(weight, 0, stripsOf(weight), rows, residual(0), residualStride(), true);
}

/** An int32 field of a row of the batch: ROW_…. */
@inline
export function rowField(row: i32, field: i32): i32 {
  return load<i32>(pointer(REGION_ROWS) + (<usize>row) * ROW_BYTES + ((<usize>field) << 2));
}

/** Moves entry `from` of an array to place `to`. */
@inline
function move(array: usize, bytes: usize, to: usize, from: usize): void {
  memory.copy(array + to * bytes, array + from * bytes, bytes);
}

/** Moves the `wanted` rows listed at REGION_LOGIT_ROWS (ascending) to the front, with all that belongs to them. */
export function narrow(wanted: i32): void {
  for (let i: usize = 0; i < <usize>wanted; i++) {
    const from = <usize>load<i32>(pointer(REGION_LOGIT_ROWS) + (i << 2));
    if (from == i) continue;
    move(pointer(REGION_ROWS), ROW_BYTES, i, from);
    move(pointer(REGION_RESIDUAL), residualStride(), i, from);
    move(pointer(REGION_QUANTIZED), pointer(M_QUANTIZED_STRIDE), i, from);
    move(pointer(REGION_ROW_SCALES), 4, i, from);
    move(pointer(REGION_ROW_SUMS), 4, i, from);
    move(pointer(REGION_ROTARY), (<usize>size(M_ROTARY_SIZE)) << 2, i, from);
  }
}
