import { describe, expect, test } from "vitest";
import { type ConstraintSource, compileConstraint } from "../../src/constrain/index.ts";
import { tiny } from "./tiny-tokenizer.ts";
import { random, wander } from "./tokens.ts";

function nested(levels: number, around: (inner: unknown) => unknown): unknown {
  let schema: unknown = { type: "integer" };
  for (let i = 0; i < levels; i++) schema = around(schema);
  return schema;
}

function many<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

const record = (i: number) => ({
  type: "object",
  properties: { kind: { const: `k${i}` }, value: { type: "integer" } },
  required: ["kind"],
});

/** Sources that are answered. */
const TAKEN: Record<string, ConstraintSource> = {
  "a regular expression that backtracks without end": { regex: "(a|aa)+(a|aa)+b" },
  "a star of a star": { regex: "((a*)*)*b" },
  "a hundred thousand turns": { regex: ".{0,100000}" },
  "turns of turns": { regex: "((a{0,1000}b{0,1000}){0,1000}c){0,1000}" },
  "an automaton of 2^30 states": { regex: ".*a.{30}" },
  "10,000 values": { jsonSchema: { enum: many(10_000, (i) => `value ${i}`) } },
  "100 kinds of records": { jsonSchema: { oneOf: many(100, record) } },
  "100 levels of objects": {
    jsonSchema: nested(100, (s) => ({ type: "object", properties: { a: s }, required: ["a"] })),
  },
  "a million characters": {
    jsonSchema: { type: "string", pattern: "^[a-z]+$", minLength: 10, maxLength: 1_000_000 },
  },
  "references that double": {
    jsonSchema: {
      $ref: "#/$defs/d60",
      $defs: Object.fromEntries(
        many(61, (i) => [
          `d${i}`,
          i < 2 ? {} : { properties: { a: { $ref: `#/$defs/d${i - 1}` }, b: { $ref: `#/$defs/d${i - 2}` } } },
        ]),
      ),
    },
  },
  "5,000 required keys": { jsonSchema: { type: "object", required: many(5000, (i) => `r${i}`) } },
  "a megabyte of description": { jsonSchema: { type: "string", description: "x".repeat(1_000_000) } },
};

/** Sources that are refused, and why. */
const REFUSED: Record<string, [ConstraintSource, RegExp]> = {
  "10,000 alternatives": [{ jsonSchema: { oneOf: many(10_000, record) } }, /alternatives|too much work/],
  "100 levels of doubling alternatives": [
    { jsonSchema: nested(100, (s) => ({ oneOf: [s, { properties: { a: s } }] })) },
    /alternatives|too much work|deep/,
  ],
  "3,000 negations": [{ jsonSchema: nested(3000, (s) => ({ not: s })) }, /deep/],
  "references in a circle": [
    { jsonSchema: { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } } },
    /refers to itself/,
  ],
  "patterns with nothing in common": [
    { jsonSchema: { type: "string", allOf: [{ pattern: "^(a{7})+$" }, { pattern: "^(a{11})+b$" }] } },
    /no value is valid/,
  ],
  "a million characters that are searched for": [
    { jsonSchema: { type: "string", pattern: "^[a-z]+$", minLength: 1_000_000, not: { pattern: "x" } } },
    /too much work/,
  ],
  "40 patterns for keys that overlap": [
    {
      jsonSchema: { patternProperties: Object.fromEntries(many(40, (i) => [`a.*b${i}`, { minLength: i }])) },
    },
    /too many patterns|too much work/,
  ],
};

describe("hostile sources", () => {
  test.each(Object.entries(TAKEN))("%s: taken, and what it allows leads to an end", (_, source) => {
    const constraint = compileConstraint(source, { whitespace: "none" });
    expect(() => wander(constraint, random(1), tiny, 200)).not.toThrow();
  });

  test.each(Object.entries(REFUSED))("%s: refused", (_, [source, message]) => {
    expect(() => compileConstraint(source)).toThrow(
      expect.objectContaining({ code: "invalid_option", message: expect.stringMatching(message) }),
    );
  });
});
