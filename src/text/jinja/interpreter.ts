// Runs a template within a budget. It sees the values that it is given and nothing of JavaScript.

import { attribute, item, slice } from "./access.ts";
import type { Budget } from "./budget.ts";
import { filterOf } from "./filters.ts";
import { Loop } from "./loop.ts";
import type { Arguments, Body, Comparison, Expression, Statement, Target } from "./nodes.ts";
import { negate, operate } from "./operations.ts";
import { Output, Scope } from "./scope.ts";
import { testOf } from "./tests.ts";
import {
  Callable,
  compare,
  contains,
  type Dictionary,
  equals,
  Float,
  isTrue,
  iterate,
  Lazy,
  Namespace,
  sizeOf,
  Tuple,
  toKey,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";
import { write } from "./written.ts";

/** How statements ended before their end. */
type Exit = "break" | "continue" | undefined;

export class Interpreter {
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** The text of a template. */
  render(statements: readonly Statement[], scope: Scope): string {
    const output = new Output(this.#budget);
    this.#run(statements, scope, output);
    return output.text;
  }

  #run(statements: readonly Statement[], scope: Scope, output: Output): Exit {
    for (const statement of statements) {
      this.#budget.step();
      const exit = this.#statement(statement, scope, output);
      if (exit !== undefined) return exit;
    }
    return undefined;
  }

  #statement(statement: Statement, scope: Scope, output: Output): Exit {
    switch (statement.type) {
      case "text":
        output.add(statement.text);
        return undefined;
      case "print":
        output.add(write(this.#value(statement.value, scope), this.#budget));
        return undefined;
      case "if": {
        const branch = statement.branches.find(([condition]) => isTrue(this.#value(condition, scope)));
        return this.#run(branch?.[1] ?? statement.otherwise, scope, output);
      }
      case "for":
        return this.#for(statement, scope, output, statement.iterable, 0);
      case "set":
        this.#assign(statement.target, this.#value(statement.value, scope), scope);
        return undefined;
      case "setBlock":
      case "filterBlock": {
        const inner = new Output(this.#budget);
        const exit = this.#run(statement.body, new Scope(scope), inner);
        if (exit !== undefined) return exit;
        const text = statement.filter ? this.#value(statement.filter, scope, inner.text) : inner.text;
        if (statement.type === "setBlock") this.#assign(statement.target, text, scope);
        else output.add(write(text, this.#budget));
        return undefined;
      }
      case "with": {
        const inner = new Scope(scope);
        for (const [target, value] of statement.values)
          this.#assign(target, this.#value(value, scope), inner);
        return this.#run(statement.body, inner, output);
      }
      case "scope":
        return this.#run(statement.body, new Scope(scope), output);
      case "macro":
        scope.set(statement.name, this.#callable(statement.name, statement.body, scope));
        return undefined;
      case "callBlock": {
        const caller = this.#callable("caller", statement.body, scope);
        output.add(write(this.#call(statement.call, scope, caller), this.#budget));
        return undefined;
      }
      default:
        return statement.type;
    }
  }

  #for(
    statement: Statement & { type: "for" },
    scope: Scope,
    output: Output,
    iterable: Expression | Value,
    depth: number,
  ): Exit {
    const isExpression = iterable === statement.iterable;
    const whole = isExpression ? this.#value(iterable as Expression, scope) : (iterable as Value);
    const { condition, target, body, otherwise } = statement;
    const isCounted = condition === undefined && !(whole instanceof Lazy);
    const entries =
      condition === undefined ? iterate(whole) : this.#selected(whole, target, condition, scope);
    const loop = new Loop(entries, isCounted ? whole : undefined, depth, this.#budget);
    let isEmpty = true;
    for (let entry = loop.next(); entry !== undefined; entry = loop.next()) {
      const turn = new Scope(scope);
      turn.set("loop", loop);
      if (statement.recursive) loop.onCall = (inner) => this.#again(statement, scope, inner, depth + 1);
      this.#assign(target, entry, turn);
      const exit = this.#run(body, turn, output);
      if (exit === "break") break;
      // As in jinja2, a turn that is broken off does not count.
      if (exit === undefined) isEmpty = false;
    }
    return isEmpty ? this.#run(otherwise, new Scope(scope), output) : undefined;
  }

  /** A recursive loop, called for what is further in. */
  #again(statement: Statement & { type: "for" }, scope: Scope, iterable: Value, depth: number): string {
    const output = new Output(this.#budget);
    this.#budget.deeper(() => this.#for(statement, scope, output, iterable, depth));
    return output.text;
  }

  *#selected(whole: Value, target: Target, condition: Expression, scope: Scope): Generator<Value> {
    for (const entry of iterate(whole)) {
      const inner = new Scope(scope);
      this.#assign(target, entry, inner);
      this.#budget.step();
      if (isTrue(this.#value(condition, inner))) yield entry;
    }
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.type === "name") {
      scope.set(target.name, value);
      return;
    }
    if (target.type === "member") {
      const namespace = scope.get(target.namespace);
      if (!(namespace instanceof Namespace))
        throw new Error("cannot assign attribute on non-namespace object");
      namespace.attributes.set(target.name, value);
      return;
    }
    const values = [...iterate(value)];
    if (values.length !== target.targets.length)
      throw new Error(`${values.length} values cannot be unpacked to ${target.targets.length}`);
    for (const [at, each] of target.targets.entries()) this.#assign(each, values[at]!, scope);
  }

  /** A macro, or what a `call` block hands to one as `caller`. */
  #callable(name: string, { parameters, statements, reads }: Body, scope: Scope): Callable {
    return new Callable(name, (args, given) => {
      const inner = new Scope(scope);
      const named = new Map(given);
      const byDefault: [string, Expression][] = [];
      for (const [at, parameter] of parameters.entries()) {
        let value: Value | undefined = args[at];
        if (value === undefined) {
          value = named.get(parameter.name);
          named.delete(parameter.name);
        }
        if (value === undefined && parameter.byDefault) byDefault.push([parameter.name, parameter.byDefault]);
        inner.set(
          parameter.name,
          value === undefined ? new Undefined(`parameter '${parameter.name}' is undefined`) : value,
        );
      }
      if (reads.caller)
        inner.set("caller", named.get("caller") ?? new Undefined("no caller: it is undefined"));
      if (reads.caller) named.delete("caller");
      if (reads.kwargs) inner.set("kwargs", new Map(named));
      else if (named.size > 0)
        throw new Error(`macro '${name}' takes no keyword argument '${[...named.keys()][0]}'`);
      if (reads.varargs) inner.set("varargs", new Tuple(args.slice(parameters.length)));
      else if (args.length > parameters.length)
        throw new Error(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
      return this.#budget.deeper(() => {
        for (const [parameter, value] of byDefault) inner.set(parameter, this.#value(value, inner));
        return this.render(statements, inner);
      });
    });
  }

  /** @param piped what a filter without an operand is given */
  #value(node: Expression, scope: Scope, piped?: Value): Value {
    const value = this.#evaluate(node, scope, piped);
    this.#budget.step();
    this.#budget.size(sizeOf(value));
    return value;
  }

  #evaluate(node: Expression, scope: Scope, piped?: Value): Value {
    const budget = this.#budget;
    const value = (expression: Expression) => this.#value(expression, scope, piped);
    switch (node.type) {
      case "constant":
        return node.value;
      case "float":
        return new Float(node.value);
      case "name":
        return scope.get(node.name);
      case "list":
        return node.items.map(value);
      case "tuple":
        return new Tuple(node.items.map(value));
      case "dictionary":
        return new Map(node.entries.map(([key, entry]) => [toKey(value(key)), value(entry)]));
      case "operation":
        return operate(node.operator, value(node.left), value(node.right), budget);
      case "sign":
        return negate(value(node.operand), node.negative);
      case "concatenation": {
        const parts = node.parts.map((part) => write(value(part), budget));
        budget.size(parts.reduce((sum, part) => sum + part.length, 0));
        return parts.join("");
      }
      case "comparison":
        return this.#comparison(node, scope);
      case "and": {
        const left = value(node.left);
        return isTrue(left) ? value(node.right) : left;
      }
      case "or": {
        const left = value(node.left);
        return isTrue(left) ? left : value(node.right);
      }
      case "not":
        return !isTrue(value(node.operand));
      case "choice":
        if (isTrue(value(node.condition))) return value(node.positive);
        return node.otherwise
          ? value(node.otherwise)
          : new Undefined("the condition was false: it is undefined");
      case "attribute":
        return attribute(value(node.object), node.name, budget);
      case "item":
        return item(value(node.object), value(node.key), budget);
      case "slice": {
        const bound = (expression: Expression | undefined) => (expression ? value(expression) : null);
        return slice(value(node.object), bound(node.start), bound(node.stop), bound(node.step));
      }
      case "call":
        return this.#call(node, scope);
      case "filter": {
        const work = filterOf(node.name);
        const operand = node.operand ? value(node.operand) : piped!;
        const { args, named } = this.#arguments(node.args, scope);
        return work(operand, args, named, budget);
      }
      default: {
        const test = testOf(node.name);
        const operand = value(node.operand);
        const { args, named } = this.#arguments(node.args, scope);
        return test(operand, args, named, budget);
      }
    }
  }

  #comparison({ first, rest }: Expression & { type: "comparison" }, scope: Scope): boolean {
    let left = this.#value(first, scope);
    for (const [operator, node] of rest) {
      const right = this.#value(node, scope);
      if (!this.#holds(operator, left, right)) return false;
      left = right;
    }
    return true;
  }

  #holds(operator: Comparison, left: Value, right: Value): boolean {
    const budget = this.#budget;
    switch (operator) {
      case "==":
        return equals(left, right, budget);
      case "!=":
        return !equals(left, right, budget);
      case "in":
        return contains(right, left, budget);
      case "not in":
        return !contains(right, left, budget);
      case "<":
        return compare(left, right, budget, operator) < 0;
      case "<=":
        return compare(left, right, budget, operator) <= 0;
      case ">":
        return compare(left, right, budget, operator) > 0;
      default:
        return compare(left, right, budget, operator) >= 0;
    }
  }

  #arguments(given: Arguments, scope: Scope): { args: Value[]; named: Map<string, Value> } {
    const args = given.positional.map((node) => this.#value(node, scope));
    if (given.spread) args.push(...iterate(this.#value(given.spread, scope)));
    const named = new Map<string, Value>();
    const add = (name: string, value: Value) => {
      if (named.has(name)) throw new Error(`got multiple values for keyword argument '${name}'`);
      named.set(name, value);
    };
    for (const [name, node] of given.named) add(name, this.#value(node, scope));
    if (given.namedSpread) {
      const values = this.#value(given.namedSpread, scope);
      if (!(values instanceof Map))
        throw new Error(`argument after ** must be a mapping, not ${typeName(values)}`);
      for (const [name, value] of values as Dictionary) add(String(name), value);
    }
    return { args, named };
  }

  #call({ callee, args: given }: Expression & { type: "call" }, scope: Scope, caller?: Callable): Value {
    const called = this.#value(callee, scope);
    const { args, named } = this.#arguments(given, scope);
    if (caller) named.set("caller", caller);
    if (called instanceof Callable) return called.call(args, named);
    if (called instanceof Loop && called.onCall) return called.onCall(args[0] ?? null);
    if (called instanceof Undefined) throw new Error(`${called.reason}, and no function`);
    throw new Error(`'${typeName(called)}' object is not callable: it is no function`);
  }
}
