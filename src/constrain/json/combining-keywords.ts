// Keywords that combine schemas.

import { any, being, type Condition, not, TRUE } from "./condition.ts";
import { having, lacking } from "./container-keywords.ts";
import type { Schema } from "./goal.ts";
import type { Keywords, Reading } from "./keywords.ts";
import { listed, type Readers } from "./value-keywords.ts";

function holding(of: Schema | undefined): Condition {
  return of ? { is: "schema", of } : TRUE;
}

function several(keywords: Keywords, keyword: string): Schema[] {
  const schemas = keywords.schemas(keyword);
  if (schemas.length === 0) keywords.refuse(keyword, "must not be empty");
  return schemas;
}

/** The values of a schema that only lists some, which are no arrays and no objects. */
export function valuesOf({ value }: Schema): readonly unknown[] | undefined {
  const {
    const: constant,
    enum: values = [constant],
    type,
    title,
    description,
    ...others
  } = value as Record<string, unknown>;
  const isPlain =
    Array.isArray(values) &&
    (constant === undefined || values.length === 1) &&
    values.every((each) =>
      type === undefined
        ? each !== undefined && (each === null || typeof each !== "object")
        : typeof each === type,
    );
  const isOnly =
    isPlain && (constant === undefined || values[0] === constant) && Object.keys(others).length === 0;
  return isOnly && values.length > 0 ? values : undefined;
}

/** Schemas that only list values are joined: thousands of constants are one set. */
function joined(keywords: Keywords, reading: Reading, keyword: string, isOne: boolean): Condition {
  const others: Condition[] = [];
  const once = new Set<unknown>();
  const twice = new Set<unknown>();
  for (const schema of several(keywords, keyword)) {
    const values = valuesOf(schema);
    if (!values) others.push({ is: "schema", of: schema });
    for (const value of new Set(values)) (once.has(value) ? twice : once).add(value);
  }
  if (isOne) for (const value of twice) once.delete(value);
  if (once.size > 0) others.push(listed(keywords.schema, reading, [...once]));
  if (!isOne) return any(others);
  const one: Condition = { is: "one", of: others };
  return twice.size === 0 ? one : { is: "all", of: [one, not(listed(keywords.schema, reading, [...twice]))] };
}

function dependent(keyword: string): Readers[string] {
  return (keywords, { source }) => ({
    is: "all",
    of: keywords.entries(keyword).map(([name, value]): Condition => {
      const isList = Array.isArray(value) || keyword === "dependentRequired";
      const then = isList
        ? having(keywords.names(keyword, value))
        : holding(source.inside(keywords.schema, value, keyword, name));
      const isThere = being("object", { required: new Set([name]) }, () => [lacking(name)]);
      return { is: "if", of: [isThere, then, TRUE] };
    }),
  });
}

export const COMBINING_KEYWORDS: Readers = {
  $ref: (keywords, { source }) => holding(source.referred(keywords.schema, keywords.text("$ref")!)),
  allOf: (keywords) => ({ is: "all", of: several(keywords, "allOf").map(holding) }),
  anyOf: (keywords, reading) => joined(keywords, reading, "anyOf", false),
  oneOf: (keywords, reading) => joined(keywords, reading, "oneOf", true),
  not: (keywords) => not(holding(keywords.inside("not"))),
  if: (keywords) => ({
    is: "if",
    of: [holding(keywords.inside("if")), holding(keywords.inside("then")), holding(keywords.inside("else"))],
  }),
  dependentRequired: dependent("dependentRequired"),
  dependentSchemas: dependent("dependentSchemas"),
  dependencies: dependent("dependencies"),
};
