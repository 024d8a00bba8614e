import { GROUP_COLUMNS, INTEGER_LIMIT, STEP_LIMIT } from "../../../assembly/four-bit.ts";
import type { GroupedRows } from "../formats/gguf-groups.ts";
import { type EightBitGroups, eightBitGroupsOf } from "./eight-bit.ts";
import { fitRow, type Groups, nearest, type RowFit } from "./row-fit.ts";

/**
 * Rows in four bits: the weight of a code u is `scale · (step · u + offset)`. For any code from 0 to 15, whether a
 * group has it or not, |step · u + offset| ≤ 2047.
 */
export interface FourBitGroups extends Groups {
  /** [rows, columns], 0 to 15. */
  readonly codes: Uint8Array;
  /** [rows, columns / 32] */
  readonly offsets: Int16Array;
}

const TOP_CODE = 15;
/** Rounding a step moves code 15 by 8 at most, so that with a larger step no other code is nearer than the file's own. */
const LARGEST_UNSURE_STEP = 16;
/**
 * Row scales to try: the row's largest weight becomes 2047, 2031, … 1807. On SmolLM2's Q4_1 matrices the error is
 * 0.200 % of the weights for the first alone and 0.172 % for the best of 16 (0.166 % of 32).
 */
const TARGETS = Array.from({ length: 16 }, (_, i) => INTEGER_LIMIT - 16 * i);

/** What a file's own groups become. */
export type IntegerGroups = ({ bits: 4 } & FourBitGroups) | ({ bits: 8 } & EightBitGroups);

/**
 * The integers nearest to a file's own groups, by the squared error of each row.
 *
 * @param grouped steps and minima must be finite
 */
export function toIntegerGroups(grouped: GroupedRows): IntegerGroups {
  const { rows, columns, steps } = grouped;
  if (grouped.bits === 8) return { bits: 8, ...eightBitGroupsOf(grouped.codes, steps, rows, columns) };
  const result = {
    bits: 4,
    rows,
    columns,
    codes: new Uint8Array(rows * columns),
    steps: new Uint8Array(steps.length),
    offsets: new Int16Array(steps.length),
    scales: new Float32Array(rows),
  } as const;
  const fit = new FourBitRow(columns);
  for (let row = 0; row < rows; row++) {
    fit.load(grouped, row);
    fitRow(fit, TARGETS, result, row);
  }
  return result;
}

/** The nearest offset with which all sixteen codes stay within the limit. */
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

  largest = 0;

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

  load({ codes, steps, minima, columns }: GroupedRows, row: number): void {
    this.largest = 0;
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
      this.largest = Math.max(
        this.largest,
        Math.abs(size * bottom + minimum),
        Math.abs(size * top + minimum),
      );
    }
  }

  /** The error with the file's own codes, as if they always had room: only groups of few codes may not. */
  error(scale: number): number {
    let error = 0;
    for (let group = 0; group < this.#steps.length; group++) {
      const step = (this.#steps[group] as number) / scale;
      const slope = step - Math.min(nearest(step), STEP_LIMIT);
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
    this.#step = Math.min(nearest(step), STEP_LIMIT);
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
    return step <= LARGEST_UNSURE_STEP || step > STEP_LIMIT || top > INTEGER_LIMIT || top < -INTEGER_LIMIT;
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
      if (candidate > STEP_LIMIT) break;
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
