// The tensors that an adapter makes of a checkpoint's.
import { type CheckpointTensor, elements } from "./formats/checkpoint.ts";
import { failAdapter } from "./lora-config.ts";
import { transpose } from "./transpose.ts";

/** What an adapter does to one weight. */
export interface LowRank {
  /** lora_A, [rank, inputs]. */
  a: CheckpointTensor;
  /** lora_B, [outputs, rank]. */
  b: CheckpointTensor;
  factor: number;
  /** DoRA: the length of each output's weights. */
  magnitude: CheckpointTensor | undefined;
  /** Whether the weight is stored [inputs, outputs]. */
  transposed: boolean;
}

/** Rows that are merged at once while lengths are measured. */
const BLOCK_ELEMENTS = 1 << 20;

/**
 * weight + factor · B · A (Hu et al. 2021). With a magnitude, each output's row of that sum is stretched to it (DoRA, Liu et
 * al. 2024, equation 5).
 *
 * @param module for messages
 */
export async function addLowRank(
  base: CheckpointTensor,
  { a, b, factor, magnitude, transposed }: LowRank,
  module: string,
): Promise<CheckpointTensor> {
  const [rank, inputs] = a.shape as [number, number];
  const outputs = b.shape[0] as number;
  const [rows, columns] = transposed ? [inputs, outputs] : [outputs, inputs];
  if (base.shape.join() !== `${rows},${columns}`)
    failAdapter(
      `${module} is made for a weight of [${rows},${columns}], but the checkpoint's is [${base.shape}]`,
    );
  if (magnitude && magnitude.shape.join() !== `${outputs}`)
    failAdapter(`${module} has a lora_magnitude_vector of [${magnitude.shape}] for ${outputs} outputs`);
  const down = await a.read(0, rank * inputs);
  const up = await b.read(0, outputs * rank);
  // The product's row r is Σ left[r, k] · right[k].
  const left = transposed ? transpose(down, rank, inputs) : up;
  const right = transposed ? transpose(up, outputs, rank) : down;

  /** Rows `first … first + count − 1` of the sum. */
  const sumRows = async (first: number, count: number): Promise<Float32Array> => {
    const values = await base.read(first * columns, count * columns);
    const delta = new Float64Array(columns);
    for (let row = 0; row < count; row++) {
      delta.fill(0);
      for (let k = 0; k < rank; k++) {
        const weight = left[(first + row) * rank + k] as number;
        for (let column = 0, at = k * columns; column < columns; column++, at++)
          delta[column] = (delta[column] as number) + weight * (right[at] as number);
      }
      for (let column = 0, at = row * columns; column < columns; column++, at++)
        values[at] = (values[at] as number) + factor * (delta[column] as number);
    }
    return values;
  };

  /** What each output is multiplied with to have its length. */
  const measure = async (lengths: CheckpointTensor): Promise<Float64Array> => {
    const squares = new Float64Array(outputs);
    const step = Math.max(1, Math.floor(BLOCK_ELEMENTS / columns));
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      const values = await sumRows(first, count);
      for (let i = 0; i < values.length; i++) {
        const output = transposed ? i % columns : first + Math.floor(i / columns);
        squares[output] = (squares[output] as number) + (values[i] as number) ** 2;
      }
    }
    const wanted = await lengths.read(0, outputs);
    return squares.map((square, i) => (wanted[i] as number) / Math.sqrt(square));
  };
  let stretch: Promise<Float64Array> | undefined;

  return {
    shape: base.shape,
    dtype: "F32",
    async read(start, count) {
      if (count === 0) return new Float32Array(0);
      const first = Math.floor(start / columns);
      const values = await sumRows(first, Math.ceil((start + count) / columns) - first);
      if (magnitude) {
        stretch ??= measure(magnitude);
        const factors = await stretch;
        for (let i = 0; i < values.length; i++) {
          const output = transposed ? i % columns : first + Math.floor(i / columns);
          values[i] = (values[i] as number) * (factors[output] as number);
        }
      }
      const skipped = start - first * columns;
      return values.slice(skipped, skipped + count);
    },
  };
}

/** bias + factor · lora_B's bias. */
export function addBias(
  base: CheckpointTensor,
  bias: CheckpointTensor,
  factor: number,
  module: string,
): CheckpointTensor {
  if (base.shape.join() !== bias.shape.join())
    failAdapter(`${module} has a lora_B bias of [${bias.shape}], but the checkpoint's is [${base.shape}]`);
  return {
    shape: base.shape,
    dtype: "F32",
    async read(start, count) {
      const [values, added] = [await base.read(start, count), await bias.read(start, count)];
      return values.map((value, i) => value + factor * (added[i] as number));
    },
  };
}

/**
 * A matrix with some of its rows replaced (peft's trainable tokens; their "delta" is the new row itself).
 *
 * @param rows [ids.length, columns]
 */
export async function replaceRows(
  base: CheckpointTensor,
  rows: CheckpointTensor,
  ids: readonly number[],
  module: string,
): Promise<CheckpointTensor> {
  const [height, columns] = base.shape as [number, number];
  if (base.shape.length !== 2 || rows.shape.join() !== `${ids.length},${columns}`)
    failAdapter(
      `${module} has trained rows of [${rows.shape}] for ${ids.length} tokens of a matrix of [${base.shape}]`,
    );
  const missing = ids.find((id) => id >= height);
  if (missing !== undefined)
    failAdapter(`trainable_token_indices names token ${missing}, but ${module} has ${height} rows`);
  const values = await rows.read(0, elements(rows.shape));
  return {
    shape: base.shape,
    dtype: "F32",
    async read(start, count) {
      const result = await base.read(start, count);
      for (const [i, id] of ids.entries()) {
        const from = Math.max(start, id * columns);
        const to = Math.min(start + count, (id + 1) * columns);
        if (from < to)
          result.set(values.subarray((i - id) * columns + from, (i - id) * columns + to), from - start);
      }
      return result;
    },
  };
}
