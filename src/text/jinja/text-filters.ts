// Filters that make texts.

import type { Budget } from "./budget.ts";
import { filter } from "./filter.ts";
import { splitLines, text, whole } from "./text-methods.ts";
import { characters, isTrue, sequence, type Value } from "./values.ts";
import { WHITE_SPACE } from "./white-space.ts";
import { json, write } from "./written.ts";

export const onText = (work: (subject: string) => Value) =>
  filter({}, (value, _, budget) => work(write(value, budget)));

const TITLE_WORD = new RegExp(`[^-({[<${WHITE_SPACE}]+`, "g");

/** Unlike `str.title`, it takes an apostrophe for a part of a word. */
export function title(subject: string): string {
  return subject.replace(TITLE_WORD, (word) => {
    const [first = "", ...rest] = characters(word);
    return first.toUpperCase() + rest.join("").toLowerCase();
  });
}

export function indent(value: Value, [width, first, blank]: Value[], budget: Budget): Value {
  const by = typeof width === "string" ? width : undefined;
  const size = by === undefined ? Math.max(0, whole(width!)) : by.length;
  const subject = text(value);
  const lines = splitLines(`${subject}\n`);
  budget.size(lines.length * (size + 1) + subject.length);
  const before = by ?? " ".repeat(size);
  const indented = lines.map((line, at) => {
    if (at === 0) return isTrue(first!) ? before + line : line;
    return line !== "" || isTrue(blank!) ? before + line : line;
  });
  return indented.join("\n");
}

export function toJson(
  value: Value,
  [isAscii, indentation, separators]: Value[],
  sort: Value,
  budget: Budget,
): Value {
  const levels =
    typeof indentation === "number" || typeof indentation === "boolean" ? Number(indentation) : undefined;
  if (levels !== undefined) budget.size(levels);
  const by =
    indentation === null ? null : levels === undefined ? text(indentation!) : " ".repeat(Math.max(0, levels));
  const given = separators === null ? undefined : sequence(separators!);
  if (given !== undefined && given.length !== 2) throw new Error("separators must be two strings");
  const options = {
    indent: by,
    isAscii: isTrue(isAscii!),
    separators: (given?.map(text) ?? [by === null ? ", " : ",", ": "]) as [string, string],
    sortKeys: isTrue(sort),
  };
  return json(value, options, budget);
}
