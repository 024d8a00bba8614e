// Rotary position embedding (Su et al. 2021), channel i of a head paired with channel i + size / 2, as transformers
// has it. The frequencies are a tensor of the model; angles, sines and cosines are computed here, so that no
// runtime's own functions decide a bit.

import { M_ROTARY, M_ROTARY_SIZE, ROW_POSITION } from "../abi";
import { pointer, size } from "../descriptor";
import { cosine, sine } from "../kernels/trigonometry";
import { REGION_ROTARY } from "../regions";
import { valuesOf } from "../tensor";
import { rowField } from "./residual";

/** Cosines of a row's angles, float32 [size / 2]; the sines follow. */
@inline
function anglesOf(row: i32): usize {
  return pointer(REGION_ROTARY) + (<usize>row) * ((<usize>size(M_ROTARY_SIZE)) << 2);
}

/** Computes the sines and cosines of every row's position, once for all layers. */
export function prepareRotary(rows: i32): void {
  const half = size(M_ROTARY_SIZE) >> 1;
  if (!half) return;
  const frequencies = valuesOf(pointer(M_ROTARY));
  const sines = (<usize>half) << 2;
  for (let r = 0; r < rows; r++) {
    const position = <f32>rowField(r, ROW_POSITION);
    let at = anglesOf(r);
    for (let i: usize = 0; i < sines; i += 4, at += 4) {
      // The product is rounded to float32, as transformers computes it.
      const angle = <f64>(position * load<f32>(frequencies + i));
      store<f32>(at, <f32>cosine(angle));
      store<f32>(at + sines, <f32>sine(angle));
    }
  }
}

/** Turns the first channels of a head, float32, in place. */
export function rotate(head: usize, row: i32): void {
  const bytes = (<usize>(size(M_ROTARY_SIZE) >> 1)) << 2;
  const cosines = anglesOf(row);
  const sines = cosines + bytes;
  const other = head + bytes;
  const vectorBytes = bytes & ~15;
  for (let i: usize = 0; i < vectorBytes; i += 16) {
    const x = v128.load(head + i);
    const y = v128.load(other + i);
    const c = v128.load(cosines + i);
    const s = v128.load(sines + i);
    v128.store(head + i, f32x4.sub(f32x4.mul(x, c), f32x4.mul(y, s)));
    v128.store(other + i, f32x4.add(f32x4.mul(y, c), f32x4.mul(x, s)));
  }
  for (let i = vectorBytes; i < bytes; i += 4) {
    const x = load<f32>(head + i);
    const y = load<f32>(other + i);
    const c = load<f32>(cosines + i);
    const s = load<f32>(sines + i);
    store<f32>(head + i, x * c - y * s);
    store<f32>(other + i, y * c + x * s);
  }
}
