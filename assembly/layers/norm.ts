import { M_EPSILON, M_HIDDEN_SIZE, M_NORM, NORM_RMS } from "../abi";
import { pointer, real, size } from "../descriptor";
import { sumLanes } from "../kernels/math";
import { quantizeRow } from "../kernels/quantize";
import { REGION_NORMED } from "../regions";
import { biasOf, padded, valuesOf } from "../tensor";
import { residual } from "./residual";

/**
 * LayerNorm (Ba et al. 2016) of one row: (x − mean) / √(variance + ε) · weight + bias.
 *
 * @param x float32 [width]
 * @param out float32 [width], padded with zeros to `widthPad` because weight and bias are
 */
export function layerNorm(x: usize, weight: usize, bias: usize, width: i32, widthPad: i32, epsilon: f32, out: usize): void {
  const bytes = (<usize>width) << 2;
  const vectorBytes = bytes & ~15;
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < vectorBytes; i += 16) sum = f32x4.add(sum, v128.load(x + i));
  let total = sumLanes(sum);
  for (let i = vectorBytes; i < bytes; i += 4) total += load<f32>(x + i);
  const mean = total / <f32>width;

  const means = f32x4.splat(mean);
  let squares = f32x4.splat(0);
  for (let i: usize = 0; i < vectorBytes; i += 16) {
    const centred = f32x4.sub(v128.load(x + i), means);
    squares = f32x4.add(squares, f32x4.mul(centred, centred));
  }
  let variance = sumLanes(squares);
  for (let i = vectorBytes; i < bytes; i += 4) {
    const centred = load<f32>(x + i) - mean;
    variance += centred * centred;
  }
  const inverse = f32x4.splat(<f32>1 / sqrt<f32>(variance / <f32>width + epsilon));

  for (let i: usize = 0, end = (<usize>widthPad) << 2; i < end; i += 16) {
    const normed = f32x4.mul(f32x4.sub(v128.load(x + i), means), inverse);
    v128.store(out + i, f32x4.add(f32x4.mul(normed, v128.load(weight + i)), v128.load(bias + i)));
  }
}

/**
 * RMSNorm (Zhang and Sennrich 2019) of one row: x / √(mean of x² + ε) · weight, as LlamaRMSNorm of transformers has it.
 *
 * @param x float32 [width]
 * @param weight float32 [width]
 * @param out float32 [width]; may be x
 */
export function rmsNorm(x: usize, weight: usize, width: i32, epsilon: f32, out: usize): void {
  const bytes = (<usize>width) << 2;
  const vectorBytes = bytes & ~15;
  let squares = f32x4.splat(0);
  for (let i: usize = 0; i < vectorBytes; i += 16) {
    const value = v128.load(x + i);
    squares = f32x4.add(squares, f32x4.mul(value, value));
  }
  let sum = sumLanes(squares);
  for (let i = vectorBytes; i < bytes; i += 4) sum += load<f32>(x + i) * load<f32>(x + i);
  const inverse = <f32>1 / sqrt<f32>(sum / <f32>width + epsilon);
  for (let i: usize = 0; i < vectorBytes; i += 16)
    v128.store(out + i, f32x4.mul(v128.load(weight + i), f32x4.mul(v128.load(x + i), f32x4.splat(inverse))));
  for (let i = vectorBytes; i < bytes; i += 4)
    store<f32>(out + i, load<f32>(weight + i) * (load<f32>(x + i) * inverse));
}

/** The model's norm of the residual row `from`, quantized as input row `to` of the matrix `next`. */
export function normalizeRow(from: i32, norm: usize, to: i32, next: usize): void {
  const width = size(M_HIDDEN_SIZE);
  const widthPad = padded(width);
  const normed = pointer(REGION_NORMED);
  if (size(M_NORM) == NORM_RMS) {
    rmsNorm(residual(from), valuesOf(norm), width, real(M_EPSILON), normed);
    memory.fill(normed + ((<usize>width) << 2), 0, (<usize>(widthPad - width)) << 2);
  } else layerNorm(residual(from), valuesOf(norm), biasOf(norm), width, widthPad, real(M_EPSILON), normed);
  quantizeRow(normed, to, next);
}

/** The model's norm of every residual row, quantized as the inputs of the matrix `next`. */
export function normalize(rows: i32, norm: usize, next: usize): void {
  for (let r = 0; r < rows; r++) normalizeRow(r, norm, r, next);
}
