import type { GroupedRows } from "./gguf-groups.ts";

/** One tensor of a checkpoint, read piece by piece. */
export interface CheckpointTensor {
  readonly shape: readonly number[];
  /** Under safetensors' name, F32, F16, BF16, I64 …, or ggml's: Q4_1, Q8_0, Q6_K … */
  readonly dtype: string;
  /**
   * Elements `start … start + count − 1` in row-major order, as float32.
   *
   * @throws EdgeformerError `unsupported_model` if the dtype is not a floating-point one
   */
  read(start: number, count: number): Promise<Float32Array>;
  /**
   * Rows `firstRow … firstRow + rows − 1` as the codes, steps and minima of the file, for the types that have them for
   * groups of 32 columns (`groupBits` tells which). Other tensors do not have the method.
   *
   * @throws EdgeformerError `invalid_model` if a step or minimum is not finite
   */
  readonly grouped?: (firstRow: number, rows: number) => Promise<GroupedRows>;
}

/** The tensors of one or several files, under the names that the files give them. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  close(): Promise<void>;
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
