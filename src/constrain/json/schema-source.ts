// The schemas inside a schema: by their place, by what refers to them.

import { EdgeformerError } from "../../errors.ts";
import { excerpt } from "../../excerpt.ts";
import type { Budget } from "../budget.ts";
import type { Schema } from "./goal.ts";

/** What relative references are relative to where no schema says so. */
const NOWHERE = "schema:///";
/** Keywords that have a schema or a list of them, and those that have schemas by name. */
const SCHEMAS = new Set(
  "additionalItems additionalProperties allOf anyOf contains else if items not oneOf prefixItems propertyNames then".split(
    " ",
  ),
);
const NAMED = new Set(
  "$defs definitions dependencies dependentSchemas patternProperties properties".split(" "),
);
/** Keywords that are for people. */
const NOTES = new Set("$comment default description examples title".split(" "));

/** A JSON pointer for a message. */
export function placeOf(pointer: string): string {
  return pointer.length > 300 ? `${pointer.slice(0, 300)}…` : pointer || "/";
}

/** Refuses a schema for what stands at a place of it. */
export function refuse(pointer: string, message: string): never {
  throw new EdgeformerError("invalid_option", `jsonSchema at ${placeOf(pointer)}: ${message}`, {
    param: "jsonSchema",
  });
}

function escaped(key: string): string {
  return key.replace(/~/g, "~0").replace(/\//g, "~1");
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function resolved(reference: string, base: string): string {
  try {
    return new URL(reference, base).href;
  } catch {
    return reference;
  }
}

/** Something in the source, where it stands and what its references are relative to. */
type Place = Omit<Schema, "id" | "value"> & { value: unknown };

export class SchemaSource {
  readonly root: Schema;
  readonly #budget: Budget;
  /** Before 2019, what stands beside a reference does not say what it is relative to. */
  readonly #isOld: boolean;
  readonly #idKeyword: string;
  readonly #known = new Map<unknown, Schema>();
  /** Schemas without others inside, by what they say: the same one stands in many places. */
  readonly #alike = new Map<string, Schema>();
  readonly #constants = new Map<object, Schema>();
  /** Schemas by their address without the # at its end; made when a reference asks for it. */
  #addresses: Map<string, Place> | undefined;
  #count = 0;

  constructor(value: unknown, budget: Budget) {
    this.#budget = budget;
    const draft = isObject(value) && typeof value.$schema === "string" ? value.$schema : "";
    this.#isOld = /draft-0[3467]/.test(draft);
    this.#idKeyword = /draft-0[34]/.test(draft) ? "id" : "$id";
    this.root = this.#make({ value, pointer: "", base: NOWHERE });
  }

  #make(place: Place): Schema {
    const { value, pointer } = place;
    if (typeof value !== "boolean" && !isObject(value))
      refuse(pointer, `${excerpt(value)} is no schema: it must be an object or a boolean`);
    let schema = this.#known.get(value);
    if (schema) return schema;
    this.#budget.spend(3);
    const key = isObject(value) ? ownText(value) : undefined;
    schema = key === undefined ? undefined : this.#alike.get(key);
    if (!schema) {
      schema = { id: ++this.#count, value, pointer, base: this.#baseOf(place) };
      if (key !== undefined) this.#alike.set(key, schema);
    }
    this.#known.set(value, schema);
    return schema;
  }

  /** What references in a place are relative to. */
  #baseOf({ value, base }: Place): string {
    const id = isObject(value) && !(this.#isOld && "$ref" in value) ? value[this.#idKeyword] : undefined;
    return typeof id === "string" ? resolved(id, base).replace(/#.*$/, "") : base;
  }

  /** The schema at some keys behind another. */
  inside({ pointer, base }: Schema, value: unknown, ...keys: (string | number)[]): Schema {
    return this.#make({
      value,
      pointer: keys.reduce<string>((text, key) => `${text}/${escaped(String(key))}`, pointer),
      base,
    });
  }

  /** A schema for exactly one array or object. */
  like({ pointer, base }: Schema, value: object): Schema {
    const known = this.#constants.get(value);
    if (known) return known;
    const constant = (inner: unknown) => ({ const: inner });
    const same = Array.isArray(value)
      ? {
          type: "array",
          prefixItems: value.map(constant),
          items: false,
          minItems: value.length,
          maxItems: value.length,
        }
      : {
          type: "object",
          properties: Object.fromEntries(
            Object.entries(value).map(([name, inner]) => [name, constant(inner)]),
          ),
          required: Object.keys(value),
          additionalProperties: false,
        };
    const schema = this.#make({ value: same, pointer, base });
    this.#constants.set(value, schema);
    return schema;
  }

  /** A schema for some values. */
  listed(values: readonly unknown[]): Schema {
    return this.#make({ value: { enum: values }, pointer: "", base: NOWHERE });
  }

  /** What a schema's `$ref` refers to. */
  referred(schema: Schema, reference: string): Schema {
    const address = resolved(reference, schema.base);
    const at = address.indexOf("#");
    const resource = at === -1 ? address : address.slice(0, at);
    const fragment = at === -1 ? "" : decoded(address.slice(at + 1));
    const isPointer = fragment === "" || fragment.startsWith("/");
    const isRoot = resource === NOWHERE || resource === this.root.base;
    let place: Place | undefined =
      isPointer && isRoot ? this.root : this.#addressed(isPointer ? resource : `${resource}#${fragment}`);
    if (!place)
      refuse(
        `${schema.pointer}/$ref`,
        `${excerpt(reference)} ${isRoot ? "refers to nothing" : "is not in the schema; nothing is fetched"}`,
      );
    for (const part of isPointer ? fragment.split("/").slice(1) : []) {
      const key = part.replace(/~1/g, "/").replace(/~0/g, "~");
      const outer: unknown = place.value;
      if (outer === null || typeof outer !== "object" || !Object.hasOwn(outer, key))
        refuse(`${schema.pointer}/$ref`, `${excerpt(reference)} refers to nothing`);
      place = {
        value: (outer as Record<string, unknown>)[key],
        pointer: `${place.pointer}/${part}`,
        base: this.#baseOf(place),
      };
    }
    return this.#make(place);
  }

  #addressed(address: string): Place | undefined {
    if (!this.#addresses) {
      this.#addresses = new Map();
      const places = new Set<Place>([{ value: this.root.value, pointer: "", base: NOWHERE }]);
      for (const place of places) for (const inner of this.#collect(place)) places.add(inner);
    }
    return this.#addresses.get(address);
  }

  /** Notes the addresses of a schema; gives those inside. */
  #collect(place: Place): Place[] {
    const { value, pointer } = place;
    if (!isObject(value)) return [];
    const note = (address: string) => {
      this.#budget.spend(20);
      this.#addresses!.set(address.replace(/#$/, ""), place);
    };
    this.#budget.spend(5);
    const base = this.#baseOf(place);
    if (base !== place.base) note(base);
    const id = value[this.#idKeyword];
    if (typeof id === "string") note(resolved(id, place.base));
    for (const name of [value.$anchor, value.$dynamicAnchor])
      if (typeof name === "string") note(`${base}#${name}`);
    return Object.entries(value).flatMap(([keyword, inner]) => {
      if (!SCHEMAS.has(keyword) && !(NAMED.has(keyword) && isObject(inner))) return [];
      const at = `${pointer}/${keyword}`;
      if (SCHEMAS.has(keyword) && !Array.isArray(inner)) return [{ value: inner, pointer: at, base }];
      return Object.entries(inner as object).map(([name, each]) => ({
        value: each,
        pointer: `${at}/${escaped(name)}`,
        base,
      }));
    });
  }
}

/** What a schema says that has no others inside and that is short; undefined for others. */
function ownText(value: Record<string, unknown>): string | undefined {
  const said = Object.entries(value).filter(([keyword]) => !NOTES.has(keyword));
  const isOwn = said.every(
    ([keyword, each]) =>
      !keyword.startsWith("$") &&
      (typeof each !== "object" ||
        each === null ||
        (Array.isArray(each) && each.length < 16 && each.every((item) => typeof item !== "object"))),
  );
  return isOwn ? JSON.stringify(said) : undefined;
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}
