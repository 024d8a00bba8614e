// Rounding as onnxruntime's quantizers do it, and the layouts that its operators read.

/** A step for each row, codes from −127 to 127. */
export function quantizeRows(
  weights: Float32Array,
  columns: number,
): { codes: Int8Array; steps: Float32Array } {
  const codes = new Int8Array(weights.length);
  const steps = new Float32Array(weights.length / columns);
  for (let row = 0; row < steps.length; row++) {
    const values = weights.subarray(row * columns, (row + 1) * columns);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const step = largest / 127 || 1;
    steps[row] = step;
    values.forEach((value, i) => void (codes[row * columns + i] = Math.round(value / step)));
  }
  return { codes, steps };
}

/** MatMulNBits' tensors: unsigned codes and zero points, the lower nibble first; a step for each block of 32. */
export interface Blocks {
  bits: 4 | 8;
  codes: Uint8Array;
  steps: Float32Array;
  /** Packed row by row. */
  zeros: Uint8Array;
}

/** Blocks of 32 columns between their smallest and largest value, which include zero. */
export function quantizeBlocks(weights: Float32Array, columns: number, bits: 4 | 8): Blocks {
  const top = 2 ** bits - 1;
  const perByte = 8 / bits;
  const perRow = columns / 32;
  const zeroBytes = Math.ceil(perRow / perByte);
  const steps = new Float32Array(weights.length / 32);
  const codes = new Uint8Array(weights.length / perByte);
  const zeros = new Uint8Array((steps.length / perRow) * zeroBytes);
  const put = (bytes: Uint8Array, start: number, index: number, code: number) => {
    bytes[start + Math.floor(index / perByte)]! |= code << (bits * (index % perByte));
  };
  for (let block = 0; block < steps.length; block++) {
    let [low, high] = [0, 0];
    const values = weights.subarray(32 * block, 32 * block + 32);
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const step = (high - low) / top || 1;
    const zero = Math.round(-low / step);
    steps[block] = step;
    put(zeros, Math.floor(block / perRow) * zeroBytes, block % perRow, zero);
    values.forEach((value, i) => {
      const code = Math.min(top, Math.max(0, Math.round(value / step) + zero));
      put(codes, (32 * block) / perByte, i, code);
    });
  }
  return { bits, codes, steps, zeros };
}
