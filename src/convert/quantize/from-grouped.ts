import { GROUP_COLUMNS, type GroupedRows } from "../formats/gguf-groups.ts";

interface Groups {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns / 32]; up to 255 with four bits, up to 16 with eight. */
  readonly steps: Uint8Array;
  /** [rows]; 0 for a row of zeros. */
  readonly scales: Float32Array;
}

/** Rows in four bits: the weight of a code u is `scale · (step · u + offset)`. */
export interface FourBitGroups extends Groups {
  readonly bits: 4;
  /** [rows, columns], 0 to 15. */
  readonly codes: Uint8Array;
  /** [rows, columns / 32] */
  readonly offsets: Int16Array;
}

/** Rows in eight bits with a step for each group: the weight of a code u is `scale · step · u`. */
export interface EightBitGroups extends Groups {
  readonly bits: 8;
  /** [rows, columns], −127 to 127. */
  readonly codes: Int8Array;
}

/** Largest |step · code + offset| for any code from 0 to 15, or any that there is of eight bits: it bounds a kernel's int32 sums. */
export const INTEGER_LIMIT = 2047;
const MAX_STEP = 255;
/** Smaller ones are subnormal and lose digits: such a row is zero beside any other. */
const SMALLEST_SCALE = 2 ** -126;
const TOP_CODE = 15;
const TOP_SIGNED_CODE = 127;
/** Rounding a step moves code 15 by 8 at most, so that with a larger step no other code is nearer than the file's own. */
const LARGEST_UNSURE_STEP = 16;
/**
 * Row scales to try: the row's largest weight becomes 2047, 2031, … 1807, or with eight bits 2032 (16 · 127), 1968, …
 * On SmolLM2's Q4_1 matrices the error is 0.200 % of the weights for the first alone and 0.172 % for the best of 16
 * (0.166 % of 32); on its Q8_0 embedding 0.637 % and 0.61 %, where int8 with a scale a row has 1.14 %.
 */
const FOUR_BIT_TARGETS = Array.from({ length: 16 }, (_, i) => INTEGER_LIMIT - 16 * i);
const EIGHT_BIT_TARGETS = Array.from({ length: 8 }, (_, i) => 16 * TOP_SIGNED_CODE - 64 * i);

/**
 * The integers nearest to a file's own groups, by the squared error of each row.
 *
 * @param grouped steps and minima must be finite
 */
export function toIntegerGroups(grouped: GroupedRows): FourBitGroups | EightBitGroups {
  const { rows, columns, bits } = grouped;
  const groups = columns / GROUP_COLUMNS;
  const shared = {
    rows,
    columns,
    steps: new Uint8Array(rows * groups),
    scales: new Float32Array(rows),
  };
  if (bits === 4) {
    const codes = new Uint8Array(rows * columns);
    const result: FourBitGroups = { ...shared, bits, codes, offsets: new Int16Array(rows * groups) };
    fitRows(grouped, new FourBitRow(columns), FOUR_BIT_TARGETS, result);
    return result;
  }
  const result: EightBitGroups = { ...shared, bits, codes: new Int8Array(rows * columns) };
  fitRows(grouped, new EightBitRow(columns), EIGHT_BIT_TARGETS, result);
  return result;
}

/** One row of a file's groups, of which the error at a scale can be told before it is written. */
interface RowFit<Result> {
  /** Takes row `row` in; returns the largest magnitude that there must be room for. */
  load(grouped: GroupedRows, row: number): number;
  /** Squared error of the row at this scale, in units of the scale. */
  error(scale: number): number;
  write(scale: number, result: Result, row: number): void;
}

/** Writes each row at the best of the scales that make its largest weight one of `targets`. */
function fitRows<Result extends Groups>(
  grouped: GroupedRows,
  row: RowFit<Result>,
  targets: readonly number[],
  result: Result,
): void {
  for (let r = 0; r < grouped.rows; r++) {
    const largest = row.load(grouped, r);
    let [scale, least] = [0, Number.POSITIVE_INFINITY];
    for (const target of targets) {
      const candidate = Math.fround(largest / target);
      if (candidate < SMALLEST_SCALE) break;
      const error = row.error(candidate) * candidate ** 2;
      if (error < least) [scale, least] = [candidate, error];
    }
    if (scale === 0) continue;
    result.scales[r] = scale;
    row.write(scale, result, r);
  }
}

/** The nearest integer. Math.round takes V8 more than twice as long (measured). */
function nearest(value: number): number {
  return Math.floor(value + 0.5);
}

