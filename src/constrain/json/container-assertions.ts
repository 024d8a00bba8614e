// Keywords of arrays and of objects.

import { type Assertion, held, type Keywords, only, type Reading } from "./assertion.ts";
import {
  ANY_ARRAY,
  ANY_OBJECT,
  type ArrayFacts,
  type Facts,
  type KeyRule,
  type ObjectFacts,
} from "./facts.ts";
import { ANYTHING, type Goal, NEVER, type Schema } from "./goal.ts";

export function arrayAssertion(keywords: Keywords, { source, goals }: Reading): Assertion | undefined {
  const { schema } = keywords;
  const array: { -readonly [K in keyof ArrayFacts]: ArrayFacts[K] } = { ...ANY_ARRAY };
  const fails: Partial<ArrayFacts>[] = [];
  // Before 2020-12, a list of `items` is what `prefixItems` is now, and `additionalItems` what `items` is.
  const isOld = Array.isArray(keywords.raw("items"));
  const first = isOld ? "items" : "prefixItems";
  const rest = isOld ? "additionalItems" : "items";
  const prefix = (keywords.list(first) ?? []).map((value, i) => source.inside(schema, value, first, i));
  array.prefix = prefix.map((item) => goals.meeting(item));
  if (keywords.has(rest)) {
    const items = source.inside(schema, keywords.raw(rest), rest);
    array.rest = goals.meeting(items);
    fails.push({
      counts: [
        {
          goal: goals.failing(items),
          other: goals.meeting(items),
          least: 1,
          most: Infinity,
          from: prefix.length,
        },
      ],
    });
  }
  array.least = keywords.count("minItems") ?? 0;
  if (array.least > 0) fails.push({ most: array.least - 1 });
  const most = keywords.count("maxItems");
  if (most !== undefined) {
    array.most = most;
    fails.push({ least: most + 1 });
  }
  if (keywords.has("contains")) {
    const item = source.inside(schema, keywords.raw("contains"), "contains");
    const least = keywords.count("minContains") ?? 1;
    const greatest = keywords.count("maxContains") ?? Infinity;
    const count = (from: number, to: number) => counted(goals.meeting(item), goals.failing(item), from, to);
    Object.assign(array, both(array, count(least, greatest)));
    if (least > 0) fails.push(count(0, least - 1));
    if (greatest !== Infinity) fails.push(count(greatest + 1, Infinity));
  }
  const unique = keywords.raw("uniqueItems");
  if (unique !== undefined && typeof unique !== "boolean")
    keywords.refuse("uniqueItems", "must be a boolean");
  array.unique = unique === true;
  if (fails.length + prefix.length === 0 && !array.unique) return undefined;
  return {
    meets: [held({ array })],
    fails: () => {
      if (array.unique) keywords.refuse("uniqueItems", "is not supported inside a negation");
      const wrongItems = prefix.map((item, i) => ({
        prefix: [...Array(i).fill(ANYTHING), goals.failing(item)],
        least: i + 1,
      }));
      return [...wrongItems, ...fails].map((failing) =>
        only("array", { array: { ...ANY_ARRAY, ...failing } }),
      );
    },
  };

  function both(a: ArrayFacts, b: Partial<ArrayFacts>): Partial<ArrayFacts> {
    if (b.counts) return { counts: b.counts };
    return { prefix: a.prefix.map((goal) => goals.both(goal, b.rest!)), rest: goals.both(a.rest, b.rest!) };
  }
}

/** Arrays with so many items of a kind. */
function counted(goal: Goal, other: Goal, least: number, most: number): Partial<ArrayFacts> {
  if (most === 0) return { rest: other };
  return { counts: [{ goal, other, least, most, from: 0 }] };
}

export function objectAssertion(keywords: Keywords, reading: Reading): Assertion | undefined {
  const { schema } = keywords;
  const { source, goals, languages } = reading;
  const object: { -readonly [K in keyof ObjectFacts]: ObjectFacts[K] } = { ...ANY_OBJECT };
  const fails: (() => Partial<ObjectFacts>)[] = [];
  const subschemas = (keyword: string): [name: string, inner: Schema][] =>
    Object.entries(keywords.object(keyword) ?? {}).map(([name, value]) => [
      name,
      source.inside(schema, value, keyword, name),
    ]);
  const properties = subschemas("properties");
  if (properties.length > 0)
    object.properties = new Map(properties.map(([name, inner]) => [name, goals.meeting(inner)]));
  for (const [name, inner] of properties)
    fails.push(() => ({ properties: new Map([[name, goals.failing(inner)]]), required: new Set([name]) }));
  const patterns = subschemas("patternProperties").map(([expression, inner]) => ({
    language: reading.pattern(schema, "patternProperties", expression),
    inner,
  }));
  object.patterns = patterns.map(({ language, inner }) => ({ language, goal: goals.meeting(inner) }));
  for (const { language, inner } of patterns)
    fails.push(() => ({ some: [{ language, goal: goals.failing(inner) }] }));
  if (keywords.has("additionalProperties")) {
    const inner = source.inside(schema, keywords.raw("additionalProperties"), "additionalProperties");
    const names = properties.map(([name]) => name);
    const rule: KeyRule = {
      names: new Set(names),
      languages: patterns.map(({ language }) => language),
      goal: goals.meeting(inner),
    };
    object.others = [rule];
    fails.push(() => {
      const known = languages.union([languages.strings(names), ...rule.languages]);
      return { some: [{ language: languages.complement(known), goal: goals.failing(inner) }] };
    });
  }
  if (keywords.has("propertyNames")) {
    const inner = source.inside(schema, keywords.raw("propertyNames"), "propertyNames");
    object.names = goals.meeting(inner);
    fails.push(() => ({ some: [{ language: reading.strings(inner, false), goal: ANYTHING }] }));
  }
  const required = keywords.has("required") ? keywords.names("required", keywords.raw("required")) : [];
  object.required = new Set(required);
  for (const name of object.required) fails.push(() => ({ properties: new Map([[name, NEVER]]) }));
  object.least = keywords.count("minProperties") ?? 0;
  if (object.least > 0) fails.push(() => ({ most: object.least - 1 }));
  const most = keywords.count("maxProperties");
  if (most !== undefined) {
    object.most = most;
    fails.push(() => ({ least: most + 1 }));
  }
  const needs = new Map<string, ReadonlySet<string>>();
  for (const keyword of ["dependentRequired", "dependencies"]) {
    for (const [name, value] of Object.entries(keywords.object(keyword) ?? {})) {
      if (keyword === "dependencies" && !Array.isArray(value)) continue;
      const others = keywords.names(keyword, value);
      needs.set(name, new Set([...(needs.get(name) ?? []), ...others]));
      for (const other of others)
        fails.push(() => ({ required: new Set([name]), properties: new Map([[other, NEVER]]) }));
    }
  }
  object.needs = needs;
  if (fails.length === 0) return undefined;
  const meets: Facts[] = [held({ object })];
  return {
    meets,
    fails: () => fails.map((failing) => only("object", { object: { ...ANY_OBJECT, ...failing() } })),
  };
}
