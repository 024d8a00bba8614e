import { GROUP_COLUMNS, INTEGER_LIMIT, STEP_LIMIT } from "../../../assembly/four-bit.ts";
import { fitRow, type Groups, nearest, type RowFit } from "./row-fit.ts";

/** Rows in eight bits with a step for each group: the weight of a code u is `scale · step · u`, |step · u| ≤ 2047. */
export interface EightBitGroups extends Groups {
  /** [rows, columns], −127 to 127. */
  readonly codes: Int8Array;
}

const TOP_CODE = 127;
/**
 * Row scales to try: the row's largest weight becomes 2032 (16 · 127), 1968, … 1584. On SmolLM2's Q8_0 embedding the
 * error is 0.637 % of the weights with the first alone and 0.61 % with the best, where int8 with a scale a row has
 * 1.14 %.
 */
const TARGETS = Array.from({ length: 8 }, (_, i) => 16 * TOP_CODE - 64 * i);

export function emptyEightBitGroups(rows: number, columns: number): EightBitGroups {
  return {
    rows,
    columns,
    codes: new Int8Array(rows * columns),
    steps: new Uint8Array(rows * Math.ceil(columns / GROUP_COLUMNS)),
    scales: new Float32Array(rows),
  };
}

/**
 * Rounds to eight bits with a step for each group, by the squared error of each row.
 *
 * @param weights row-major [rows, columns], finite
 */
export function quantizeEightBitGroups(weights: Float32Array, rows: number, columns: number): EightBitGroups {
  const result = emptyEightBitGroups(rows, columns);
  const fit = new EightBitRow(columns);
  for (let row = 0; row < rows; row++) {
    fit.load(weights.subarray(row * columns, (row + 1) * columns));
    fitRow(fit, TARGETS, result, row);
  }
  return result;
}

/** As `quantizeEightBitGroups`, of rows that have codes and steps, [rows, columns] and [rows, columns / 32]. */
export function eightBitGroupsOf(
  codes: Int8Array,
  steps: Float32Array,
  rows: number,
  columns: number,
): EightBitGroups {
  const result = emptyEightBitGroups(rows, columns);
  const fit = new EightBitRow(columns);
  const weights = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    const own = steps.subarray((row * columns) / GROUP_COLUMNS, ((row + 1) * columns) / GROUP_COLUMNS);
    for (let c = 0; c < columns; c++)
      weights[c] = (codes[row * columns + c] as number) * (own[Math.floor(c / GROUP_COLUMNS)] as number);
    fit.load(weights, own);
    fitRow(fit, TARGETS, result, row);
  }
  return result;
}

/**
 * One row of eight-bit codes. A group gets the smallest step with which its largest weight has a code. A group that
 * comes with a step of its own and few codes (Q5_0 has five bits) keeps them, where rounding that step costs less.
 */
class EightBitRow implements RowFit<EightBitGroups> {
  readonly #weights: Float64Array;
  /** Of each group: the largest magnitude, the sum of squares, and the size of its own step (0 for none). */
  readonly #largest: Float64Array;
  readonly #squares: Float64Array;
  readonly #ownSteps: Float64Array;
  largest = 0;

  constructor(columns: number) {
    const groups = Math.ceil(columns / GROUP_COLUMNS);
    this.#weights = new Float64Array(columns);
    this.#largest = new Float64Array(groups);
    this.#squares = new Float64Array(groups);
    this.#ownSteps = new Float64Array(groups);
  }

  load(weights: Float32Array | Float64Array, ownSteps?: Float32Array): void {
    this.#weights.set(weights);
    this.largest = 0;
    for (let group = 0; group < this.#largest.length; group++) {
      let [largest, squares] = [0, 0];
      const end = this.#end(group);
      for (let i = group * GROUP_COLUMNS; i < end; i++) {
        const size = Math.abs(this.#weights[i] as number);
        if (size > largest) largest = size;
        squares += size * size;
      }
      this.#largest[group] = largest;
      this.#squares[group] = squares;
      this.#ownSteps[group] = Math.abs(ownSteps?.[group] ?? 0);
      if (largest > this.largest) this.largest = largest;
    }
  }

  error(scale: number): number {
    let error = 0;
    for (let group = 0; group < this.#largest.length; group++)
      error += Math.min(this.#roundedError(group, scale), this.#ownError(group, scale));
    return error;
  }

  write(scale: number, { codes, steps, columns }: EightBitGroups, row: number): void {
    for (let group = 0; group < this.#largest.length; group++) {
      const keeps = this.#ownError(group, scale) < this.#roundedError(group, scale);
      const step = keeps ? this.#ownStep(group, scale) : this.#smallestStep(group, scale);
      // What one code is worth in the source.
      const unit = keeps ? (this.#ownSteps[group] as number) : step * scale;
      steps[row * this.#largest.length + group] = step;
      const end = this.#end(group);
      for (let i = group * GROUP_COLUMNS; i < end; i++)
        codes[row * columns + i] = nearest((this.#weights[i] as number) / unit);
    }
  }

  /** The squared error of a group with the smallest step, in units of the scale. */
  #roundedError(group: number, scale: number): number {
    const step = this.#smallestStep(group, scale);
    const inverse = 1 / (step * scale);
    const end = this.#end(group);
    let sum = 0;
    for (let i = group * GROUP_COLUMNS; i < end; i++) {
      const exact = (this.#weights[i] as number) * inverse;
      sum += (exact - nearest(exact)) ** 2;
    }
    return sum * step ** 2;
  }

  /** The squared error of a group that keeps its codes, in units of the scale; infinite if it cannot. */
  #ownError(group: number, scale: number): number {
    const own = this.#ownSteps[group] as number;
    const step = this.#ownStep(group, scale);
    const topCode = (this.#largest[group] as number) / own;
    // −128 is a code of Q8_0 and none of ours.
    if (own === 0 || topCode > TOP_CODE + 0.5 || step > STEP_LIMIT || step * topCode > INTEGER_LIMIT + 0.5)
      return Number.POSITIVE_INFINITY;
    return ((own / scale - step) / own) ** 2 * (this.#squares[group] as number);
  }

  #ownStep(group: number, scale: number): number {
    return nearest((this.#ownSteps[group] as number) / scale);
  }

  /** Rounded as a code, 127.49 is 127: so much more the largest weight may be. */
  #smallestStep(group: number, scale: number): number {
    return Math.max(Math.ceil((this.#largest[group] as number) / scale / (TOP_CODE + 0.49)), 1);
  }

  /** The column behind a group's last: the last group of a row may be shorter. */
  #end(group: number): number {
    return Math.min((group + 1) * GROUP_COLUMNS, this.#weights.length);
  }
}