/** The nearest offset with which all sixteen codes, whether a group has them or not, stay within the limit. */
function offsetInRange(offset: number, step: number): number {
  return Math.min(Math.max(offset, -INTEGER_LIMIT), INTEGER_LIMIT - TOP_CODE * step);
}

/** One row of four-bit codes, with what the squared error of a group needs: trying a scale looks at no weight again. */
class FourBitRow implements RowFit<FourBitGroups> {
  readonly #codes: Uint8Array;
  /** Of each group: step (made positive) and minimum, the codes' least, largest, mean, and squared distances from it. */
  readonly #steps: Float64Array;
  readonly #minima: Float64Array;
  readonly #lowest: Uint8Array;
  readonly #highest: Uint8Array;
  readonly #means: Float64Array;
  readonly #spreads: Float64Array;
  /** What `#fit` found for the group that it was called for last. */
  #step = 0;
  #offset = 0;

  constructor(columns: number) {
    const groups = columns / GROUP_COLUMNS;
    this.#codes = new Uint8Array(columns);
    this.#steps = new Float64Array(groups);
    this.#minima = new Float64Array(groups);
    this.#lowest = new Uint8Array(groups);
    this.#highest = new Uint8Array(groups);
    this.#means = new Float64Array(groups);
    this.#spreads = new Float64Array(groups);
  }

  load({ codes, steps, minima, columns }: GroupedRows, row: number): number {
    let largest = 0;
    for (let group = 0; group < this.#steps.length; group++) {
      const from = row * columns + group * GROUP_COLUMNS;
      const step = steps[from / GROUP_COLUMNS] as number;
      // A negative step is the same as a positive one with the codes counted from the other end.
      const flip = step < 0 ? TOP_CODE : 0;
      let [lowest, highest, sum, squares] = [TOP_CODE, 0, 0, 0];
      for (let i = 0; i < GROUP_COLUMNS; i++) {
        const code = (codes[from + i] as number) ^ flip;
        this.#codes[group * GROUP_COLUMNS + i] = code;
        if (code < lowest) lowest = code;
        if (code > highest) highest = code;
        sum += code;
        squares += code * code;
      }
      const size = Math.abs(step);
      const minimum = (minima[from / GROUP_COLUMNS] as number) + flip * step;
      this.#steps[group] = size;
      this.#minima[group] = minimum;
      this.#lowest[group] = lowest;
      this.#highest[group] = highest;
      this.#means[group] = sum / GROUP_COLUMNS;
      this.#spreads[group] = squares - (sum * sum) / GROUP_COLUMNS;
      // All sixteen codes must have room. Where a group has few of them, others are found that need less.
      const [bottom, top] = highest - lowest < TOP_CODE / 2 ? [lowest, highest] : [0, TOP_CODE];
      largest = Math.max(largest, Math.abs(size * bottom + minimum), Math.abs(size * top + minimum));
    }
    return largest;
  }

