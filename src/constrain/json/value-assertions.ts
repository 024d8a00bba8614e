// type, enum and const.

import { excerpt } from "../../excerpt.ts";
import { type Assertion, type Keywords, only, type Reading } from "./assertion.ts";
import { ALL_TYPES, ANY_ARRAY, ANY_FACTS, ANY_OBJECT, ANY_STRING, type Facts, TYPES } from "./facts.ts";
import { ANYTHING, NEVER } from "./goal.ts";
import { ANY_NUMBER, ONE } from "./number-facts.ts";

const NAMED: Readonly<Record<string, number>> = {
  null: TYPES.null,
  boolean: TYPES.false | TYPES.true,
  number: TYPES.number,
  integer: TYPES.number,
  string: TYPES.string,
  array: TYPES.array,
  object: TYPES.object,
};

export function typeAssertion(keywords: Keywords): Assertion | undefined {
  const value = keywords.raw("type");
  if (value === undefined) return undefined;
  const names = Array.isArray(value) ? value : [value];
  let types = 0;
  for (const name of names) {
    if (typeof name !== "string" || !Object.hasOwn(NAMED, name))
      keywords.refuse("type", `${excerpt(name)} is no type; there are ${Object.keys(NAMED).join(", ")}`);
    types |= NAMED[name]!;
  }
  const integer = names.includes("integer") && !names.includes("number");
  const number = integer ? { ...ANY_NUMBER, step: ONE } : ANY_NUMBER;
  return {
    meets: types === 0 ? [] : [{ ...ANY_FACTS, types, number }],
    fails: () => {
      const rest = ALL_TYPES & ~types;
      const others = rest === 0 ? [] : [{ ...ANY_FACTS, types: rest }];
      return integer ? [...others, only("number", { number: { ...ANY_NUMBER, notSteps: [ONE] } })] : others;
    },
  };
}

export function enumAssertion(keywords: Keywords, reading: Reading): Assertion | undefined {
  const values = keywords.list("enum");
  if (values?.length === 0) keywords.refuse("enum", "is empty, so that no value is valid");
  return values && oneOfValues(keywords, reading, values);
}

export function constAssertion(keywords: Keywords, reading: Reading): Assertion | undefined {
  return keywords.has("const") ? oneOfValues(keywords, reading, [keywords.raw("const")]) : undefined;
}

function oneOfValues(keywords: Keywords, reading: Reading, values: readonly unknown[]): Assertion {
  const strings = values.filter((value): value is string => typeof value === "string");
  const numbers = values.filter((value): value is number => typeof value === "number");
  const containers = values.filter((value): value is object => typeof value === "object" && value !== null);
  let literals = 0;
  if (values.includes(null)) literals |= TYPES.null;
  if (values.includes(false)) literals |= TYPES.false;
  if (values.includes(true)) literals |= TYPES.true;
  const { languages } = reading;
  const listed = languages.strings(strings);
  const types = literals | (strings.length > 0 ? TYPES.string : 0) | (numbers.length > 0 ? TYPES.number : 0);
  const scalars: Facts = {
    ...ANY_FACTS,
    types,
    string: { ...ANY_STRING, language: listed },
    number: { ...ANY_NUMBER, values: numbers },
  };
  return {
    meets: [
      ...(types === 0 ? [] : [scalars]),
      ...containers.map((value) => containerFacts(keywords, reading, value)),
    ],
    fails: () => {
      const rest: Facts = {
        ...ANY_FACTS,
        types: ALL_TYPES & ~literals,
        string: strings.length === 0 ? ANY_STRING : { ...ANY_STRING, language: languages.complement(listed) },
        number: numbers.length === 0 ? ANY_NUMBER : { ...ANY_NUMBER, except: numbers },
      };
      if (containers.length === 0) return [rest];
      if (containers.length > 1)
        keywords.refuse("enum", "several arrays or objects are not supported inside a negation");
      const isArray = Array.isArray(containers[0]);
      const type = isArray ? TYPES.array : TYPES.object;
      return [{ ...rest, types: rest.types & ~type }, ...otherContainers(keywords, reading, containers[0]!)];
    },
  };
}

function containerFacts({ schema }: Keywords, { source, goals }: Reading, value: object): Facts {
  const goal = (inner: unknown) => goals.meeting(source.constant(schema, inner));
  if (Array.isArray(value)) {
    const prefix = value.map(goal);
    return only("array", {
      array: { ...ANY_ARRAY, prefix, rest: NEVER, least: value.length, most: value.length },
    });
  }
  const names = new Set(Object.keys(value));
  return only("object", {
    object: {
      ...ANY_OBJECT,
      properties: new Map(Object.entries(value).map(([name, inner]) => [name, goal(inner)])),
      others: [{ names, languages: [], goal: NEVER }],
      required: names,
    },
  });
}

/** Arrays, or objects, that are not this one. */
function otherContainers(
  { schema }: Keywords,
  { source, goals, languages }: Reading,
  value: object,
): Facts[] {
  const differs = (inner: unknown) => goals.failing(source.constant(schema, inner));
  if (Array.isArray(value)) {
    const out = [only("array", { array: { ...ANY_ARRAY, least: value.length + 1 } })];
    if (value.length > 0) out.push(only("array", { array: { ...ANY_ARRAY, most: value.length - 1 } }));
    value.forEach((inner, i) => {
      const prefix = [...Array(i).fill(ANYTHING), differs(inner)];
      out.push(only("array", { array: { ...ANY_ARRAY, prefix, least: i + 1 } }));
    });
    return out;
  }
  const names = Object.keys(value);
  const others = languages.complement(languages.strings(names));
  const out = [only("object", { object: { ...ANY_OBJECT, some: [{ language: others, goal: ANYTHING }] } })];
  for (const [name, inner] of Object.entries(value)) {
    const missing = { ...ANY_OBJECT, properties: new Map([[name, NEVER]]) };
    const other = { ...ANY_OBJECT, properties: new Map([[name, differs(inner)]]), required: new Set([name]) };
    out.push(only("object", { object: missing }), only("object", { object: other }));
  }
  return out;
}
