// What the keywords of a schema say of a value, as facts: of those that meet them and of those that do not.

import type { Language, Languages } from "../language/language.ts";
import { ALL_TYPES, ANY_FACTS, type Facts, TYPES } from "./facts.ts";
import type { Goals, Schema } from "./goal.ts";
import { refuse, type SchemaSource } from "./schema-source.ts";

/** One or several keywords of a schema. Each list is a union: a value is held to one of its facts. */
export interface Assertion {
  meets: readonly Facts[];
  fails: () => readonly Facts[];
}

/** What keywords are read with. */
export interface Reading {
  source: SchemaSource;
  goals: Goals;
  languages: Languages;
  /** The language of a regular expression that some part of a string is to match. */
  pattern(schema: Schema, keyword: string, expression: string): Language;
  format(schema: Schema, name: string): Language | undefined;
  /** Strings that meet a schema, or fail it. */
  strings(schema: Schema, meets: boolean): Language;
}

type TypeFacts = Partial<Pick<Facts, "number" | "string" | "array" | "object">>;

/** Values of which only one type is held to something. */
export function held(facts: TypeFacts): Facts {
  return { ...ANY_FACTS, types: ALL_TYPES, ...facts };
}

/** Values of one type only. */
export function only(type: keyof typeof TYPES, facts: TypeFacts = {}): Facts {
  return { ...ANY_FACTS, types: TYPES[type], ...facts };
}

/** A schema that is an object, with keywords of the right types. */
export class Keywords {
  readonly schema: Schema;
  readonly #value: Readonly<Record<string, unknown>>;

  constructor(schema: Schema) {
    this.schema = schema;
    this.#value = schema.value as Readonly<Record<string, unknown>>;
  }

  has(keyword: string): boolean {
    return Object.hasOwn(this.#value, keyword);
  }

  raw(keyword: string): unknown {
    return Object.hasOwn(this.#value, keyword) ? this.#value[keyword] : undefined;
  }

  refuse(keyword: string, message: string): never {
    refuse(`${this.schema.pointer}/${keyword}`, message);
  }

  /** A count of things: an integer of at least 0. */
  count(keyword: string): number | undefined {
    const value = this.raw(keyword);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0)
      this.refuse(keyword, "must be an integer of at least 0");
    return value;
  }

  number(keyword: string): number | undefined {
    const value = this.raw(keyword);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isFinite(value)) this.refuse(keyword, "must be a number");
    return value;
  }

  text(keyword: string): string | undefined {
    const value = this.raw(keyword);
    if (value !== undefined && typeof value !== "string") this.refuse(keyword, "must be a string");
    return value;
  }

  list(keyword: string): readonly unknown[] | undefined {
    const value = this.raw(keyword);
    if (value !== undefined && !Array.isArray(value)) this.refuse(keyword, "must be a list");
    return value;
  }

  object(keyword: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.raw(keyword);
    if (value === undefined) return undefined;
    if (value === null || typeof value !== "object" || Array.isArray(value))
      this.refuse(keyword, "must be an object");
    return value as Readonly<Record<string, unknown>>;
  }

  names(keyword: string, value: unknown): string[] {
    if (!Array.isArray(value) || !value.every((name): name is string => typeof name === "string"))
      this.refuse(keyword, "must be a list of strings");
    return value;
  }
}