  /** The error with the file's own codes, as if they always had room: only groups of few codes may not. */
  error(scale: number): number {
    let error = 0;
    for (let group = 0; group < this.#steps.length; group++) {
      const step = (this.#steps[group] as number) / scale;
      const slope = step - Math.min(nearest(step), MAX_STEP);
      const offset = (this.#minima[group] as number) / scale + slope * (this.#means[group] as number);
      const shift = offset - nearest(offset);
      error += slope * slope * (this.#spreads[group] as number) + shift * shift * GROUP_COLUMNS;
    }
    return error;
  }

  write(scale: number, { codes, steps, offsets, columns }: FourBitGroups, row: number): void {
    for (let group = 0; group < this.#steps.length; group++) {
      const error = this.#fit(group, scale);
      const to = row * columns + group * GROUP_COLUMNS;
      const target = codes.subarray(to, to + GROUP_COLUMNS);
      target.set(this.#codes.subarray(group * GROUP_COLUMNS, (group + 1) * GROUP_COLUMNS));
      if (this.#mayGain(group, scale)) this.#recode(group, scale, error, target);
      steps[to / GROUP_COLUMNS] = this.#step;
      offsets[to / GROUP_COLUMNS] = this.#offset;
    }
  }

  /** Finds step and offset for the file's own codes; returns the squared error in units of the scale. */
  #fit(group: number, scale: number): number {
    const step = (this.#steps[group] as number) / scale;
    const minimum = (this.#minima[group] as number) / scale;
    const mean = this.#means[group] as number;
    this.#step = Math.min(nearest(step), MAX_STEP);
    const slope = step - this.#step;
    // The offset takes up what rounding the step moves the codes' mean by.
    this.#offset = offsetInRange(nearest(minimum + slope * mean), this.#step);
    const shift = minimum + slope * mean - this.#offset;
    return slope * slope * (this.#spreads[group] as number) + shift * shift * GROUP_COLUMNS;
  }

  /** Whether other codes than the file's own may be nearer: its step is small or too large, or its top code is. */
  #mayGain(group: number, scale: number): boolean {
    const step = (this.#steps[group] as number) / scale;
    const top = (this.#minima[group] as number) / scale + TOP_CODE * step;
    return step <= LARGEST_UNSURE_STEP || step > MAX_STEP || top > INTEGER_LIMIT || top < -INTEGER_LIMIT;
  }

  /**
   * Spreads all sixteen codes over the group's range and takes the nearest ones, if that is better than `least`:
   * where the row's largest weight is far above the group's, and where a group has few codes that are far apart.
   */
  #recode(group: number, scale: number, least: number, codes: Uint8Array): void {
    const step = (this.#steps[group] as number) / scale;
    const minimum = (this.#minima[group] as number) / scale;
    const lowest = this.#lowest[group] as number;
    const own = this.#codes.subarray(group * GROUP_COLUMNS, (group + 1) * GROUP_COLUMNS);
    const bottom = nearest(minimum + step * lowest);
    const exact = (step * ((this.#highest[group] as number) - lowest)) / TOP_CODE;
    for (const candidate of [Math.max(Math.floor(exact), 1), Math.floor(exact) + 1]) {
      if (candidate > MAX_STEP) break;
      const offset = offsetInRange(bottom, candidate);
      const recoded = own.map((code) =>
        Math.min(Math.max(nearest((step * code + minimum - offset) / candidate), 0), TOP_CODE),
      );
      let error = 0;
      for (const [i, code] of own.entries())
        error += (candidate * (recoded[i] as number) + offset - (step * code + minimum)) ** 2;
      if (error < least) {
        least = error;
        this.#step = candidate;
        this.#offset = offset;
        codes.set(recoded);
      }
    }
  }
}

/** One row of eight-bit codes: each group gets the smallest step with which its largest weight has a code. */
class EightBitRow implements RowFit<EightBitGroups> {
  readonly #weights: Float64Array;
  readonly #largest: Float64Array;

  constructor(columns: number) {
    this.#weights = new Float64Array(columns);
    this.#largest = new Float64Array(columns / GROUP_COLUMNS);
  }

  load({ codes, steps, columns }: GroupedRows, row: number): number {
    for (let group = 0; group < this.#largest.length; group++) {
      const from = row * columns + group * GROUP_COLUMNS;
      const step = steps[from / GROUP_COLUMNS] as number;
      let largest = 0;
      for (let i = 0; i < GROUP_COLUMNS; i++) {
        const weight = step * (codes[from + i] as number);
        this.#weights[group * GROUP_COLUMNS + i] = weight;
        largest = Math.max(largest, Math.abs(weight));
      }
      this.#largest[group] = largest;
    }
    return this.#largest.reduce((a, b) => Math.max(a, b), 0);
  }

  error(scale: number): number {
    let error = 0;
    for (let group = 0; group < this.#largest.length; group++) {
      const step = this.#step(group, scale);
      const inverse = 1 / (step * scale);
      let sum = 0;
      for (let i = group * GROUP_COLUMNS; i < (group + 1) * GROUP_COLUMNS; i++) {
        const exact = (this.#weights[i] as number) * inverse;
        sum += (exact - nearest(exact)) ** 2;
      }
      error += sum * step ** 2;
    }
    return error;
  }

  write(scale: number, { codes, steps, columns }: EightBitGroups, row: number): void {
    for (let group = 0; group < this.#largest.length; group++) {
      const step = this.#step(group, scale);
      const from = row * columns + group * GROUP_COLUMNS;
      steps[from / GROUP_COLUMNS] = step;
      for (let i = 0; i < GROUP_COLUMNS; i++) {
        const exact = (this.#weights[group * GROUP_COLUMNS + i] as number) / (step * scale);
        codes[from + i] = nearest(exact);
      }
    }
  }

  /** Rounded as a code, 127.49 is 127: so much more the largest weight may be. */
  #step(group: number, scale: number): number {
    return Math.max(Math.ceil((this.#largest[group] as number) / scale / (TOP_SIGNED_CODE + 0.49)), 1);
  }
}
