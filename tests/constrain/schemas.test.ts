import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { compileConstraint } from "../../src/constrain/index.ts";
import { tiny } from "./tiny-tokenizer.ts";
import { accepts, random, wander, write } from "./tokens.ts";

const ajv = new Ajv2020.default({ strict: false, validateSchema: false });
addFormats.default(ajv);

/** Schemas with values that are valid and values that are not. */
const SCHEMAS: Record<string, { schema: unknown; valid: unknown[]; invalid: unknown[] }> = {
  "types in a list": {
    schema: { type: ["integer", "null"] },
    valid: [0, -12, 3.0, null, 1e21],
    invalid: [0.5, "1", false, [], {}],
  },
  "a record": {
    schema: {
      type: "object",
      properties: { name: { type: "string" }, age: { type: "integer", minimum: 0, maximum: 150 } },
      required: ["name"],
      additionalProperties: false,
    },
    valid: [{ name: "Ann" }, { age: 7, name: 'é🎉\n"' }, { name: "", age: 150 }],
    invalid: [{}, { age: 7 }, { name: "Ann", age: 151 }, { name: "Ann", more: 1 }, { name: 1 }],
  },
  "keys by pattern and the rest": {
    schema: {
      patternProperties: { "^x-": { type: "string" }, "-n$": { minLength: 2 } },
      properties: { id: { type: "integer" } },
      additionalProperties: { type: "boolean" },
    },
    valid: [{ "x-a": "b" }, { "x-n": "ab", id: 1, other: true }, {}],
    invalid: [{ "x-a": 1 }, { "x-n": "a" }, { other: 1 }, { id: "1" }],
  },
  "names of keys": {
    schema: { propertyNames: { pattern: "^[a-z]+$", maxLength: 3 }, minProperties: 1, maxProperties: 2 },
    valid: [{ a: 1 }, { abc: null, d: [] }],
    invalid: [{}, { A: 1 }, { abcd: 1 }, { a: 1, b: 2, c: 3 }],
  },
  "keys that need others": {
    schema: { dependentRequired: { card: ["address"] }, dependentSchemas: { gift: { required: ["note"] } } },
    valid: [{ card: 1, address: 2 }, { address: 1 }, { gift: 1, note: 2 }],
    invalid: [{ card: 1 }, { gift: 1 }, { gift: 1, card: 1, address: 1 }],
  },
  "a tuple": {
    schema: {
      prefixItems: [{ const: "point" }, { type: "number" }],
      items: { type: "integer" },
      minItems: 2,
      maxItems: 3,
    },
    valid: [
      ["point", 0.5],
      ["point", 1, 2],
    ],
    invalid: [["point"], ["line", 1], ["point", 1, 0.5], ["point", 1, 2, 3]],
  },
  "items that are counted": {
    schema: { contains: { minimum: 5 }, minContains: 1, maxContains: 2, items: { type: "integer" } },
    valid: [[5], [1, 7, 2, 9]],
    invalid: [[], [1, 2], [5, 6, 7], [5, "a"]],
  },
  "items that differ": {
    schema: { type: "array", items: { enum: ["a", "b", "c", 1] }, uniqueItems: true, minItems: 2 },
    valid: [
      ["b", "a"],
      [1, "c", "b", "a"],
    ],
    invalid: [["a"], ["a", "a"], [1, "a", 1]],
  },
  "lengths in characters": {
    schema: { type: "string", minLength: 2, maxLength: 3 },
    valid: ["ab", "é🎉", "\n\t\\"],
    invalid: ["a", "🎉", "abcd"],
  },
  "a pattern with bounds": {
    schema: { type: "string", pattern: "^(ab|c)*$", minLength: 3, maxLength: 4 },
    valid: ["abc", "cccc", "abab"],
    invalid: ["ab", "cab c", "ccccc"],
  },
  "bounds on numbers": {
    schema: { type: "number", exclusiveMinimum: 0, maximum: 2.5 },
    valid: [0.1, 2.5, 1e-7, 0.30000000000000004, 2],
    invalid: [0, -1, 2.6, 2.5000000000000004, 25],
  },
  multiples: {
    schema: { type: "integer", multipleOf: 7, minimum: 100, not: { multipleOf: 5 } },
    valid: [112, 119, 7007],
    invalid: [98, 105, 111, 140],
  },
  "values that are listed": {
    schema: { enum: ["a", 1, null, [1, 2], { k: "v" }] },
    valid: ["a", 1, null, [1, 2], { k: "v" }],
    invalid: ["b", 2, true, [1], { k: "w" }, { k: "v", l: 1 }],
  },
  "exactly one": {
    schema: { oneOf: [{ required: ["a"] }, { required: ["b"] }], properties: { a: { type: "integer" } } },
    valid: [{ a: 1 }, { b: 1 }, { b: 1, c: 2 }],
    invalid: [{}, { a: 1, b: 1 }, { a: "1" }, 5],
  },
  "told apart by a property": {
    schema: {
      oneOf: [
        {
          properties: { kind: { const: "circle" }, radius: { type: "number" } },
          required: ["kind", "radius"],
        },
        { properties: { kind: { const: "square" }, side: { type: "number" } }, required: ["kind", "side"] },
      ],
    },
    valid: [
      { kind: "circle", radius: 1 },
      { side: 2, kind: "square" },
      { radius: 1, kind: "circle", side: "any" },
    ],
    invalid: [{ kind: "circle", side: 1 }, { radius: 1 }, { kind: "line" }, { kind: "square", side: "2" }],
  },
  conditions: {
    schema: JSON.parse(`{
      "type": "object",
      "properties": { "country": { "enum": ["US", "CA"] }, "code": { "type": "string" } },
      "if": { "properties": { "country": { "const": "US" } }, "required": ["country"] },
      "then": { "properties": { "code": { "pattern": "^\\\\d{5}$" } } },
      "else": { "properties": { "code": { "pattern": "^[A-Z]\\\\d[A-Z]$" } } },
      "required": ["country", "code"]
    }`),
    valid: [
      { country: "US", code: "12345" },
      { code: "K1A", country: "CA" },
    ],
    invalid: [
      { country: "US", code: "K1A" },
      { code: "12345", country: "CA" },
    ],
  },
  negation: {
    schema: { type: "object", not: { properties: { a: { type: "string" } }, additionalProperties: false } },
    valid: [{ b: 1 }, { a: 1 }, { a: "x", b: 1 }],
    invalid: [{}, { a: "x" }],
  },
  "a tree": {
    schema: {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: {
            value: { type: "integer" },
            children: { type: "array", items: { $ref: "#/$defs/node" } },
          },
          required: ["value"],
          additionalProperties: false,
        },
      },
    },
    valid: [{ value: 1 }, { children: [{ value: 2, children: [] }, { value: 3 }], value: 1 }],
    invalid: [{ children: [] }, { value: 1, children: [{}] }, { value: 1, children: [{ value: "2" }] }],
  },
  "references by name, with siblings": {
    schema: {
      $id: "https://example.com/root",
      properties: { a: { $ref: "#name", maxLength: 3 }, b: { $ref: "other" } },
      $defs: { x: { $anchor: "name", type: "string" }, y: { $id: "other", type: "integer" } },
    },
    valid: [{ a: "abc", b: 1 }],
    invalid: [{ a: "abcd" }, { a: 1 }, { b: "1" }],
  },
};

