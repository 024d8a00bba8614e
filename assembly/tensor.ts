// A weight is a record of 32-bit fields (abi.ts) that is handed around as one address.

import { W_AMPLITUDE, W_BIAS, W_COLUMNS, W_KIND, W_ROWS, W_SCALES, W_STEPS, W_VALUES } from "./abi";

@inline
function field(weight: usize, index: i32): u32 {
  return load<u32>(weight + ((<usize>index) << 2));
}

/** How it is stored: KIND_…. */
@inline
export function kindOf(weight: usize): i32 {
  return field(weight, W_KIND);
}

/** Outputs of a matrix, elements of a vector. */
@inline
export function rowsOf(weight: usize): i32 {
  return field(weight, W_ROWS);
}

@inline
export function columnsOf(weight: usize): i32 {
  return field(weight, W_COLUMNS);
}

/** The next multiple of 16: matrices and their rows of activations are padded to it. */
@inline
export function padded(count: i32): i32 {
  return (count + 15) & ~15;
}

/** Strips of 16 rows. */
@inline
export function stripsOf(weight: usize): i32 {
  return padded(rowsOf(weight)) >> 4;
}

@inline
export function valuesOf(weight: usize): usize {
  return field(weight, W_VALUES);
}

/** float32 [rows]. */
@inline
export function scalesOf(weight: usize): usize {
  return field(weight, W_SCALES);
}

/** float32 [rows], or 0. */
@inline
export function biasOf(weight: usize): usize {
  return field(weight, W_BIAS);
}

/** uint8 [strips][groups][16], of an int8 matrix with steps. */
@inline
export function stepsOf(weight: usize): usize {
  return field(weight, W_STEPS);
}

/** Largest int16 magnitude of an activation. */
@inline
export function amplitudeOf(weight: usize): i32 {
  return field(weight, W_AMPLITUDE);
}
