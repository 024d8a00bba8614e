import type { ConstraintOptions, ConstraintSource } from "../../src/constrain/index.ts";

export interface Hostile {
  source: ConstraintSource;
  options?: ConstraintOptions;
  /** What the refusal says; it is taken if there is none. */
  refused?: RegExp;
}

function nested(levels: number, around: (inner: unknown) => unknown): unknown {
  let schema: unknown = { type: "integer" };
  for (let i = 0; i < levels; i++) schema = around(schema);
  return schema;
}

function many<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

function named<T>(count: number, name: (i: number) => string, make: (i: number) => T): Record<string, T> {
  return Object.fromEntries(many(count, (i): [string, T] => [name(i), make(i)]));
}

const record = (i: number) => ({
  type: "object",
  properties: { kind: { const: `k${i}` }, value: { type: "integer" } },
  required: ["kind"],
});

const TOO_MUCH = /too much work/;

/** Sources that somebody might send to keep a server busy. */
export const HOSTILE: Record<string, Hostile> = {
  "a regular expression that backtracks without end": { source: { regex: "(a|aa)+(a|aa)+b" } },
  "2,000 conditions at one place": { source: { regex: "(?=a)".repeat(2000) }, refused: /deep|too much work/ },
  "a star of a star": { source: { regex: "((a*)*)*b" } },
  "a hundred thousand turns": { source: { regex: ".{0,100000}" } },
  "turns of turns": { source: { regex: "((a{0,1000}b{0,1000}){0,1000}c){0,1000}" } },
  "an automaton of 2^30 states": { source: { regex: ".*a.{30}" } },
  "5,000 characters that may be missing": { source: { regex: "a?".repeat(5000) } },
  "a long text twice": { source: { regex: `(${"ab".repeat(2000)}){2}` } },
  "two patterns that begin alike for long": {
    source: { regex: `${"ab".repeat(2000)}c|${"ab".repeat(2000)}d` },
  },
  "a megabyte of one choice": { source: { choice: ["ab".repeat(500_000)] } },
  "100,000 choices": {
    source: { choice: many(100_000, (i) => `item ${i}`) },
    refused: /more than 10000 strings/,
  },
  "a megabyte of a pattern": {
    source: { regex: "a".repeat(1_000_000) },
    refused: /more than 10000 characters/,
  },
  "5,000 different characters that may be missing": {
    source: { regex: many(4999, (i) => `${String.fromCodePoint(0x4e00 + i)}?`).join("") },
    refused: TOO_MUCH,
  },
  "200 things to be looked for at once": {
    source: { regex: `${many(200, (i) => `(?=.*${String.fromCodePoint(0x4e00 + i)})`).join("")}.*` },
    refused: TOO_MUCH,
  },
  "10,000 values": { source: { jsonSchema: { enum: many(10_000, (i) => `value ${i}`) } } },
  "anyOf 10,000 constants": {
    source: { jsonSchema: { anyOf: many(10_000, (i) => ({ const: `value ${i}` })) } },
  },
  "oneOf 10,000 constants": { source: { jsonSchema: { oneOf: many(10_000, (i) => ({ const: i })) } } },
  "oneOf 10,000 records": {
    source: { jsonSchema: { oneOf: many(10_000, record) } },
    refused: /alternatives|too much work/,
  },
  "oneOf 300 records": { source: { jsonSchema: { oneOf: many(300, record) } }, refused: TOO_MUCH },
  "oneOf 100 records": { source: { jsonSchema: { oneOf: many(100, record) } } },
  "oneOf 1,000 patterns": {
    source: { jsonSchema: { oneOf: many(1000, (i) => ({ type: "string", pattern: `^a.*${i}` })) } },
    refused: /alternatives|too much work/,
  },
  "a choice of 10,000": { source: { choice: many(10_000, (i) => `choice ${i}`) } },
  "100 levels of objects": {
    source: { jsonSchema: nested(100, (s) => ({ type: "object", properties: { a: s }, required: ["a"] })) },
  },
  "3,000 levels of items": {
    source: { jsonSchema: nested(3000, (items) => ({ type: "array", items })) },
    refused: TOO_MUCH,
  },
  "100 levels of oneOf": {
    source: { jsonSchema: nested(100, (s) => ({ oneOf: [s, { properties: { a: s } }] })) },
    refused: /alternatives|too much work|deep/,
  },
  "100 levels of anyOf": {
    source: { jsonSchema: nested(100, (s) => ({ anyOf: [s, { type: "object", properties: { a: s } }] })) },
    refused: TOO_MUCH,
  },
  "3,000 negations": { source: { jsonSchema: nested(3000, (s) => ({ not: s })) }, refused: /deep/ },
  "a million characters": {
    source: { jsonSchema: { type: "string", pattern: "^[a-z]+$", minLength: 10, maxLength: 1_000_000 } },
  },
  "a million characters beside a negation": {
    source: {
      jsonSchema: { type: "string", pattern: "^[a-z]+$", minLength: 1_000_000, not: { pattern: "x" } },
    },
    refused: TOO_MUCH,
  },
  "two patterns whose product has a million states": {
    source: {
      jsonSchema: {
        type: "string",
        allOf: [{ pattern: "^(.{997})*$" }, { pattern: "^(.{1009})*$" }, { not: { const: "" } }],
      },
    },
    refused: TOO_MUCH,
  },
  "an exponential pattern inside a negation": {
    source: { jsonSchema: { type: "string", pattern: "a.{20}b", not: { pattern: "a.{20}a" } } },
  },
  "patterns with nothing in common": {
    source: { jsonSchema: { type: "string", allOf: [{ pattern: "^(a{7})+$" }, { pattern: "^(a{11})+b$" }] } },
    refused: /no value is valid/,
  },
  "40 patterns for keys that overlap": {
    source: {
      jsonSchema: {
        patternProperties: named(
          40,
          (i) => `a.*b${i}`,
          (i) => ({ minLength: i }),
        ),
      },
    },
    refused: /too many patterns|too much work/,
  },
  "references in a circle": {
    source: {
      jsonSchema: { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } },
    },
    refused: /refers to itself/,
  },
  "references that double": {
    source: {
      jsonSchema: {
        $ref: "#/$defs/d60",
        $defs: named(
          61,
          (i) => `d${i}`,
          (i) =>
            i < 2
              ? {}
              : { properties: { a: { $ref: `#/$defs/d${i - 1}` }, b: { $ref: `#/$defs/d${i - 2}` } } },
        ),
      },
    },
  },
  "5,000 required keys": { source: { jsonSchema: { type: "object", required: many(5000, (i) => `r${i}`) } } },
  "a megabyte of description": {
    source: { jsonSchema: { type: "string", description: "x".repeat(1_000_000) } },
  },
  "a megabyte of properties": {
    source: {
      jsonSchema: {
        type: "object",
        properties: named(
          20_000,
          (i) => `property number ${i}`,
          () => ({ type: "string" }),
        ),
      },
    },
    refused: TOO_MUCH,
  },
  "a megabyte of different properties": {
    source: {
      jsonSchema: {
        type: "object",
        properties: named(
          20_000,
          (i) => `property ${i}`,
          (i) => ({ type: "integer", minimum: i }),
        ),
        required: many(5000, (i) => `property ${i}`),
      },
    },
    refused: TOO_MUCH,
  },
  "a megabyte of one pattern": {
    source: { jsonSchema: { type: "string", pattern: "(a|b)?c".repeat(140_000) } },
    refused: TOO_MUCH,
  },
  "a megabyte of alternatives in a pattern": {
    source: { jsonSchema: { type: "string", pattern: many(100_000, (i) => `a${i}`).join("|") } },
    refused: TOO_MUCH,
  },
  "a megabyte of brackets": {
    source: { jsonSchema: nested(100_000, (items) => ({ items })) },
    refused: /deep|too much work/,
  },
  "a megabyte of brackets in which an address is looked for": {
    source: {
      jsonSchema: { ...(nested(100_000, (items) => ({ items })) as object), $ref: "#nowhere" },
    },
    refused: TOO_MUCH,
  },
  "20,000 addresses": {
    source: {
      jsonSchema: {
        $ref: "#nowhere",
        $defs: named(
          20_000,
          (i) => `d${i}`,
          (i) => ({ $id: `https://example.com/${i}` }),
        ),
      },
    },
    refused: TOO_MUCH,
  },
  "a megabyte of constants": {
    source: { jsonSchema: { const: nested(5000, (s) => [s]) } },
    refused: /deep|too much work/,
  },
  "a constant of a megabyte": { source: { jsonSchema: { const: "x".repeat(1_000_000) } } },
  "a constant with 10,000 items": {
    source: { jsonSchema: { const: many(10_000, (i) => i) } },
    refused: TOO_MUCH,
  },
  "a list of 1,000 prefixes": {
    source: { jsonSchema: { prefixItems: many(1000, (i) => ({ const: i })), minItems: 1000 } },
  },
  "64 items that are counted twice": {
    source: {
      jsonSchema: {
        allOf: many(4, (i) => ({ contains: { minimum: i }, minContains: 15 + i })),
        maxItems: 64,
      },
    },
    refused: /too much work/,
  },
  "1,000 negated constants": {
    source: { jsonSchema: { allOf: many(1000, (i) => ({ not: { const: i } })) } },
    refused: TOO_MUCH,
  },
  "30 dependencies": {
    source: {
      jsonSchema: {
        dependentSchemas: named(
          30,
          (i) => `k${i}`,
          (i) => ({ required: [`l${i}`] }),
        ),
      },
    },
    refused: /alternatives|too much work/,
  },
  "30 conditions": {
    source: {
      jsonSchema: {
        allOf: many(30, (i) =>
          JSON.parse(
            `{ "if": { "required": ["a${i}"] }, "then": { "required": ["b${i}"] }, "else": { "minProperties": ${i} } }`,
          ),
        ),
      },
    },
    refused: /alternatives|too much work/,
  },
  "multiples of many numbers": {
    source: { jsonSchema: { type: "integer", allOf: many(200, (i) => ({ multipleOf: 2 * i + 1 })) } },
  },
  "multiples of none of many numbers": {
    source: {
      jsonSchema: {
        type: "integer",
        minimum: 2,
        maximum: 1e9,
        allOf: many(100, (i) => ({ not: { multipleOf: i + 2 } })),
      },
    },
  },
  "a million items": { source: { jsonSchema: { type: "array", minItems: 1_000_000, maxItems: 1_000_000 } } },
  "unique items of a large set": {
    source: {
      jsonSchema: { type: "array", uniqueItems: true, items: { enum: many(2000, (i) => i) }, minItems: 2000 },
    },
  },
  "declared order of 2,000 keys": {
    source: {
      jsonSchema: {
        type: "object",
        properties: named(
          2000,
          (i) => `p${i}`,
          () => ({ type: "integer" }),
        ),
        required: many(1000, (i) => `p${2 * i}`),
      },
    },
    options: { propertyOrder: "declared" },
  },
};
