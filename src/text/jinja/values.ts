// Python's values, as far as templates meet them. Texts, whole numbers, booleans, None, lists and dictionaries are
// JavaScript's; what JavaScript cannot tell apart has a class.

import type { Budget } from "./budget.ts";

export type Key = string | number | boolean | null;
export type Dictionary = Map<Key, Value>;
export type Value =
  | null
  | boolean
  | number
  | string
  | Value[]
  | Dictionary
  | Float
  | Tuple
  | Range
  | Lazy
  | View
  | Undefined
  | Callable
  | Native;

/** A number that is not whole, or has a point: `2.0` is written with it. */
export class Float {
  readonly number: number;

  constructor(number: number) {
    this.number = number;
  }
}

export class Tuple {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

export class Range {
  readonly items: readonly number[];
  readonly text: string;

  constructor(items: readonly number[], text: string) {
    this.items = items;
    this.text = text;
  }
}

/** What `map`, `select` and the like return: it can be gone through once, and is true even if nothing is in it. */
export class Lazy {
  readonly #iterator: Iterator<Value>;

  constructor(values: Iterable<Value>) {
    this.#iterator = values[Symbol.iterator]();
  }

  /** Does not end with the loop that goes through it: the next one goes on. */
  [Symbol.iterator](): Iterator<Value> {
    return { next: () => this.#iterator.next() };
  }
}

/** What `items()`, `keys()` and `values()` of a dictionary return. */
export class View {
  readonly kind: "items" | "keys" | "values";
  readonly of: Dictionary;

  constructor(kind: View["kind"], of: Dictionary) {
    this.kind = kind;
    this.of = of;
  }

  *[Symbol.iterator](): Generator<Value> {
    for (const [key, value] of this.of)
      yield this.kind === "items"
        ? new Tuple([fromKey(key), value])
        : this.kind === "keys"
          ? fromKey(key)
          : value;
  }
}

/** It can be written, gone through and asked for its truth; anything else is an error that says why it is there. */
export class Undefined {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }

  fail(): never {
    throw new Error(this.reason);
  }
}

export type NamedValues = ReadonlyMap<string, Value>;

export class Callable {
  readonly name: string;
  readonly call: (args: readonly Value[], named: NamedValues) => Value;

  constructor(name: string, call: Callable["call"]) {
    this.name = name;
    this.call = call;
  }
}

/** An object of the interpreter's own: a namespace, a loop. */
export abstract class Native {
  abstract attribute(name: string): Value | undefined;
}

export class Namespace extends Native {
  readonly attributes = new Map<string, Value>();

  attribute(name: string): Value | undefined {
    return this.attributes.get(name);
  }
}

export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (Array.isArray(value)) return "list";
  if (value instanceof View) return `dict_${value.kind}`;
  for (const [kind, name] of [
    [Map, "dict"],
    [Float, "float"],
    [Tuple, "tuple"],
    [Range, "range"],
    [Lazy, "generator"],
    [Undefined, "Undefined"],
    [Callable, "function"],
    [Namespace, "Namespace"],
  ] as const)
    if (value instanceof kind) return name;
  return { boolean: "bool", number: "int", string: "str" }[typeof value as string] ?? "object";
}

/** A whole number; Python's have no bounds, these have. */
export function integer(number: number): number {
  if (!Number.isSafeInteger(number)) throw new Error("a whole number is too large");
  return number === 0 ? 0 : number;
}

/** The number that a value is in arithmetic. */
export function numeric(value: Value): number | undefined {
  if (value instanceof Float) return value.number;
  return typeof value === "number" || typeof value === "boolean" ? Number(value) : undefined;
}

/** A value as a dictionary's key. */
export function toKey(value: Value): Key {
  if (value instanceof Float) return value.number;
  if (typeof value === "object" && value !== null) throw new Error(`unhashable type: '${typeName(value)}'`);
  return value;
}

/** What a dictionary has under a key, if anything can be under it. */
export function lookUp(dictionary: Dictionary, key: Value): Value | undefined {
  return key instanceof Undefined || key instanceof Tuple ? undefined : dictionary.get(toKey(key));
}

export function fromKey(key: Key): Value {
  return typeof key === "number" && !Number.isInteger(key) ? new Float(key) : key;
}

export function isTrue(value: Value): boolean {
  if (value instanceof Undefined) return false;
  if (value instanceof Float) return value.number !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Tuple || value instanceof Range) return value.items.length > 0;
  if (value instanceof View) return value.of.size > 0;
  return typeof value === "object" ? value !== null : Boolean(value);
}

