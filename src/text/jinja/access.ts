// `object.name` and `object[key]`. Of Python's objects a template reaches what jinja2's sandbox leaves it: no name with an
// underscore in front, and no method that changes anything.

import { REQUIRED, take } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { formatBraces } from "./format.ts";
import { textMethod, whole } from "./text-methods.ts";
import {
  Callable,
  type Dictionary,
  equals,
  integer,
  lookUp,
  Native,
  Range,
  sequence,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";
import { represent } from "./written.ts";

const CHANGING_LISTS = new Set("append clear pop reverse insert sort extend remove".split(" "));
const CHANGING_DICTIONARIES = new Set("clear pop popitem setdefault update".split(" "));

function dictionaryMethod(dictionary: Dictionary, name: string): Value | undefined {
  const method = (call: Callable["call"]) => new Callable(name, call);
  switch (name) {
    case "items":
    case "keys":
    case "values":
      return method((args, named) => {
        take(name, args, named, {});
        return new View(name, dictionary);
      });
    case "get":
      return method((args, named) => {
        const [key, byDefault] = take(name, args, named, { key: REQUIRED, default: null });
        const found = lookUp(dictionary, key!);
        return found === undefined ? byDefault! : found;
      });
    case "copy":
      return method(() => new Map(dictionary));
    default:
      return undefined;
  }
}

function listMethod(entries: readonly Value[], name: string, budget: Budget): Value | undefined {
  if (name === "copy") return new Callable(name, () => [...entries]);
  if (name !== "index" && name !== "count") return undefined;
  return new Callable(name, (args, named) => {
    const [value] = take(name, args, named, { value: REQUIRED });
    if (name === "count") return entries.filter((entry) => equals(entry, value!, budget)).length;
    const at = entries.findIndex((entry) => equals(entry, value!, budget));
    if (at === -1) throw new Error("it is not in the list");
    return at;
  });
}

/** What Python's `getattr` finds. */
function ownAttribute(object: Value, name: string, budget: Budget): Value | undefined {
  if (object instanceof Undefined) object.fail();
  if (object instanceof Native) return object.attribute(name);
  if (typeof object === "string") {
    if (name !== "format") return textMethod(object, name, budget);
    return new Callable(name, (args, named) => {
      budget.look(object);
      return formatBraces(object, args, named, budget);
    });
  }
  const changes =
    (Array.isArray(object) && CHANGING_LISTS.has(name)) ||
    (object instanceof Map && CHANGING_DICTIONARIES.has(name));
  if (changes)
    return new Undefined(`access to attribute '${name}' of '${typeName(object)}' object is unsafe`);
  if (object instanceof Map) return dictionaryMethod(object, name);
  if (Array.isArray(object)) return listMethod(object, name, budget);
  return object instanceof Tuple || object instanceof Range
    ? name === "copy"
      ? undefined
      : listMethod(object.items, name, budget)
    : undefined;
}

/** What stands in brackets behind an object; undefined if nothing does. */
function ownItem(object: Value, key: Value): Value | undefined {
  if (object instanceof Undefined) object.fail();
  if (object instanceof Map) {
    return Array.isArray(key) || key instanceof Map ? undefined : lookUp(object, key);
  }
  const entries = sequence(object);
  if (entries === undefined || (typeof key !== "number" && typeof key !== "boolean")) return undefined;
  return (
    entries.at(Number(key)) ??
    (Number(key) >= -entries.length && Number(key) < entries.length ? null : undefined)
  );
}

function missing(object: Value, name: Value, budget: Budget): Undefined {
  const kind = object === null ? "None" : `'${typeName(object)} object'`;
  return new Undefined(
    typeof name === "string"
      ? `${kind} has no attribute '${name.slice(0, 100)}': it is undefined`
      : `${typeName(object)} object has no element ${represent(name, budget).slice(0, 100)}: it is undefined`,
  );
}

/** `object.name`: an attribute, or else an item. */
export function attribute(object: Value, name: string, budget: Budget): Value {
  const own = ownAttribute(object, name, budget);
  const found = own === undefined ? ownItem(object, name) : own;
  return found === undefined ? missing(object, name, budget) : found;
}

/** `object[key]`: an item, or else an attribute. */
export function item(object: Value, key: Value, budget: Budget): Value {
  if (typeof object === "string" && typeof key === "number") budget.size(object.length);
  const found = ownItem(object, key);
  if (found !== undefined) return found;
  const own = typeof key === "string" ? ownAttribute(object, key, budget) : undefined;
  return own === undefined ? missing(object, key, budget) : own;
}

/** `object[start:stop:step]` */
export function slice(object: Value, start: Value, stop: Value, step: Value): Value {
  if (object instanceof Undefined) object.fail();
  const entries = sequence(object);
  if (entries === undefined) throw new Error(`'${typeName(object)}' object cannot be sliced`);
  const by = step === null ? 1 : whole(step);
  if (by === 0) throw new Error("slice step cannot be zero");
  const [low, high] = by > 0 ? [0, entries.length] : [-1, entries.length - 1];
  const bound = (value: Value, byDefault: number) => {
    if (value === null) return byDefault;
    const at = whole(value);
    return Math.min(high, Math.max(low, at < 0 ? at + entries.length : at));
  };
  const end = bound(stop, by > 0 ? high : low);
  const taken: Value[] = [];
  for (let at = bound(start, by > 0 ? low : high); by > 0 ? at < end : at > end; at = integer(at + by))
    taken.push(entries[at]!);
  if (typeof object === "string") return taken.join("");
  return object instanceof Tuple ? new Tuple(taken) : taken;
}
