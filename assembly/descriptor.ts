// The descriptor of the loaded model: where everything lies in linear memory. abi.ts and regions.ts list its fields.

import { LAYER_FIELDS, M_LAYERS_START } from "./abi";

let descriptor: usize = 0;

/** Tells the engine where the host wrote the descriptor. */
export function setModel(pointer: usize): void {
  descriptor = pointer;
}

@inline
export function size(field: i32): i32 {
  return load<i32>(descriptor + ((<usize>field) << 2));
}

/** Address of a region, or of a weight's record; also a number of bytes. */
@inline
export function pointer(field: i32): usize {
  return load<u32>(descriptor + ((<usize>field) << 2));
}

@inline
export function real(field: i32): f32 {
  return load<f32>(descriptor + ((<usize>field) << 2));
}

/** Index of a layer's field, for size(), pointer() and real(). */
@inline
export function ofLayer(layer: i32, field: i32): i32 {
  return M_LAYERS_START + layer * LAYER_FIELDS + field;
}
