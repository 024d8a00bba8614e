// Conditions on a value that hold all at once: of which types it may be, and what each type is held to.

import { ALL, type Language, type Languages } from "../language/language.ts";
import { ANYTHING, type Goal, type Goals } from "./goal.ts";
import { ANY_NUMBER, bothNumbers, type NumberFacts } from "./number-facts.ts";

export const TYPES = { null: 1, false: 2, true: 4, number: 8, string: 16, array: 32, object: 64 } as const;
export const ALL_TYPES = 127;

export interface StringFacts {
  language: Language;
  /** Characters. */
  least: number;
  most: number;
}

/** Items that there must be, so many of them at least and at most. */
export interface ItemCount {
  goal: Goal;
  /** What items must be that do not count. */
  other: Goal;
  least: number;
  most: number;
  /** Only items from this index on count. */
  from: number;
}

export interface ArrayFacts {
  /** Of the first items. */
  prefix: readonly Goal[];
  rest: Goal;
  least: number;
  most: number;
  counts: readonly ItemCount[];
  unique: boolean;
}

/** A rule for keys that the language holds and the names do not. */
export interface KeyRule {
  names: ReadonlySet<string>;
  languages: readonly Language[];
  goal: Goal;
}

export interface ObjectFacts {
  properties: ReadonlyMap<string, Goal>;
  /** For keys of a language. */
  patterns: readonly { language: Language; goal: Goal }[];
  /** For keys that are none of the names and in none of the languages. */
  others: readonly KeyRule[];
  /** What keys must be, as strings. */
  names: Goal;
  required: ReadonlySet<string>;
  least: number;
  most: number;
  /** Keys that a key needs beside it. */
  needs: ReadonlyMap<string, ReadonlySet<string>>;
  /** Some property must have a key of the language and such a value. */
  some: readonly { language: Language; goal: Goal }[];
}

export interface Facts {
  types: number;
  number: NumberFacts;
  string: StringFacts;
  array: ArrayFacts;
  object: ObjectFacts;
}

export const ANY_STRING: StringFacts = { language: ALL, least: 0, most: Infinity };
export const ANY_ARRAY: ArrayFacts = {
  prefix: [],
  rest: ANYTHING,
  least: 0,
  most: Infinity,
  counts: [],
  unique: false,
};
export const ANY_OBJECT: ObjectFacts = {
  properties: new Map(),
  patterns: [],
  others: [],
  names: ANYTHING,
  required: new Set(),
  least: 0,
  most: Infinity,
  needs: new Map(),
  some: [],
};
export const ANY_FACTS: Facts = {
  types: ALL_TYPES,
  number: ANY_NUMBER,
  string: ANY_STRING,
  array: ANY_ARRAY,
  object: ANY_OBJECT,
};

function bothStrings(languages: Languages, a: StringFacts, b: StringFacts): StringFacts {
  if (a === ANY_STRING) return b;
  if (b === ANY_STRING) return a;
  return {
    language: languages.intersection([a.language, b.language]),
    least: Math.max(a.least, b.least),
    most: Math.min(a.most, b.most),
  };
}

function bothArrays(goals: Goals, a: ArrayFacts, b: ArrayFacts): ArrayFacts {
  if (a === ANY_ARRAY) return b;
  if (b === ANY_ARRAY) return a;
  const length = Math.max(a.prefix.length, b.prefix.length);
  return {
    prefix: Array.from({ length }, (_, i) => goals.both(a.prefix[i] ?? a.rest, b.prefix[i] ?? b.rest)),
    rest: goals.both(a.rest, b.rest),
    least: Math.max(a.least, b.least),
    most: Math.min(a.most, b.most),
    counts: [...a.counts, ...b.counts.filter((count) => !a.counts.some((other) => sameCount(count, other)))],
    unique: a.unique || b.unique,
  };
}

function sameCount(a: ItemCount, b: ItemCount): boolean {
  return a.goal === b.goal && a.least === b.least && a.most === b.most && a.from === b.from;
}

function bothObjects(goals: Goals, a: ObjectFacts, b: ObjectFacts): ObjectFacts {
  if (a === ANY_OBJECT) return b;
  if (b === ANY_OBJECT) return a;
  const properties = new Map(a.properties);
  for (const [name, goal] of b.properties) {
    const other = properties.get(name);
    properties.set(name, other ? goals.both(other, goal) : goal);
  }
  const needs = new Map(a.needs);
  for (const [name, others] of b.needs) needs.set(name, new Set([...(needs.get(name) ?? []), ...others]));
  return {
    properties,
    patterns: [
      ...a.patterns,
      ...b.patterns.filter((x) => !a.patterns.some((y) => x.language === y.language && x.goal === y.goal)),
    ],
    others: [...new Set([...a.others, ...b.others])],
    names: goals.both(a.names, b.names),
    required:
      a.required.size === 0
        ? b.required
        : b.required.size === 0
          ? a.required
          : new Set([...a.required, ...b.required]),
    least: Math.max(a.least, b.least),
    most: Math.min(a.most, b.most),
    needs,
    some: [
      ...a.some,
      ...b.some.filter((x) => !a.some.some((y) => x.language === y.language && x.goal === y.goal)),
    ],
  };
}

/** Both conditions at once. What no value can meet may still be there. */
export function bothFacts(languages: Languages, goals: Goals, a: Facts, b: Facts): Facts {
  if (a === ANY_FACTS) return b;
  if (b === ANY_FACTS) return a;
  const types = a.types & b.types;
  return {
    types,
    number: types & TYPES.number ? bothNumbers(a.number, b.number) : ANY_NUMBER,
    string: types & TYPES.string ? bothStrings(languages, a.string, b.string) : ANY_STRING,
    array: types & TYPES.array ? bothArrays(goals, a.array, b.array) : ANY_ARRAY,
    object: types & TYPES.object ? bothObjects(goals, a.object, b.object) : ANY_OBJECT,
  };
}
