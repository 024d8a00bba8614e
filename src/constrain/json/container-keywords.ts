// Keywords of arrays and of objects.

import { type Condition, holds, TRUE } from "./condition.ts";
import { ANYTHING, NEVER } from "./goal.ts";
import type { Keywords } from "./keywords.ts";
import { type Readers, size } from "./value-keywords.ts";

/** Objects that have some keys. */
export function having(names: readonly string[]): Condition {
  return holds("object", { required: new Set(names) }, () => names.map(lacking));
}

export function lacking(name: string) {
  return { properties: new Map([[name, NEVER]]) };
}

function prefixed(name: string): Readers[string] {
  return (keywords, { goals, budget }) => {
    const items = keywords.schemas(name);
    return holds("array", { prefix: items.map((item) => goals.meeting(item)) }, () =>
      items.map((item, i) => {
        budget.spend(i);
        return { prefix: [...Array(i).fill(ANYTHING), goals.failing(item)], least: i + 1 };
      }),
    );
  };
}

/** Items behind those that another keyword lists. */
function following(name: string, first: string): Readers[string] {
  return (keywords, { goals }) => {
    const item = keywords.inside(name)!;
    const from = keywords.list(first).length;
    const rest = goals.meeting(item);
    return holds("array", { prefix: Array(from).fill(ANYTHING), rest }, () => [
      { counts: [{ goal: goals.failing(item), other: rest, least: 1, most: Infinity, from }] },
    ]);
  };
}

/** Names that `properties` has. */
function propertyNames(keywords: Keywords): string[] {
  return keywords.entries("properties").map(([name]) => name);
}

export const CONTAINER_KEYWORDS: Readers = {
  ...size("array", "Items"),
  prefixItems: prefixed("prefixItems"),
  // Before 2020-12, a list of `items` is what `prefixItems` is now, and `additionalItems` what `items` is.
  items: (keywords, reading) =>
    Array.isArray(keywords.raw("items"))
      ? prefixed("items")!(keywords, reading)
      : following("items", "prefixItems")!(keywords, reading),
  additionalItems: (keywords, reading) =>
    Array.isArray(keywords.raw("items")) ? following("additionalItems", "items")!(keywords, reading) : TRUE,
  contains: (keywords, { goals }) => {
    const item = keywords.inside("contains")!;
    const [least, most] = [keywords.count("minContains") ?? 1, keywords.count("maxContains") ?? Infinity];
    const counted = (from: number, to: number) =>
      to === 0
        ? { rest: goals.failing(item) }
        : {
            counts: [
              { goal: goals.meeting(item), other: goals.failing(item), least: from, most: to, from: 0 },
            ],
          };
    return holds("array", counted(least, most), () => [
      ...(least > 0 ? [counted(0, least - 1)] : []),
      ...(most < Infinity ? [counted(most + 1, Infinity)] : []),
    ]);
  },
  uniqueItems: (keywords) => {
    const unique = keywords.raw("uniqueItems");
    if (typeof unique !== "boolean") keywords.refuse("uniqueItems", "must be a boolean");
    return unique
      ? holds("array", { unique: true }, () =>
          keywords.refuse("uniqueItems", "is not supported inside a negation"),
        )
      : TRUE;
  },
  ...size("object", "Properties"),
  required: (keywords) => having(keywords.names("required")),
  properties: (keywords, { goals }) => {
    const properties = keywords.named("properties");
    return holds(
      "object",
      { properties: new Map(properties.map(([name, inner]) => [name, goals.meeting(inner)])) },
      () =>
        properties.map(([name, inner]) => ({
          properties: new Map([[name, goals.failing(inner)]]),
          required: new Set([name]),
        })),
    );
  },
  patternProperties: (keywords, reading) => {
    const patterns = keywords.named("patternProperties").map(([expression, inner]) => ({
      language: reading.pattern(keywords, "patternProperties", expression),
      inner,
    }));
    return holds(
      "object",
      { patterns: patterns.map(({ language, inner }) => ({ language, goal: reading.goals.meeting(inner) })) },
      () =>
        patterns.map(({ language, inner }) => ({ some: [{ language, goal: reading.goals.failing(inner) }] })),
    );
  },
  additionalProperties: (keywords, reading) => {
    const { goals, languages } = reading;
    const inner = keywords.inside("additionalProperties")!;
    const names = propertyNames(keywords);
    const patterns = keywords
      .entries("patternProperties")
      .map(([expression]) => reading.pattern(keywords, "patternProperties", expression));
    return holds(
      "object",
      { others: [{ names: new Set(names), languages: patterns, goal: goals.meeting(inner) }] },
      () => {
        const known = languages.union([languages.strings(names), ...patterns]);
        return [{ some: [{ language: languages.complement(known), goal: goals.failing(inner) }] }];
      },
    );
  },
  propertyNames: (keywords, reading) => {
    const inner = keywords.inside("propertyNames")!;
    return holds("object", { names: reading.goals.meeting(inner) }, () => [
      { some: [{ language: reading.stringsFailing(inner), goal: ANYTHING }] },
    ]);
  },
};
