/** Middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Half the distance between the quartiles, as a share of the median: how much a figure can be trusted. */
export function spread(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return (at(0.75) - at(0.25)) / 2 / median(values);
}

/**
 * Median of the ratios a[i] / b[i], of two things that were measured one after the other in round i: what the
 * machine does for longer than a round cancels out.
 */
export function medianRatio(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new Error(`${a.length} measurements cannot be paired with ${b.length}`);
  return median(a.map((value, i) => value / b[i]!));
}

/** The straight line through points, by least squares. */
export function fitLine(xs: readonly number[], ys: readonly number[]): { base: number; slope: number } {
  const [x0, y0] = [mean(xs), mean(ys)];
  const slope = mean(xs.map((x, i) => (x - x0) * (ys[i]! - y0))) / mean(xs.map((x) => (x - x0) ** 2));
  return { base: y0 - slope * x0, slope };
}
