// Rows of a matrix that is stacked from several sources, some of which store their rows in another order.

import type { Source } from "./dialects/dialect.ts";
import type { GroupedRows } from "./formats/gguf-groups.ts";

/** Where some rows are in their source. */
interface Span {
  /** The first row to read, and how many. */
  start: number;
  length: number;
  /** Which of the rows that were read is the first, the second …; undefined if they are in order. */
  order?: number[];
}

/** The shortest stretch of the source that has the rows: an order mixes rows within a head only, so it is hardly longer. */
export function spanOf(rowOrder: Source["rowOrder"], first: number, count: number): Span {
  if (rowOrder === undefined) return { start: first, length: count };
  const rows = Array.from({ length: count }, (_, i) => rowOrder(first + i));
  const start = rows.reduce((a, b) => Math.min(a, b));
  const end = rows.reduce((a, b) => Math.max(a, b)) + 1;
  return { start, length: end - start, order: rows.map((row) => row - start) };
}

/** Reads rows `first … first + count − 1` of the stack, source by source. */
export async function readStacked<Rows>(
  sources: readonly Source[],
  readers: readonly ((first: number, count: number) => Promise<Rows>)[],
  first: number,
  count: number,
): Promise<Rows[]> {
  const parts: Rows[] = [];
  let start = 0;
  for (const [i, source] of sources.entries()) {
    const from = Math.max(first - start, 0);
    const to = Math.min(first + count - start, source.rows);
    if (from < to) parts.push(await readers[i]!(from, to - from));
    start += source.rows;
  }
  return parts;
}

type Values = Float32Array | Uint8Array | Int8Array;

/** A new array of the same kind. */
function emptyLike<T extends Values>(values: T, length: number): T {
  return new (values.constructor as new (length: number) => T)(length);
}

/** The rows of `values` in the order that `order` has them. */
export function pickRows<T extends Values>(values: T, order: readonly number[], columns: number): T {
  const result = emptyLike(values, order.length * columns);
  for (const [i, row] of order.entries())
    result.set(values.subarray(row * columns, (row + 1) * columns), i * columns);
  return result;
}

/** The values of all parts, one part after another. */
export function concatenate<T extends Values>(parts: readonly T[]): T {
  if (parts.length === 1) return parts[0]!;
  const result = emptyLike(
    parts[0]!,
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

export function pickGroups(grouped: GroupedRows, order: readonly number[]): GroupedRows {
  const { columns } = grouped;
  const perRow = grouped.steps.length / grouped.rows;
  return {
    ...grouped,
    rows: order.length,
    codes: pickRows<Values>(grouped.codes, order, columns),
    steps: pickRows(grouped.steps, order, perRow),
    minima: pickRows(grouped.minima, order, perRow),
  } as GroupedRows;
}

/** @param parts all of as many bits and columns */
export function concatenateGroups(parts: readonly GroupedRows[]): GroupedRows {
  if (parts.length === 1) return parts[0]!;
  return {
    ...parts[0],
    rows: parts.reduce((sum, { rows }) => sum + rows, 0),
    codes: concatenate<Values>(parts.map(({ codes }) => codes)),
    steps: concatenate(parts.map(({ steps }) => steps)),
    minima: concatenate(parts.map(({ minima }) => minima)),
  } as GroupedRows;
}
