// The feed-forward layer: up, activation, down (Vaswani et al. 2017), or with a gate (SwiGLU, Shazeer 2020).

import { L_MLP_INPUT, L_MLP_OUTPUT, M_ACTIVATION, M_GATED, M_INNER_SIZE, M_OUTPUT_STRIDE } from "../abi";
import { ofLayer, pointer, size } from "../descriptor";
import { linear } from "../kernels/matmul";
import { activate4 } from "../kernels/math";
import { quantizeRow } from "../kernels/quantize";
import { REGION_OUTPUT } from "../regions";
import { padded } from "../tensor";
import { addToResidual } from "./residual";

/**
 * x[i] = activation(x[i]), float32 [innerSize], with a gate activation(x[i]) · x[innerSize + i]; then zeros up to the
 * padding.
 */
function activate(x: usize, inner: i32): void {
  const activation = size(M_ACTIVATION);
  const isGated = size(M_GATED);
  const bytes = (<usize>inner) << 2;
  // Where innerSize is no multiple of 4, the last vector overwrites numbers that were read before.
  for (let i: usize = 0; i < bytes; i += 16) {
    let y = activate4(v128.load(x + i), activation);
    if (isGated) y = f32x4.mul(y, v128.load(x + bytes + i));
    v128.store(x + i, y);
  }
  memory.fill(x + bytes, 0, ((<usize>padded(inner)) << 2) - bytes);
}

/** residual += MLP of the normed rows, which are the inputs of the layer's first matrix. */
export function mlp(layer: i32, rows: i32): void {
  const inner = size(M_INNER_SIZE);
  const hidden = pointer(REGION_OUTPUT);
  const stride = pointer(M_OUTPUT_STRIDE);
  const down = pointer(ofLayer(layer, L_MLP_OUTPUT));
  linear(pointer(ofLayer(layer, L_MLP_INPUT)), rows, hidden, stride);
  for (let r = 0; r < rows; r++) {
    const row = hidden + (<usize>r) * stride;
    activate(row, inner);
    quantizeRow(row, r, down);
  }
  addToResidual(down, rows);
}
