// Keywords of values of any type, of numbers and of strings.

import { excerpt } from "../../excerpt.ts";
import type { Language, Languages } from "../language/language.ts";
import { any, being, type Condition, holds, keyword, TRUE } from "./condition.ts";
import { ALL_VALUES, FALSE, NO_VALUES, NULL, TRUE as TRUE_BIT } from "./facts.ts";
import { FORMATS, UNSUPPORTED_FORMATS } from "./formats.ts";
import type { Schema } from "./goal.ts";
import type { Keywords, Reading } from "./keywords.ts";
import {
  above,
  amongNumbers,
  atLeast,
  atMost,
  below,
  exceptNumbers,
  isOnGrid,
  ONE,
  scaled,
} from "./number-facts.ts";

/** What a keyword says, which is there; others may stand beside it that say how it is meant. */
export type Readers = Readonly<Record<string, (keywords: Keywords, reading: Reading) => Condition>>;

function literal(bit: number): Condition {
  return keyword({ ...NO_VALUES, literals: bit }, () => ({
    ...ALL_VALUES,
    literals: ALL_VALUES.literals & ~bit,
  }));
}

const TYPES: Readonly<Record<string, Condition>> = {
  null: literal(NULL),
  boolean: literal(FALSE | TRUE_BIT),
  number: being("number"),
  integer: being("number", { step: ONE }, () => [{ notSteps: [ONE] }]),
  string: being("string"),
  array: being("array"),
  object: being("object"),
};

/** One of some values. */
export function listed(
  schema: Schema,
  { source, languages, budget }: Reading,
  values: readonly unknown[],
): Condition {
  budget.spend(values.length);
  const ofType = (type: string) => values.filter((value) => typeof value === type);
  const parts: Condition[] = [];
  let bits = 0;
  if (values.includes(null)) bits |= NULL;
  if (values.includes(false)) bits |= FALSE;
  if (values.includes(true)) bits |= TRUE_BIT;
  if (bits !== 0) parts.push(literal(bits));
  const numbers = ofType("number") as number[];
  if (numbers.length > 0) {
    const others = () => {
      budget.spend(4 * numbers.length);
      return [exceptNumbers(numbers)];
    };
    parts.push(being("number", amongNumbers(numbers), others));
  }
  const strings = ofType("string") as string[];
  if (strings.length > 0) {
    const language = languages.strings(strings);
    parts.push(being("string", { language }, () => [{ language: languages.complement(language) }]));
  }
  for (const value of ofType("object"))
    if (value) parts.push({ is: "schema", of: source.like(schema, value) });
  return any(parts);
}

/** Numbers on one side of a value; strict if not the value itself. */
function bounded(value: number, isLeast: boolean, isStrict: boolean): Condition {
  const isAbove = isLeast !== isStrict;
  const upper = { least: isAbove ? atLeast(value) : above(value) };
  const lower = { most: isAbove ? below(value) : atMost(value) };
  return isLeast ? holds("number", upper, () => [lower]) : holds("number", lower, () => [upper]);
}

function bound(plain: string, strict: string, isLeast: boolean): Readers {
  return {
    // In draft-04 the strict one is a boolean beside the plain one.
    [plain]: (keywords) => bounded(keywords.number(plain)!, isLeast, keywords.raw(strict) === true),
    [strict]: (keywords) =>
      typeof keywords.raw(strict) === "boolean" ? TRUE : bounded(keywords.number(strict)!, isLeast, true),
  };
}

/** Bounds on how many characters, items or properties there are. */
export function size(kind: "string" | "array" | "object", what: string): Readers {
  return {
    [`min${what}`]: (keywords) => {
      const least = keywords.count(`min${what}`)!;
      return holds(kind, { least }, () => [{ most: least - 1 }]);
    },
    [`max${what}`]: (keywords) => {
      const most = keywords.count(`max${what}`)!;
      return holds(kind, { most }, () => [{ least: most + 1 }]);
    },
  };
}

function within(languages: Languages, language: Language): Condition {
  return holds("string", { language }, () => [{ language: languages.complement(language) }]);
}

export const VALUE_KEYWORDS: Readers = {
  type: (keywords) =>
    any(
      [keywords.raw("type")].flat().map((name) => {
        if (typeof name !== "string" || !Object.hasOwn(TYPES, name))
          keywords.refuse("type", `${excerpt(name)} is no type; there are ${Object.keys(TYPES).join(", ")}`);
        return TYPES[name as keyof typeof TYPES]!;
      }),
    ),
  const: (keywords, reading) => listed(keywords.schema, reading, [keywords.raw("const")]),
  enum: (keywords, reading) => {
    const values = keywords.list("enum");
    if (values.length === 0) keywords.refuse("enum", "is empty, so that no value is valid");
    return listed(keywords.schema, reading, values);
  },
  ...bound("minimum", "exclusiveMinimum", true),
  ...bound("maximum", "exclusiveMaximum", false),
  multipleOf: (keywords) => {
    const step = keywords.number("multipleOf")!;
    if (step <= 0) keywords.refuse("multipleOf", "must be above 0");
    if (!isOnGrid(step)) keywords.refuse("multipleOf", "has more than 24 digits behind the point");
    return holds("number", { step: scaled(step) }, () => [{ notSteps: [scaled(step)] }]);
  },
  ...size("string", "Length"),
  pattern: (keywords, reading) =>
    within(reading.languages, reading.pattern(keywords, "pattern", keywords.text("pattern")!)),
  format: (keywords, reading) => {
    const name = keywords.text("format")!;
    const pattern = FORMATS.get(name);
    if (pattern) return within(reading.languages, reading.pattern(keywords, "format", pattern(), true));
    if (UNSUPPORTED_FORMATS.has(name)) keywords.refuse("format", `${excerpt(name)} is not supported`);
    if (reading.unknownFormats === "error") keywords.refuse("format", `${excerpt(name)} is not known`);
    return TRUE;
  },
};