const SURROGATE = /[\ud800-\udfff]/;

/** A text's characters; Python counts code points, not units. */
export function characters(text: string): string[] {
  return SURROGATE.test(text) ? [...text] : text.split("");
}

/** The entries of a list, tuple, range or text, which can be told by their number; undefined for anything else. */
export function sequence(value: Value): readonly Value[] | undefined {
  if (typeof value === "string") return characters(value);
  if (Array.isArray(value)) return value;
  return value instanceof Tuple || value instanceof Range ? value.items : undefined;
}

function iterable(value: Value): Iterable<Value> | undefined {
  if (value instanceof Map) return new View("keys", value);
  if (value instanceof View || value instanceof Lazy) return value;
  return value instanceof Undefined ? [] : sequence(value);
}

export function isIterable(value: Value): boolean {
  return iterable(value) !== undefined;
}

export function iterate(value: Value): Iterable<Value> {
  const entries = iterable(value);
  if (entries !== undefined) return entries;
  throw new Error(`'${typeName(value)}' object is not iterable`);
}

export function lengthOf(value: Value): number {
  if (value instanceof Undefined) return 0;
  if (value instanceof Map) return value.size;
  if (value instanceof View) return value.of.size;
  if (typeof value === "string" && !SURROGATE.test(value)) return value.length;
  const entries = sequence(value);
  if (entries === undefined) throw new Error(`object of type '${typeName(value)}' has no len()`);
  return entries.length;
}

/** Characters or entries of a value, as its budget counts them. */
export function sizeOf(value: Value): number {
  if (typeof value === "string" || Array.isArray(value)) return value.length;
  if (value instanceof Tuple || value instanceof Range) return value.items.length;
  return value instanceof Map ? value.size : value instanceof View ? value.of.size : 0;
}

export function equals(a: Value, b: Value, budget: Budget): boolean {
  budget.step();
  budget.look(a);
  if (a === b) return true;
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined || y !== undefined) return x === y;
  const all = (first: readonly Value[], second: readonly Value[]) =>
    first.length === second.length &&
    budget.deeper(() => first.every((value, i) => equals(value, second[i]!, budget)));
  if (Array.isArray(a) && Array.isArray(b)) return all(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return all(a.items, b.items);
  if (a instanceof Range && b instanceof Range) return all(a.items, b.items);
  if (a instanceof Map && b instanceof Map)
    return (
      a.size === b.size &&
      budget.deeper(() => [...a].every(([key, value]) => b.has(key) && equals(value, b.get(key)!, budget)))
    );
  if (a instanceof Undefined) return b instanceof Undefined;
  return a === b;
}

/** Below 0 if a text comes before another one, by code points. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : 1;
  const [x, y] = [[...a], [...b]];
  const at = x.findIndex((character, i) => character !== y[i]);
  if (at === -1) return -1;
  return (x[at]!.codePointAt(0) ?? 0) - (y[at]?.codePointAt(0) ?? -1);
}

/** Below 0 if a comes before b; throws where Python does. */
export function compare(a: Value, b: Value, budget: Budget, operator = "<"): number {
  budget.step();
  for (const value of [a, b]) budget.look(value);
  for (const value of [a, b]) if (value instanceof Undefined) value.fail();
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return x - y;
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  const isSame = (Array.isArray(a) && Array.isArray(b)) || (a instanceof Tuple && b instanceof Tuple);
  if (!isSame)
    throw new Error(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
  const [first, second] = [sequence(a)!, sequence(b)!];
  for (let i = 0; i < Math.min(first.length, second.length); i++)
    if (!equals(first[i]!, second[i]!, budget))
      return budget.deeper(() => compare(first[i]!, second[i]!, budget, operator));
  return first.length - second.length;
}

/** Whether a value is in another one: a text in a text, an entry in a list, a key in a dictionary. */
export function contains(container: Value, value: Value, budget: Budget): boolean {
  if (typeof container === "string") {
    if (typeof value !== "string")
      throw new Error(`'in <string>' requires string as left operand, not ${typeName(value)}`);
    budget.look(container);
    budget.search(container, value);
    return container.includes(value);
  }
  if (container instanceof Map) return lookUp(container, value) !== undefined;
  for (const entry of iterate(container)) if (equals(entry, value, budget)) return true;
  return false;
}
