// What filters of lists do: they sort, group and choose by an attribute or by the values themselves.

import { item } from "./access.ts";
import type { Budget } from "./budget.ts";
import { filter } from "./filter.ts";
import { compare, equals, isTrue, iterate, Lazy, Tuple, typeName, Undefined, type Value } from "./values.ts";
import { write } from "./written.ts";

/** Finds an attribute by its path, such as `function.name` or `0.role`. */
export function attributeOf(path: Value, byDefault: Value, budget: Budget): (value: Value) => Value {
  const names = typeof path === "string" ? path.split(".") : path === null ? [] : [path];
  const parts = names.map((part) => (typeof part === "string" && /^\d+$/.test(part) ? Number(part) : part));
  return (value) => {
    budget.step();
    const found = parts.reduce((from: Value, part) => {
      const next = item(from, part, budget);
      return byDefault !== null && next instanceof Undefined ? byDefault : next;
    }, value);
    budget.look(found);
    return found;
  };
}

const folded = (value: Value) => (typeof value === "string" ? value.toLowerCase() : value);

/** What values are compared by: an attribute or several, texts in small letters unless case counts. */
export function keyOf(path: Value, isCaseSensitive: Value, budget: Budget): (value: Value) => Value {
  const find = attributeOf(path, null, budget);
  return isTrue(isCaseSensitive) ? find : (value) => folded(find(value));
}

export function sorted(
  values: Iterable<Value>,
  key: (value: Value) => Value,
  isReversed: Value,
  budget: Budget,
): Value[] {
  const keyed = Array.from(values, (value) => ({ value, key: key(value) }));
  const sign = isTrue(isReversed) ? -1 : 1;
  keyed.sort((a, b) => {
    const order = compare(a.key, b.key, budget);
    return order === 0 ? 0 : sign * order;
  });
  return keyed.map(({ value }) => value);
}

export function sortKeys(paths: Value, isCaseSensitive: Value, budget: Budget): (value: Value) => Value {
  const all = typeof paths === "string" ? paths.split(",") : [paths];
  const keys = all.map((path) => keyOf(path, isCaseSensitive, budget));
  return (value) => new Tuple(keys.map((key) => key(value)));
}

/** jinja2 takes whatever is not true for a list without entries: None, for one. */
export const entriesOf = (value: Value) => (isTrue(value) ? iterate(value) : []);

export const extreme = (isLarger: (order: number) => boolean) =>
  filter({ case_sensitive: false, attribute: null }, (value, [isCaseSensitive, path], budget) => {
    const key = keyOf(path!, isCaseSensitive!, budget);
    let best: { value: Value; key: Value } | undefined;
    for (const entry of iterate(value)) {
      const candidate = { value: entry, key: key(entry) };
      if (best === undefined || isLarger(compare(candidate.key, best.key, budget))) best = candidate;
    }
    return best === undefined ? new Undefined("no item, the sequence was empty") : best.value;
  });

export function unique(value: Value, [isCaseSensitive, path]: Value[], budget: Budget): Value {
  const key = keyOf(path!, isCaseSensitive!, budget);
  return new Lazy(
    (function* () {
      const seen: Value[] = [];
      for (const entry of iterate(value)) {
        const own = key(entry);
        if (Array.isArray(own) || own instanceof Map) throw new Error(`unhashable type: '${typeName(own)}'`);
        if (seen.some((other) => equals(other, own, budget))) continue;
        seen.push(own);
        yield entry;
      }
    })(),
  );
}

export function join(value: Value, [between, path]: Value[], budget: Budget): Value {
  const find = attributeOf(path!, null, budget);
  const separator = write(between!, budget);
  return Array.from(iterate(value), (entry) => {
    const part = write(find(entry), budget);
    budget.size(part.length + separator.length);
    return part;
  }).join(separator);
}
