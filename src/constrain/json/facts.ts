// What a value may be, type by type. Of each type it is held to one of a list of facts, each of which is a conjunction.

import { ALL, type Language, type Languages } from "../language/language.ts";
import { ANYTHING, type Goal, type Goals } from "./goal.ts";
import { ANY_NUMBER, bothNumbers, type NumberFacts } from "./number-facts.ts";

/** Bits of `Values.literals`. */
export const NULL = 1;
export const FALSE = 2;
export const TRUE = 4;
const LITERALS = NULL | FALSE | TRUE;

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

/** A rule for keys that are none of the names and in none of the languages. */
export interface KeyRule {
  names: ReadonlySet<string>;
  languages: readonly Language[];
  goal: Goal;
}

/** Keys of a language, and what their values must be. */
export interface KeyPattern {
  language: Language;
  goal: Goal;
}

export interface ObjectFacts {
  properties: ReadonlyMap<string, Goal>;
  patterns: readonly KeyPattern[];
  others: readonly KeyRule[];
  /** What keys must be, as strings. */
  names: Goal;
  required: ReadonlySet<string>;
  least: number;
  most: number;
  /** Some property must be like this; each of these. */
  some: readonly KeyPattern[];
}

export interface FactsOf {
  number: NumberFacts;
  string: StringFacts;
  array: ArrayFacts;
  object: ObjectFacts;
}

export type Kind = keyof FactsOf;
export const KINDS = ["number", "string", "array", "object"] as const;

export type Values = { literals: number } & { [K in Kind]: readonly FactsOf[K][] };

const SIZE = { least: 0, most: Infinity };
/** Facts that say nothing. */
export const ANY: FactsOf = {
  number: ANY_NUMBER,
  string: { ...SIZE, language: ALL },
  array: { ...SIZE, prefix: [], rest: ANYTHING, counts: [], unique: false },
  object: {
    ...SIZE,
    properties: new Map(),
    patterns: [],
    others: [],
    names: ANYTHING,
    required: new Set(),
    some: [],
  },
};
export const ALL_VALUES: Values = {
  literals: LITERALS,
  number: [ANY.number],
  string: [ANY.string],
  array: [ANY.array],
  object: [ANY.object],
};
export const NO_VALUES: Values = { literals: 0, number: [], string: [], array: [], object: [] };

type Some<K extends Kind> = readonly Partial<FactsOf[K]>[];

function filled<K extends Kind>(kind: K, facts: Some<K>): FactsOf[K][] {
  return facts.map((each) => (Object.keys(each).length === 0 ? ANY[kind] : { ...ANY[kind], ...each }));
}

/** Values of one type that are held to one of some facts. */
export function only<K extends Kind>(kind: K, facts: Some<K> = [{}]): Values {
  return { ...NO_VALUES, [kind]: filled(kind, facts) };
}

/** The same, and all values of other types. */
export function held<K extends Kind>(kind: K, facts: Some<K> = []): Values {
  return { ...ALL_VALUES, [kind]: filled(kind, facts) };
}

export function unite(all: readonly Values[]): Values {
  const out: Record<string, unknown> = { literals: all.reduce((bits, { literals }) => bits | literals, 0) };
  for (const kind of KINDS) {
    const facts = new Set<unknown>(all.flatMap((each) => each[kind] as unknown[]));
    out[kind] = facts.has(ANY[kind]) ? [ANY[kind]] : [...facts];
  }
  return out as Values;
}

function between(a: { least: number; most: number }, b: { least: number; most: number }) {
  return { least: Math.max(a.least, b.least), most: Math.min(a.most, b.most) };
}

/** The elements of both lists, those that say the same once. */
function joined<T extends object>(a: readonly T[], b: readonly T[]): readonly T[] {
  const isSame = (x: T, y: T) => Object.keys(x).every((key) => x[key as keyof T] === y[key as keyof T]);
  return a.length === 0 ? b : b.length === 0 ? a : [...a, ...b.filter((y) => !a.some((x) => isSame(x, y)))];
}

/** For each type, facts that hold if both do. */
export const BOTH: {
  [K in Kind]: (languages: Languages, goals: Goals, a: FactsOf[K], b: FactsOf[K]) => FactsOf[K];
} = {
  number: (_languages, _goals, a, b) => bothNumbers(a, b),
  string: (languages, _goals, a, b) => ({
    ...between(a, b),
    language: languages.intersection([a.language, b.language]),
  }),
  array: (_languages, goals, a, b) => ({
    ...between(a, b),
    prefix: Array.from({ length: Math.max(a.prefix.length, b.prefix.length) }, (_, i) =>
      goals.both(a.prefix[i] ?? a.rest, b.prefix[i] ?? b.rest),
    ),
    rest: goals.both(a.rest, b.rest),
    counts: joined(a.counts, b.counts),
    unique: a.unique || b.unique,
  }),
  object: (_languages, goals, a, b) => {
    // In the order in which the schema names them.
    let { properties } = a;
    if (properties.size === 0) properties = b.properties;
    else if (b.properties.size > 0) {
      const both = new Map(properties);
      for (const [name, goal] of b.properties) both.set(name, goals.both(both.get(name) ?? ANYTHING, goal));
      properties = both;
    }
    return {
      ...between(a, b),
      properties,
      patterns: joined(a.patterns, b.patterns),
      others: joined(a.others, b.others),
      names: goals.both(a.names, b.names),
      required: new Set([...a.required, ...b.required]),
      some: joined(a.some, b.some),
    };
  },
};
