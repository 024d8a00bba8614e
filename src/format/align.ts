/** Rounded up to a multiple of `unit`. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** Matrices' rows and columns, and vectors, are stored padded with zeros to a multiple of 16. */
export function padded(count: number): number {
  return alignUp(count, 16);
}
