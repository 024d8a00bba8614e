/** [rows, columns] → [columns, rows], in squares that stay in the cache. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  const square = 32;
  for (let r0 = 0; r0 < rows; r0 += square)
    for (let c0 = 0; c0 < columns; c0 += square)
      for (let c = c0; c < Math.min(c0 + square, columns); c++)
        for (let r = r0; r < Math.min(r0 + square, rows); r++)
          result[c * rows + r] = values[r * columns + c] as number;
  return result;
}
