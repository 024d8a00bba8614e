/** One tensor of a checkpoint, read piece by piece. */
export interface CheckpointTensor {
  readonly shape: readonly number[];
  /** Under safetensors' name: F32, F16, BF16, I64 … */
  readonly dtype: string;
  /**
   * Elements `start … start + count − 1` in row-major order, as float32.
   *
   * @throws EdgeformerError `unsupported_model` if the dtype is not a floating-point one
   */
  read(start: number, count: number): Promise<Float32Array>;
}

/** The tensors of one or several files, under the names that the files give them. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  close(): Promise<void>;
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
