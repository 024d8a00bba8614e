// The tests that `is` asks for, and `select` and its like.

import { REQUIRED, take } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { operate } from "./operations.ts";
import { isLower, isUpper } from "./text-methods.ts";
import {
  Callable,
  compare,
  contains,
  equals,
  Float,
  isIterable,
  type NamedValues,
  numeric,
  sequence,
  Undefined,
  type Value,
} from "./values.ts";
import { write } from "./written.ts";

export type Test = (value: Value, args: readonly Value[], named: NamedValues, budget: Budget) => boolean;

/** A test of the value alone. */
const alone =
  (test: (value: Value, budget: Budget) => boolean): Test =>
  (value, args, named, budget) => {
    take("test", args, named, {});
    return test(value, budget);
  };

/** A test of the value and another one. */
const against =
  (test: (value: Value, other: Value, budget: Budget) => boolean): Test =>
  (value, args, named, budget) =>
    test(value, take("test", args, named, { other: REQUIRED })[0]!, budget);

const remainder = (value: Value, by: Value, budget: Budget) => numeric(operate("%", value, by, budget));

const BY_NAME: Record<string, Test> = {
  odd: alone((value, budget) => remainder(value, 2, budget) === 1),
  even: alone((value, budget) => remainder(value, 2, budget) === 0),
  divisibleby: against((value, by, budget) => remainder(value, by, budget) === 0),
  defined: alone((value) => !(value instanceof Undefined)),
  undefined: alone((value) => value instanceof Undefined),
  none: alone((value) => value === null),
  boolean: alone((value) => typeof value === "boolean"),
  true: alone((value) => value === true),
  false: alone((value) => value === false),
  integer: alone((value) => typeof value === "number"),
  float: alone((value) => value instanceof Float),
  number: alone((value) => numeric(value) !== undefined),
  string: alone((value) => typeof value === "string"),
  mapping: alone((value) => value instanceof Map),
  sequence: alone(
    (value) => value instanceof Map || value instanceof Undefined || sequence(value) !== undefined,
  ),
  iterable: alone((value) => isIterable(value)),
  callable: alone((value) => value instanceof Callable || value instanceof Undefined),
  lower: alone((value, budget) => isLower(write(value, budget))),
  upper: alone((value, budget) => isUpper(write(value, budget))),
  escaped: alone(() => false),
  sameas: against((value, other) => value === other),
  in: against((value, container, budget) => contains(container, value, budget)),
  eq: against(equals),
  ne: against((value, other, budget) => !equals(value, other, budget)),
  lt: against((value, other, budget) => compare(value, other, budget, "<") < 0),
  le: against((value, other, budget) => compare(value, other, budget, "<=") <= 0),
  gt: against((value, other, budget) => compare(value, other, budget, ">") > 0),
  ge: against((value, other, budget) => compare(value, other, budget, ">=") >= 0),
};

const ALIASES: Record<string, string> = {
  "==": "eq",
  equalto: "eq",
  "!=": "ne",
  "<": "lt",
  lessthan: "lt",
  "<=": "le",
  ">": "gt",
  greaterthan: "gt",
  ">=": "ge",
};

const TESTS = new Map<string, Test>([
  ...Object.entries(BY_NAME),
  ...Object.entries(ALIASES).map(([name, of]): [string, Test] => [name, BY_NAME[of]!]),
]);

/** @throws Error if there is no such test */
export function testOf(name: string): Test {
  const test = TESTS.get(name);
  if (test === undefined) throw new Error(`no test named '${name}'`);
  return test;
}
