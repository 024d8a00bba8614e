import { sumLanes } from "../kernels/math";

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
