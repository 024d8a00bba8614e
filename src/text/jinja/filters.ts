// jinja2's filters, but for those that only pages have a use for.

import { REQUIRED } from "./arguments.ts";
import { type Filter, filter } from "./filter.ts";
import { formatPercent } from "./format.ts";
import { attributeOf, entriesOf, extreme, join, keyOf, sorted, sortKeys, unique } from "./list-filters.ts";
import { round, toFloat, toWhole } from "./number-filters.ts";
import { operate } from "./operations.ts";
import { testOf } from "./tests.ts";
import { indent, onText, title, toJson } from "./text-filters.ts";
import { capitalize, replace, strip, text, whole } from "./text-methods.ts";
import {
  characters,
  Float,
  isTrue,
  iterate,
  Lazy,
  lengthOf,
  numeric,
  sizeOf,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";
import { write } from "./written.ts";

/** `select`, `reject`, `selectattr`, `rejectattr` */
const choosing =
  (isSelected: boolean, byAttribute: boolean): Filter =>
  (value, args, named, budget) => {
    const [path, ...rest] = byAttribute ? args : [null, ...args];
    if (path === undefined) throw new Error("it needs the name of an attribute");
    const [name, ...others] = rest;
    const find = attributeOf(path, null, budget);
    const test = name === undefined ? undefined : testOf(text(name));
    return new Lazy(
      (function* () {
        for (const entry of entriesOf(value)) {
          const found = find(entry);
          const passes = test === undefined ? isTrue(found) : test(found, others, named, budget);
          if (passes === isSelected) yield entry;
        }
      })(),
    );
  };

const map: Filter = (value, args, named, budget) => {
  let work: (entry: Value) => Value;
  if (args.length === 0 && named.has("attribute"))
    work = attributeOf(named.get("attribute")!, named.get("default") ?? null, budget);
  else {
    const [name, ...rest] = args;
    if (name === undefined) throw new Error("map needs a filter or an attribute");
    const apply = filterOf(text(name));
    work = (entry) => apply(entry, rest, named, budget);
  }
  return new Lazy(
    (function* () {
      for (const entry of entriesOf(value)) {
        const made = work(entry);
        budget.step();
        budget.size(sizeOf(entry) + sizeOf(made));
        yield made;
      }
    })(),
  );
};

const first = filter({}, (value) => {
  for (const entry of iterate(value)) return entry;
  return new Undefined("no first item, the sequence was empty");
});
const list = filter({}, (value) => [...iterate(value)]);
const length = filter({}, lengthOf);
const byDefault = filter({ default_value: "", boolean: false }, (value, [other, boolean]) =>
  value instanceof Undefined || (isTrue(boolean!) && !isTrue(value)) ? other! : value,
);

const FILTERS = new Map<string, Filter>([
  [
    "abs",
    filter({}, (value) => {
      const number = numeric(value);
      if (number === undefined) throw new Error(`bad operand type for abs(): '${typeName(value)}'`);
      return value instanceof Float ? new Float(Math.abs(number)) : Math.abs(number);
    }),
  ],
  ["capitalize", onText(capitalize)],
  ["count", length],
  ["d", byDefault],
  ["default", byDefault],
  [
    "dictsort",
    filter(
      { case_sensitive: false, by: "key", reverse: false },
      (value, [isCaseSensitive, by, reverse], budget) => {
        if (!(value instanceof Map)) throw new Error("only a dictionary can be sorted by its keys");
        if (by !== "key" && by !== "value") throw new Error('it can be sorted by "key" or "value"');
        const key = keyOf(by === "key" ? 0 : 1, isCaseSensitive!, budget);
        return sorted(new View("items", value), key, reverse!, budget);
      },
    ),
  ],
  ["first", first],
  ["float", toFloat],
  [
    "format",
    (value, args, named, budget) =>
      formatPercent(write(value, budget), args.length > 0 ? new Tuple(args) : new Map(named), budget),
  ],
  ["indent", filter({ width: 4, first: false, blank: false }, indent)],
  ["int", toWhole],
  [
    "items",
    filter({}, (value) => {
      if (value instanceof Undefined) return new Lazy([]);
      if (!(value instanceof Map)) throw new Error("only a mapping has items");
      return new Lazy(new View("items", value));
    }),
  ],
  ["join", filter({ d: "", attribute: null }, join)],
  [
    "last",
    filter({}, (value) => {
      if (value instanceof Lazy) throw new Error("'generator' object is not reversible");
      const entries = [...iterate(value)];
      const last: Value | undefined = entries.at(-1);
      return last === undefined ? new Undefined("no last item, the sequence was empty") : last;
    }),
  ],
  ["length", length],
  ["list", list],
  ["lower", onText((subject) => subject.toLowerCase())],
  ["map", map],
  ["max", extreme((order) => order > 0)],
  ["min", extreme((order) => order < 0)],
  ["reject", choosing(false, false)],
  ["rejectattr", choosing(false, true)],
  [
    "replace",
    filter({ old: REQUIRED, new: REQUIRED, count: null }, (value, [old, by, count], budget) =>
      replace(
        write(value, budget),
        write(old!, budget),
        write(by!, budget),
        count === null ? -1 : whole(count!),
        budget,
      ),
    ),
  ],
  [
    "reverse",
    filter({}, (value) =>
      typeof value === "string"
        ? characters(value).reverse().join("")
        : new Lazy([...iterate(value)].reverse()),
    ),
  ],
  ["round", round],
  ["safe", filter({}, (value, _, budget) => write(value, budget))],
  ["select", choosing(true, false)],
  ["selectattr", choosing(true, true)],
  [
    "sort",
    filter(
      { reverse: false, case_sensitive: false, attribute: null },
      (value, [reverse, isCaseSensitive, path], budget) =>
        sorted(iterate(value), sortKeys(path!, isCaseSensitive!, budget), reverse!, budget),
    ),
  ],
  ["string", onText((subject) => subject)],
  [
    "sum",
    filter({ attribute: null, start: 0 }, (value, [path, start], budget) => {
      const find = attributeOf(path!, null, budget);
      let sum: Value = start ?? null;
      for (const entry of iterate(value)) sum = operate("+", sum, find(entry), budget);
      return sum;
    }),
  ],
  ["title", onText(title)],
  [
    "tojson",
    filter(
      { ensure_ascii: false, indent: null, separators: null, sort_keys: false },
      (value, [isAscii, by, separators, sort], budget) =>
        toJson(value, [isAscii!, by!, separators!], sort!, budget),
    ),
  ],
  ["trim", filter({ chars: null }, (value, [chars], budget) => strip(write(value, budget), chars!, "both"))],
  ["unique", filter({ case_sensitive: false, attribute: null }, unique)],
  ["upper", onText((subject) => subject.toUpperCase())],
]);

/** @throws Error if there is no such filter */
export function filterOf(name: string): Filter {
  const found = FILTERS.get(name);
  if (found === undefined) throw new Error(`no filter named '${name}'`);
  return found;
}
