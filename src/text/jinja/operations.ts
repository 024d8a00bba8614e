// Arithmetic as Python has it: what kind of number comes of two, and what else can be added or multiplied.

import type { Budget } from "./budget.ts";
import { formatPercent } from "./format.ts";
import type { Operator } from "./nodes.ts";
import { Float, integer, numeric, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** The remainder has the divisor's sign. */
const modulo = (x: number, y: number) => (y === 0 ? zero() : x - y * Math.floor(x / y));

function zero(): never {
  throw new Error("division by zero");
}

function arithmetic(operator: Operator, x: number, y: number): number {
  switch (operator) {
    case "+":
      return x + y;
    case "-":
      return x - y;
    case "*":
      return x * y;
    case "/":
      return y === 0 ? zero() : x / y;
    case "//":
      return y === 0 ? zero() : Math.floor(x / y);
    case "%":
      return modulo(x, y);
    default:
      if (x === 0 && y < 0) zero();
      return x ** y;
  }
}

function repeated(value: Value, count: Value, budget: Budget): Value | undefined {
  const times =
    typeof count === "number" || typeof count === "boolean" ? Math.max(0, Number(count)) : undefined;
  if (times === undefined) return undefined;
  // Nothing, a thousand million times, is work, too.
  const size = (length: number) => budget.size(Math.max(1, length) * times);
  if (typeof value === "string") {
    size(value.length);
    return value.repeat(times);
  }
  const entries = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (entries === undefined) return undefined;
  size(entries.length);
  const all = Array.from({ length: times }, () => entries).flat();
  return Array.isArray(value) ? all : new Tuple(all);
}

export function operate(operator: Operator, left: Value, right: Value, budget: Budget): Value {
  if (operator === "%" && typeof left === "string") return formatPercent(left, right, budget);
  for (const value of [left, right]) if (value instanceof Undefined) value.fail();
  const [x, y] = [numeric(left), numeric(right)];
  if (x !== undefined && y !== undefined) {
    const result = arithmetic(operator, x, y);
    const isFloat =
      left instanceof Float || right instanceof Float || operator === "/" || (operator === "**" && y < 0);
    if (!isFloat) return integer(result);
    if (Number.isNaN(result) && operator === "**")
      throw new Error("a power of a negative number is not real");
    return new Float(result);
  }
  if (operator === "+") {
    if (typeof left === "string" && typeof right === "string") {
      budget.size(left.length + right.length);
      return left + right;
    }
    if (Array.isArray(left) && Array.isArray(right)) {
      budget.size(left.length + right.length);
      return [...left, ...right];
    }
    if (left instanceof Tuple && right instanceof Tuple) {
      budget.size(left.items.length + right.items.length);
      return new Tuple([...left.items, ...right.items]);
    }
  }
  if (operator === "*") {
    const result = repeated(left, right, budget) ?? repeated(right, left, budget);
    if (result !== undefined) return result;
  }
  throw new Error(`unsupported operand types for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

export function negate(operand: Value, isNegative: boolean): Value {
  if (operand instanceof Undefined) operand.fail();
  const number = numeric(operand);
  if (number === undefined) throw new Error(`bad operand type for a sign: '${typeName(operand)}'`);
  const result = isNegative ? -number : number;
  return operand instanceof Float ? new Float(result) : integer(result);
}
