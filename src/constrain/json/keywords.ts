// The keywords of one schema, held to the right types.

import type { Budget } from "../budget.ts";
import type { Language, Languages } from "../language/language.ts";
import type { Goals, Schema } from "./goal.ts";
import { isObject, refuse, type SchemaSource } from "./schema-source.ts";

/** What keywords are read with. */
export interface Reading {
  source: SchemaSource;
  goals: Goals;
  languages: Languages;
  budget: Budget;
  /** The language of a regular expression that some part of a string is to match, or the whole string. */
  pattern(keywords: Keywords, keyword: string, expression: string, whole?: boolean): Language;
  /** Strings that fail a schema. */
  stringsFailing(schema: Schema): Language;
  unknownFormats: "ignore" | "error";
}

export class Keywords {
  readonly schema: Schema;
  readonly #source: SchemaSource;

  constructor(schema: Schema, source: SchemaSource) {
    this.schema = schema;
    this.#source = source;
  }

  /** Undefined if it is not there. */
  raw(keyword: string): unknown {
    const value = this.schema.value as Readonly<Record<string, unknown>>;
    return Object.hasOwn(value, keyword) ? value[keyword] : undefined;
  }

  refuse(keyword: string, message: string): never {
    refuse(`${this.schema.pointer}/${keyword}`, message);
  }

  #checked<T>(keyword: string, isRight: (value: unknown) => boolean, what: string): T | undefined {
    const value = this.raw(keyword);
    if (value !== undefined && !isRight(value)) this.refuse(keyword, `must be ${what}`);
    return value as T | undefined;
  }

  /** A count of things. */
  count(keyword: string): number | undefined {
    return this.#checked(
      keyword,
      (value) => Number.isInteger(value) && (value as number) >= 0,
      "an integer of at least 0",
    );
  }

  number(keyword: string): number | undefined {
    return this.#checked(keyword, Number.isFinite, "a number");
  }

  text(keyword: string): string | undefined {
    return this.#checked(keyword, (value) => typeof value === "string", "a string");
  }

  list(keyword: string): readonly unknown[] {
    return this.#checked(keyword, Array.isArray, "a list") ?? [];
  }

  entries(keyword: string): [name: string, value: unknown][] {
    return Object.entries(this.#checked<object>(keyword, isObject, "an object") ?? {});
  }

  /** A list of strings. */
  names(keyword: string, value = this.raw(keyword)): readonly string[] {
    if (!Array.isArray(value) || !value.every((name) => typeof name === "string"))
      this.refuse(keyword, "must be a list of strings");
    return value;
  }

  /** The schema that a keyword has. */
  inside(keyword: string): Schema | undefined {
    const value = this.raw(keyword);
    return value === undefined ? undefined : this.#source.inside(this.schema, value, keyword);
  }

  /** The schemas in a list. */
  schemas(keyword: string): Schema[] {
    return this.list(keyword).map((value, i) => this.#source.inside(this.schema, value, keyword, i));
  }

  /** The schemas in an object, by their names. */
  named(keyword: string): [name: string, inner: Schema][] {
    return this.entries(keyword).map(([name, value]) => [
      name,
      this.#source.inside(this.schema, value, keyword, name),
    ]);
  }
}
