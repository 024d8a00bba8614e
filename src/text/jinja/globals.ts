// The functions that every template has, and the way of the program's values into it.

import { REQUIRED, take } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { text, whole } from "./text-methods.ts";
import { Callable, type Dictionary, Float, iterate, Namespace, Range, toKey, type Value } from "./values.ts";

/** As many as jinja2's sandbox allows. */
const MAX_RANGE = 100_000;

function range(args: readonly Value[]): Range {
  if (args.length === 0 || args.length > 3)
    throw new Error(`range() takes 1 to 3 arguments and got ${args.length}`);
  const numbers = args.map(whole);
  const [start, stop] = numbers.length === 1 ? [0, numbers[0]!] : [numbers[0]!, numbers[1]!];
  const step = numbers[2] ?? 1;
  if (step === 0) throw new Error("range() step must not be zero");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_RANGE)) throw new Error(`range(${numbers.join(", ")}) is too long`);
  const items = Array.from({ length }, (_, at) => start + at * step);
  return new Range(items, `range(${start}, ${stop}${step === 1 ? "" : `, ${step}`})`);
}

/** The entries of a dictionary, or pairs, and what is given by name. */
function entriesOf(args: readonly Value[], named: ReadonlyMap<string, Value>): Dictionary {
  const [source = new Map()] = args;
  const pairs = source instanceof Map ? [...source] : Array.from(iterate(source), pairOf);
  return new Map([...pairs, ...named]);
}

function pairOf(value: Value): [string | number | boolean | null, Value] {
  const pair = [...iterate(value)];
  if (pair.length !== 2) throw new Error("a dictionary is made of pairs");
  return [toKey(pair[0]!), pair[1]!];
}

function namespace(args: readonly Value[], named: ReadonlyMap<string, Value>): Namespace {
  const made = new Namespace();
  for (const [name, value] of entriesOf(args, named)) made.attributes.set(String(name), value);
  return made;
}

export const GLOBALS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ["range", new Callable("range", range)],
  ["dict", new Callable("dict", entriesOf)],
  ["namespace", new Callable("namespace", namespace)],
]);

/** A function of the program's that takes a text. */
export function ofText(name: string, work: (argument: string) => string): Callable {
  return new Callable(name, (args, named) => work(text(take(name, args, named, { text: REQUIRED })[0]!)));
}

/** A value of the program's, as JSON would have it. */
export function fromProgram(value: unknown, budget: Budget): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isSafeInteger(value) ? value + 0 : new Float(value);
  if (Array.isArray(value)) return budget.deeper(() => value.map((entry) => fromProgram(entry, budget)));
  if (typeof value !== "object") throw new Error(`a ${typeof value} is no value for a template`);
  return budget.deeper(
    () => new Map(Object.entries(value).map(([key, entry]) => [key, fromProgram(entry, budget)])),
  );
}
