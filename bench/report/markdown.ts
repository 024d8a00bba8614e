import type { Machine } from "../measure.ts";
import { short } from "../svg.ts";

export type Row = (string | number)[];

/** A table, its numbers with three digits; the first column is of words. */
export function table(header: Row, rows: Row[]): string {
  const line = (cells: Row) => `| ${cells.map((c) => (typeof c === "number" ? short(c) : c)).join(" | ")} |`;
  return [line(header), line(header.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

export function describeMachine({ cpu, cores, memoryGiB, os, load, versions, date }: Machine): string {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${date}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${os}, load ${load.toFixed(1)} at the end (1 is this benchmark alone); ${list.join(", ")}.`;
}

/** A target of the project, what was measured, and whether it is met. */
export function target(
  what: string,
  measured: number,
  bound: number,
  sense: "≥" | "≤",
  unit: "×" | "%" = "×",
): Row {
  const met = sense === "≥" ? measured >= bound : measured <= bound;
  const show = (value: number) => (unit === "%" ? `${(100 * value).toFixed(1)} %` : `${value.toFixed(2)} ×`);
  return [what, `${sense} ${show(bound)}`, show(measured), met ? "yes" : "no"];
}
