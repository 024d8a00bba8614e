// Random schemas and values, few enough of each kind that they meet often.

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Schema = boolean | { [keyword: string]: unknown };

const KEYS = ["a", "b", "ab", "c"];
const STRINGS = ["", "a", "b", "ab", "aab", "abb", "é🎉"];
const PATTERNS = ["^a", "b$", "^[ab]+$", "a.?b", "^(a|ab)(b|)$", "^.{2}$", "c|^b"];
const NUMBERS = [-2, -1, 0, 0.5, 1, 1.5, 2, 3, 4, 6, 12];

export class RandomSchemas {
  readonly #next: () => number;

  constructor(next: () => number) {
    this.#next = next;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#next() * list.length)]!;
  }

  #chance(share: number): boolean {
    return this.#next() < share;
  }

  #some<T>(list: readonly T[]): T[] {
    const picked = list.filter(() => this.#chance(0.4));
    return picked.length > 0 ? picked : [this.pick(list)];
  }

  value(depth = 2): Json {
    const kind = Math.floor(this.#next() * (depth > 0 ? 7 : 4));
    if (kind === 0) return this.pick([null, true, false]);
    if (kind === 1) return this.pick(NUMBERS);
    if (kind <= 3) return this.pick(STRINGS);
    if (kind === 4) return Array.from({ length: Math.floor(this.#next() * 4) }, () => this.value(depth - 1));
    const keys = KEYS.filter(() => this.#chance(0.5)).sort(() => this.#next() - 0.5);
    return Object.fromEntries(keys.map((key) => [key, this.value(depth - 1)]));
  }

  /** Draft-07 has `dependencies` and lists of items; 2020-12 has what took their place. */
  schema(isOld: boolean, depth = 3): Schema {
    if (this.#chance(0.06)) return this.#chance(0.7);
    const inner = () => this.schema(isOld, depth - 1);
    const inners = () => Array.from({ length: 1 + Math.floor(this.#next() * 3) }, inner);
    const schema: Record<string, unknown> = {};
    const small = () => Math.floor(this.#next() * 4);
    const add: Record<string, () => void> = {
      type: () => {
        const types = ["null", "boolean", "number", "integer", "string", "array", "object"];
        schema.type = this.#chance(0.7) ? this.pick(types) : this.#some(types);
      },
      number: () => {
        const [keyword, values] = this.pick([
          ["minimum", NUMBERS],
          ["maximum", NUMBERS],
          ["exclusiveMinimum", NUMBERS],
          ["exclusiveMaximum", NUMBERS],
          ["multipleOf", [2, 3, 0.5]],
        ] as const);
        schema[keyword] = this.pick<number>(values);
      },
      string: () => {
        const keyword = this.pick(["minLength", "maxLength", "pattern", "pattern"]);
        schema[keyword] = keyword === "pattern" ? this.pick(PATTERNS) : small();
      },
      enum: () => {
        const values = Array.from({ length: 1 + small() }, () => this.value(0));
        schema.enum = [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
      },
      const: () => {
        schema.const = this.value(1);
      },
      counts: () => {
        schema[this.pick(["minItems", "maxItems", "minProperties", "maxProperties"])] = small();
      },
      required: () => {
        schema.required = this.#some(KEYS);
      },
      dependent: () => {
        const keyword = isOld ? "dependencies" : "dependentRequired";
        schema[keyword] = { [this.pick(KEYS)]: this.#some(KEYS) };
      },
      unique: () => {
        // A negation of it is refused, so that it must be rare.
        if (!this.#chance(0.2)) return;
        schema.uniqueItems = true;
        if (!("items" in schema)) schema.items = { type: this.pick(["integer", "string", "boolean"]) };
      },
    };
    if (depth > 0)
      Object.assign(add, {
        properties: () => {
          schema.properties = Object.fromEntries(this.#some(KEYS).map((key) => [key, inner()]));
        },
        additional: () => {
          schema.additionalProperties = this.#chance(0.5) ? false : inner();
        },
        patterns: () => {
          schema.patternProperties = { [this.pick(PATTERNS)]: inner() };
        },
        names: () => {
          schema.propertyNames = this.#chance(0.5)
            ? { pattern: this.pick(PATTERNS) }
            : { maxLength: small() };
        },
        items: () => {
          schema.items = inner();
        },
        prefix: () => {
          if (isOld) Object.assign(schema, { items: inners(), additionalItems: inner() });
          else Object.assign(schema, { prefixItems: inners(), items: inner() });
        },
        contains: () => {
          // Apart, because beside a list of items ajv 8.20.0 takes an empty array for one that contains something.
          const item = inner();
          const apart: Record<string, unknown> = {
            contains: typeof item === "boolean" ? { type: "string" } : item,
          };
          if (!isOld && this.#chance(0.3)) apart.minContains = small();
          if (!isOld && this.#chance(0.3)) apart.maxContains = small() + 1;
          schema.allOf = [apart];
        },
        schemas: () => {
          const keyword = isOld ? "dependencies" : "dependentSchemas";
          schema[keyword] = { [this.pick(KEYS)]: inner() };
        },
        anyOf: () => {
          schema.anyOf = inners();
        },
        allOf: () => {
          schema.allOf = inners();
        },
        oneOf: () => {
          schema.oneOf = inners();
        },
        not: () => {
          schema.not = inner();
        },
        if: () => {
          for (const keyword of this.#chance(0.5) ? ["if", "then"] : ["if", "then", "else"])
            schema[keyword] = inner();
        },
        recursion: () => {
          schema[this.pick(["items", "additionalProperties"])] = { $ref: "#" };
        },
      });
    const keywords = Object.keys(add);
    for (let count = 1 + Math.floor(this.#next() * 3); count > 0; count--) add[this.pick(keywords)]!();
    return schema;
  }
}
