/** What rows of groups have whatever their bits. */
export interface Groups {
  readonly rows: number;
  readonly columns: number;
  /** [rows, ⌈columns / 32⌉], up to 255. */
  readonly steps: Uint8Array;
  /** [rows]; 0 for a row of zeros. */
  readonly scales: Float32Array;
}

/** Smaller scales are subnormal and lose digits: such a row is zero beside any other. */
const SMALLEST_SCALE = 2 ** -126;

/** One row, of which the error at a scale can be told before it is written. */
export interface RowFit<Result> {
  /** The largest magnitude that there must be room for. */
  readonly largest: number;
  /** Squared error of the row at this scale, in units of the scale. */
  error(scale: number): number;
  write(scale: number, result: Result, row: number): void;
}

/** Writes a row at the best of the scales that make its largest weight one of `targets`; nothing for a row of zeros. */
export function fitRow<Result extends Groups>(
  fit: RowFit<Result>,
  targets: readonly number[],
  result: Result,
  row: number,
): void {
  let [scale, least] = [0, Number.POSITIVE_INFINITY];
  for (const target of targets) {
    const candidate = Math.fround(fit.largest / target);
    if (candidate < SMALLEST_SCALE) break;
    const error = fit.error(candidate) * candidate ** 2;
    if (error < least) [scale, least] = [candidate, error];
  }
  if (scale === 0) return;
  result.scales[row] = scale;
  fit.write(scale, result, row);
}

/** The nearest integer. Math.round takes V8 more than twice as long (measured). */
export function nearest(value: number): number {
  return Math.floor(value + 0.5);
}
