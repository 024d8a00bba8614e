import { readFileSync } from "node:fs";

export interface Tensor {
  shape: number[];
  data: Float32Array;
}

/**
 * Every float32 tensor of a safetensors file (https://github.com/huggingface/safetensors#format): a
 * little-endian uint64 header size, the JSON header, then the data that its offsets point into.
 */
export function readSafetensors(path: string): Map<string, Tensor> {
  const file = readFileSync(path);
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Tensor>();
  for (const [name, info] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (info.dtype !== "F32") throw new Error(`${path}: ${name} is ${info.dtype}, the reference reads F32`);
    const [start, end] = info.data_offsets;
    // A copy, because a Float32Array must start at a multiple of four bytes.
    const bytes = Uint8Array.from(file.subarray(8 + headerBytes + start, 8 + headerBytes + end));
    tensors.set(name, { shape: info.shape, data: new Float32Array(bytes.buffer) });
  }
  return tensors;
}