describe.each(Object.entries(SCHEMAS))("%s", (_, { schema, valid, invalid }) => {
  const constraint = compileConstraint({ jsonSchema: schema }, { whitespace: "none" });

  test.each(valid.map((value) => JSON.stringify(value)))("%s may be written", (text) => {
    expect(accepts(constraint, text)).toBe(true);
  });

  test.each(invalid.map((value) => JSON.stringify(value)))("%s may not", (text) => {
    expect(accepts(constraint, text)).toBe(false);
  });

  test("whatever is written is valid", () => {
    const validate = ajv.compile(schema as object);
    const next = random(3);
    for (let i = 0; i < 6; i++) {
      const text = wander(constraint, next, tiny, 300);
      if (text !== undefined) expect(validate(JSON.parse(text)), text).toBe(true);
    }
    ajv.removeSchema();
  });
});

/** Formats with strings that are of them and strings that are not. */
const FORMATS: Record<string, [valid: string[], invalid: string[]]> = {
  date: [
    ["2024-02-29", "2000-02-29", "1999-12-31"],
    ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "24-1-1"],
  ],
  time: [
    ["23:59:59Z", "00:00:00.123+05:30", "23:59:60Z"],
    ["24:00:00Z", "12:00:00", "12:60:00Z", "12:00:60Z"],
  ],
  "date-time": [
    ["2024-02-29T12:00:00Z", "2024-01-01t00:00:00.5-08:00"],
    ["2024-02-30T12:00:00Z", "2024-01-01", "2024-01-01T00:00Z"],
  ],
  duration: [
    ["P3D", "P1Y2M", "PT5M", "P1DT2H3M", "P4W"],
    ["P", "PT", "3D", "P1S", "P1D4W"],
  ],
  email: [
    ["ann@example.com", "a.b+c@x-y.org"],
    ["ann", "@example.com", "a..b@example.com", "ann@-x.com", "a b@example.com"],
  ],
  hostname: [
    ["example.com", "a", "a1", "a-1", "ab-c", "a--b", "abc--d.example", `${"a".repeat(63)}.com`],
    ["-a.com", "a..b", "a_b", "a-.com", "", "xn--bcher-kva.example", "ab--c", `${"a".repeat(64)}.com`],
  ],
  ipv4: [
    ["127.0.0.1", "255.255.255.255"],
    ["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5"],
  ],
  ipv6: [
    ["::", "::1", "1::", "1:2:3:4:5:6:7:8", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4"],
    [":", "1:2:3:4:5:6:7", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9"],
  ],
  uuid: [
    ["123e4567-e89b-12d3-a456-426614174000"],
    ["123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g"],
  ],
  uri: [
    [
      "https://example.com/a?b=c#d",
      "mailto:ann@example.com",
      "http://[::1]:80/",
      "http://[V1.fe]/",
      "urn:isbn:1",
    ],
    ["example.com", "http://a b", "//x", "http://%zz", ""],
  ],
  "uri-reference": [
    ["/a/b", "#x", "", "../a?b", "http://x"],
    ["a b", "%", "\\"],
  ],
  iri: [
    ["https://example.com/\u00e9?\u{f0000}\u{10fffd}", "http://example.com/?\ue000"],
    ["http://example.com/\ue000", "\u00e9"],
  ],
  "json-pointer": [
    ["", "/a~0b/~1"],
    ["a", "/~2", "/a~"],
  ],
};

describe.each(Object.entries(FORMATS))("format %s", (format, [valid, invalid]) => {
  const constraint = compileConstraint({ jsonSchema: { type: "string", format } });

  test("has its strings and no others", () => {
    const validate = ajv.compile({ type: "string", format });
    for (const text of valid) expect(accepts(constraint, JSON.stringify(text)), text).toBe(true);
    for (const text of invalid) expect(accepts(constraint, JSON.stringify(text)), text).toBe(false);
    const next = random(5);
    for (let i = 0; i < 10; i++) {
      const text = wander(constraint, next, tiny, 300);
      if (text !== undefined) expect(validate(JSON.parse(text)), text).toBe(true);
    }
  });
});

describe("options", () => {
  const schema = { properties: { a: {}, b: {}, c: {} }, required: ["b"] };

  test("keys come in any order, or in the declared one, each once", () => {
    const any = compileConstraint({ jsonSchema: schema });
    const declared = compileConstraint({ jsonSchema: schema }, { propertyOrder: "declared" });
    for (const [text, isDeclared] of [
      ['{"a":1,"b":2,"c":3}', true],
      ['{"b":2,"d":4}', true],
      ['{"b":2,"a":1}', false],
      ['{"d":4,"b":2}', false],
    ] as const) {
      expect(accepts(any, text), text).toBe(true);
      expect(accepts(declared, text), text).toBe(isDeclared);
    }
    for (const text of [
      '{"b":1,"b":2}',
      '{"b":1,"d":2,"d":3}',
      '{"b":1,"\\u0062":2}',
      '{"b":1,"d":2,"\\u0064":3}',
    ])
      expect(accepts(any, text), text).toBe(false);
  });

  test("white space is bounded, or there is none", () => {
    const bounded = compileConstraint({ jsonSchema: schema });
    const none = compileConstraint({ jsonSchema: schema }, { whitespace: "none" });
    const pretty = JSON.stringify({ a: [1, { b: 2 }], b: "x" }, null, 4);
    expect(accepts(bounded, pretty)).toBe(true);
    expect(accepts(bounded, pretty.replaceAll("\n", "\r\n"))).toBe(true);
    expect(accepts(bounded, '{ "b" : 1 , "a": null }')).toBe(true);
    expect(accepts(none, '{"b": 1}')).toBe(false);
    for (const text of [
      ...['{  "b":1}', '{\n\n"b":1}', `{\n${" ".repeat(33)}"b":1}`, '{"b":1} ', ' {"b":1}', '\n{"b":1}'],
      // A line begins with a key, a value or what closes.
      ...['{"b"\n:1}', '{"b":1\n,"a":null}', '{"b":1,"a":[1\n,2]}'],
    ])
      expect(accepts(bounded, text), text).toBe(false);
  });

  test("an unknown format is a note, or an error", () => {
    const source = { jsonSchema: { properties: { a: { format: "colour" } } } };
    expect(accepts(compileConstraint(source), '{"a":"x"}')).toBe(true);
    expect(() => compileConstraint(source, { unknownFormats: "error" })).toThrow(
      /at \/properties\/a\/format: "colour" is not known/,
    );
  });

  test("any JSON object", () => {
    const constraint = compileConstraint({ jsonObject: true });
    expect(accepts(constraint, '{"a":[1,{"b":null}],"c":"d"}')).toBe(true);
    for (const text of ["[]", "1", '{"a"}', "{a:1}"]) expect(accepts(constraint, text), text).toBe(false);
  });

  test("what the schema forces needs no choice", () => {
    const schema = {
      properties: { z: { const: true } },
      required: ["z"],
      additionalProperties: false,
      type: "object",
    };
    const matcher = compileConstraint({ jsonSchema: schema }, { whitespace: "none" }).matcher(tiny);
    expect(write(matcher, '{"', tiny)).toBe(true);
    // "tr" and "true" are tokens that begin alike, so that there is a choice.
    const ids = matcher.forced();
    expect(tiny.decode(ids)).toBe("z");
    for (const id of ids) expect(matcher.accept(id)).toBe(true);
    expect(write(matcher, '":true', tiny)).toBe(true);
    expect(tiny.decode(matcher.forced())).toBe("}");
  });

  test("characters that need no escape have none; others may be written by number", () => {
    const constraint = compileConstraint({ jsonSchema: { enum: ["a", "é", "🎉", "\u0007", '"\\/\n'] } });
    for (const text of ['"a"', '"é"', '"\\u00e9"', '"\\uD83C\\udf89"', '"\\u0007"', '"\\"\\\\/\\n"'])
      expect(accepts(constraint, text), text).toBe(true);
    for (const text of ['"\\u0061"', '"\\ud83c"', '"\\udf89"', '"\\"\\\\\\/\\n"'])
      expect(accepts(constraint, text), text).toBe(false);
  });
});

test("what is no schema has no address", () => {
  const constraint = compileConstraint({
    jsonSchema: {
      $ref: "#name",
      $defs: {
        a: { enum: [{ $id: "https://example.com/x", $anchor: "name", type: "null" }] },
        b: { unknown: { $anchor: "name", type: "boolean" }, default: { $anchor: "name", type: "array" } },
        c: { $anchor: "name", type: "integer" },
        d: { const: { $anchor: "name" }, examples: [{ $anchor: "name" }] },
      },
    },
  });
  expect(accepts(constraint, "1")).toBe(true);
  for (const text of ["null", "true", "[]", "0.5"]) expect(accepts(constraint, text), text).toBe(false);
});

test("a reference leads through what is no schema, and in old drafts stands for itself", () => {
  const hidden = { jsonSchema: { $ref: "#/unknown/a", unknown: { a: { type: "integer" } } } };
  expect(accepts(compileConstraint(hidden), "1")).toBe(true);
  expect(accepts(compileConstraint(hidden), '"a"')).toBe(false);
  const beside = (draft: string) => ({
    jsonSchema: {
      $schema: draft,
      $id: "https://example.com/root/",
      properties: { a: { $id: "https://example.com/other/", $ref: "leaf" } },
      definitions: {
        a: { $id: "https://example.com/root/leaf", type: "integer" },
        b: { $id: "https://example.com/other/leaf", type: "string" },
      },
    },
  });
  const old = compileConstraint(beside("http://json-schema.org/draft-07/schema#"), { whitespace: "none" });
  expect(accepts(old, '{"a":1}')).toBe(true);
  expect(accepts(old, '{"a":"b"}')).toBe(false);
  const current = compileConstraint(beside("https://json-schema.org/draft/2020-12/schema"), {
    whitespace: "none",
  });
  expect(accepts(current, '{"a":1}')).toBe(false);
  expect(accepts(current, '{"a":"b"}')).toBe(true);
});

describe("what cannot be enforced is refused by name", () => {
  test.each([
    [
      { properties: { a: { unevaluatedProperties: false } } },
      "/properties/a/unevaluatedProperties",
      "is not supported",
    ],
    [{ items: { $dynamicRef: "#x" } }, "/items/$dynamicRef", "is not supported"],
    [{ $ref: "https://example.com/other" }, "/$ref", "nothing is fetched"],
    [{ $ref: "#/nowhere" }, "/$ref", "refers to nothing"],
    [{ $ref: "#" }, "/", "refers to itself"],
    [{ allOf: [{ $ref: "#/allOf/0" }] }, "/allOf/0", "refers to itself"],
    [{ type: "strange" }, "/type", "is no type"],
    [{ properties: { a: 1 } }, "/properties/a", "is no schema"],
    [{ required: "a" }, "/required", "must be a list of strings"],
    [{ minLength: -1 }, "/minLength", "must be an integer"],
    [{ minimum: "1" }, "/minimum", "must be a number"],
    [{ multipleOf: 0 }, "/multipleOf", "must be above 0"],
    [{ pattern: "(" }, "/pattern", "without its )"],
    [{ pattern: "\\bword" }, "/pattern", "boundary"],
    [{ format: "regex" }, "/format", "is not supported"],
    [{ enum: [] }, "/enum", "is empty"],
    [{ anyOf: [] }, "/anyOf", "must not be empty"],
    [{ not: { uniqueItems: true } }, "/not/uniqueItems", "is not supported inside a negation"],
    [{ uniqueItems: true }, "/", "uniqueItems is supported for items that are no arrays"],
    [false, "/", "no value is valid"],
    [{ type: "string", not: { pattern: "b$" }, minLength: 3, maxLength: 2 }, "/", "no value is valid"],
    [{ type: "string", enum: [1] }, "/", "no value is valid"],
    [{ minimum: 3, maximum: 2, type: "integer" }, "/", "no value is valid"],
    [{ type: "array", items: false, minItems: 1 }, "/", "no value is valid"],
    [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, "/", "no value is valid"],
    [{ type: "string", pattern: "^a", not: { pattern: "a" } }, "/", "no value is valid"],
    [7, "/", "is no schema"],
    [null, "/", "is no schema"],
  ])("%j at %s: %s", (jsonSchema, pointer, message) => {
    expect(() => compileConstraint({ jsonSchema })).toThrow(
      expect.objectContaining({
        code: "invalid_option",
        param: "jsonSchema",
        message: expect.stringMatching(
          new RegExp(`at ${pointer.replace(/\$/g, "\\$")}: .*${message.replace(/[()]/g, "\\$&")}`),
        ),
      }),
    );
  });
});
