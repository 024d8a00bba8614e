// The schemas inside a schema: by their place, by what refers to them.

import { EdgeformerError } from "../../errors.ts";
import { excerpt } from "../../excerpt.ts";
import type { Schema } from "./goal.ts";

/** What relative references are relative to where no schema says so. */
const NOWHERE = "schema:///";

/** Refuses a schema for what stands at a place of it. */
export function refuse(pointer: string, message: string): never {
  throw new EdgeformerError("invalid_option", `jsonSchema at ${pointer || "/"}: ${message}`, {
    param: "jsonSchema",
  });
}

function escaped(key: string): string {
  return key.replace(/~/g, "~0").replace(/\//g, "~1");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function resolved(reference: string, base: string): string {
  try {
    return new URL(reference, base).href;
  } catch {
    return reference;
  }
}

export class SchemaSource {
  readonly root: Schema;
  readonly #idKeyword: string;
  readonly #known = new Map<object, Schema>();
  /** Schemas by their address without the # at its end; made when a reference asks for it. */
  #addresses: Map<string, { value: unknown; pointer: string; base: string }> | undefined;
  #constants = new Map<unknown, Schema>();
  #count = 0;

  constructor(value: unknown) {
    const draft = isObject(value) && typeof value.$schema === "string" ? value.$schema : "";
    this.#idKeyword = /draft-0[34]/.test(draft) ? "id" : "$id";
    this.root = this.#make(value, "", NOWHERE);
  }

  #make(value: unknown, pointer: string, base: string): Schema {
    if (typeof value === "boolean") return { id: ++this.#count, value, pointer, base };
    if (!isObject(value))
      refuse(pointer, `${excerpt(value)} is no schema: it must be an object or a boolean`);
    let schema = this.#known.get(value);
    if (!schema) {
      const id = value[this.#idKeyword];
      const here = typeof id === "string" ? resolved(id, base).replace(/#.*$/, "") : base;
      schema = { id: ++this.#count, value, pointer, base: here };
      this.#known.set(value, schema);
    }
    return schema;
  }

  /** The schema at some keys behind another. */
  inside(schema: Schema, value: unknown, ...keys: (string | number)[]): Schema {
    const pointer = keys.reduce<string>((text, key) => `${text}/${escaped(String(key))}`, schema.pointer);
    return this.#make(value, pointer, schema.base);
  }

  /** A schema for exactly one value. */
  constant(schema: Schema, value: unknown): Schema {
    let found = this.#constants.get(value);
    if (!found) {
      found = { id: ++this.#count, value: { const: value }, pointer: schema.pointer, base: schema.base };
      this.#constants.set(value, found);
    }
    return found;
  }

  /** A schema for some values. */
  listed(values: readonly unknown[]): Schema {
    return { id: ++this.#count, value: { enum: values }, pointer: "", base: NOWHERE };
  }

  /** What a schema's `$ref` refers to. */
  referred(schema: Schema, reference: string): Schema {
    const address = resolved(reference, schema.base);
    const at = address.indexOf("#");
    const [resource, encoded] = at === -1 ? [address, ""] : [address.slice(0, at), address.slice(at + 1)];
    const fragment = decoded(encoded);
    const start =
      resource === NOWHERE || resource === this.root.base
        ? { value: this.root.value as unknown, pointer: "", base: this.root.base }
        : this.#addressed(resource);
    if (!start)
      refuse(`${schema.pointer}/$ref`, `${excerpt(reference)} is not in the schema; nothing is fetched`);
    if (fragment !== "" && !fragment.startsWith("/")) {
      const anchored = this.#addressed(`${resource}#${fragment}`);
      if (!anchored) refuse(`${schema.pointer}/$ref`, `${excerpt(reference)} refers to nothing`);
      return this.#make(anchored.value, anchored.pointer, anchored.base);
    }
    let { value, base } = start;
    for (const part of fragment.split("/").slice(1)) {
      const key = part.replace(/~1/g, "/").replace(/~0/g, "~");
      if (value === null || typeof value !== "object" || !Object.hasOwn(value, key))
        refuse(`${schema.pointer}/$ref`, `${excerpt(reference)} refers to nothing`);
      value = (value as Record<string, unknown>)[key];
      const id = isObject(value) ? value[this.#idKeyword] : undefined;
      if (typeof id === "string") base = resolved(id, base).replace(/#.*$/, "");
    }
    return this.#make(value, `${start.pointer}${fragment}`, base);
  }

  #addressed(address: string): { value: unknown; pointer: string; base: string } | undefined {
    if (!this.#addresses) {
      this.#addresses = new Map();
      this.#collect(this.root.value, "", NOWHERE, 0);
    }
    return this.#addresses.get(address);
  }

  #collect(value: unknown, pointer: string, outer: string, depth: number): void {
    if (value === null || typeof value !== "object" || depth > 200) return;
    let base = outer;
    if (isObject(value)) {
      const id = value[this.#idKeyword];
      if (typeof id === "string") {
        base = resolved(id, outer);
        const entry = { value, pointer, base: base.replace(/#.*$/, "") };
        this.#addresses!.set(base.replace(/#$/, ""), entry);
        base = entry.base;
      }
      for (const name of [value.$anchor, value.$dynamicAnchor])
        if (typeof name === "string") this.#addresses!.set(`${base}#${name}`, { value, pointer, base });
    }
    for (const [key, inner] of Object.entries(value))
      this.#collect(inner, `${pointer}/${escaped(key)}`, base, depth + 1);
  }
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}
