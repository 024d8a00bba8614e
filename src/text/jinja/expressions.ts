// The grammar of expressions, with jinja2's own precedences: `~` binds more tightly than `+`, `**` goes from left to
// right, and a filter or test belongs to what stands right before it.

import type { Arguments, Comparison, Expression, Operator } from "./nodes.ts";
import type { TokenStream } from "./token-stream.ts";

const CONSTANTS = new Map<string, null | boolean>([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);
const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);

export class ExpressionParser {
  protected readonly tokens: TokenStream;

  constructor(tokens: TokenStream) {
    this.tokens = tokens;
  }

  /** With or without `… if … else …` at the outermost level. */
  expression(withChoice = true): Expression {
    return this.tokens.nested(() => (withChoice ? this.#choice() : this.#or()));
  }

  /** One expression, or several with commas between them, up to what ends the tag or the brackets. */
  tuple(withChoice = true, isEnd: () => boolean = () => false): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) {
        if (!this.tokens.skipOperator(",")) break;
        isTuple = true;
      }
      if (this.tokens.is("endPrint") || this.tokens.is("endBlock") || this.tokens.isOperator(")") || isEnd())
        break;
      items.push(this.expression(withChoice));
    }
    if (isTuple) return { type: "tuple", items };
    return items[0] ?? this.tokens.fail("expected an expression");
  }

  #choice(): Expression {
    let value = this.#or();
    while (this.tokens.skip("name", "if")) {
      const condition = this.#or();
      const otherwise = this.tokens.skip("name", "else") ? this.expression() : undefined;
      value = { type: "choice", condition, positive: value, otherwise };
    }
    return value;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.tokens.skip("name", "or")) left = { type: "or", left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.tokens.skip("name", "and")) left = { type: "and", left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (!this.tokens.skip("name", "not")) return this.#comparison();
    return this.tokens.nested(() => ({ type: "not", operand: this.#not() }));
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: [Comparison, Expression][] = [];
    for (;;) {
      const { type, value } = this.tokens.current;
      if (type === "operator" && COMPARISONS.has(value)) {
        this.tokens.next();
        rest.push([value as Comparison, this.#sum()]);
      } else if (this.tokens.skip("name", "in")) rest.push(["in", this.#sum()]);
      else if (this.tokens.is("name", "not") && this.tokens.following.value === "in") {
        this.tokens.next();
        this.tokens.next();
        rest.push(["not in", this.#sum()]);
      } else return rest.length === 0 ? first : { type: "comparison", first, rest };
    }
  }

  #chain(operators: string, operand: () => Expression): Expression {
    let left = operand();
    while (this.tokens.is("operator") && operators.split(" ").includes(this.tokens.current.value)) {
      const operator = this.tokens.next().value as Operator;
      left = { type: "operation", operator, left, right: operand() };
    }
    return left;
  }

  #sum(): Expression {
    return this.#chain("+ -", () => this.#concatenation());
  }

  #concatenation(): Expression {
    const parts = [this.#product()];
    while (this.tokens.skipOperator("~")) parts.push(this.#product());
    return parts.length === 1 ? parts[0]! : { type: "concatenation", parts };
  }

  #product(): Expression {
    return this.#chain("* / // %", () => this.#power());
  }

  #power(): Expression {
    return this.#chain("**", () => this.#unary());
  }

  #unary(withFilters = true): Expression {
    return this.tokens.nested(() => {
      let value: Expression;
      if (this.tokens.isOperator("-") || this.tokens.isOperator("+"))
        value = { type: "sign", negative: this.tokens.next().value === "-", operand: this.#unary(false) };
      else value = this.#primary();
      value = this.#postfix(value);
      return withFilters ? this.#filtersAndTests(value) : value;
    });
  }

  #primary(): Expression {
    const { type, value } = this.tokens.next();
    if (type === "name") {
      const constant = CONSTANTS.get(value);
      return constant === undefined ? { type: "name", name: value } : { type: "constant", value: constant };
    }
    if (type === "string") {
      let text = value;
      while (this.tokens.is("string")) text += this.tokens.next().value;
      return { type: "constant", value: text };
    }
    if (type === "integer") return { type: "constant", value: Number(value) };
    if (type === "float") return { type: "float", value: Number(value) };
    if (type === "operator" && value === "(") {
      const items = this.tokens.isOperator(")") ? { type: "tuple" as const, items: [] } : this.tuple();
      this.tokens.expect("operator", ")");
      return items;
    }
    if (type === "operator" && value === "[")
      return { type: "list", items: this.#items("]", () => this.expression()) };
    if (type === "operator" && value === "{")
      return { type: "dictionary", entries: this.#items("}", () => this.#entry()) };
    throw new SyntaxError(`unexpected ${value === "" ? "end of an expression" : JSON.stringify(value)}`);
  }

  #entry(): [Expression, Expression] {
    const key = this.expression();
    this.tokens.expect("operator", ":");
    return [key, this.expression()];
  }

  /** What stands between brackets, with a comma after the last one or none. */
  #items<T>(closing: string, read: () => T): T[] {
    const items: T[] = [];
    while (!this.tokens.isOperator(closing)) {
      if (items.length > 0) this.tokens.expect("operator", ",");
      if (this.tokens.isOperator(closing)) break;
      items.push(read());
    }
    this.tokens.expect("operator", closing);
    return items;
  }

  #postfix(primary: Expression): Expression {
    let value = primary;
    for (;;) {
      if (this.tokens.skipOperator(".")) value = this.#member(value);
      else if (this.tokens.skipOperator("[")) value = this.#subscript(value);
      else if (this.tokens.isOperator("(")) value = { type: "call", callee: value, args: this.arguments() };
      else return value;
    }
  }

  #member(object: Expression): Expression {
    if (this.tokens.is("name")) return { type: "attribute", object, name: this.tokens.next().value };
    const key = this.tokens.expect("integer").value;
    return { type: "item", object, key: { type: "constant", value: Number(key) } };
  }

  #subscript(object: Expression): Expression {
    const isBound = () => !this.tokens.isOperator(":") && !this.tokens.isOperator("]");
    const bound = () => (isBound() ? this.expression() : undefined);
    const start = bound();
    if (!this.tokens.skipOperator(":")) {
      if (start === undefined) this.tokens.fail("expected a subscript");
      const items = [start];
      while (this.tokens.skipOperator(",")) items.push(this.expression());
      this.tokens.expect("operator", "]");
      return { type: "item", object, key: items.length === 1 ? start : { type: "tuple", items } };
    }
    const stop = bound();
    const step = this.tokens.skipOperator(":") ? bound() : undefined;
    this.tokens.expect("operator", "]");
    return { type: "slice", object, start, stop, step };
  }

  #filtersAndTests(operand: Expression): Expression {
    let value = operand;
    for (;;) {
      if (this.tokens.isOperator("|")) value = this.filter(value);
      else if (this.tokens.is("name", "is")) value = this.#test(value);
      else if (this.tokens.isOperator("(")) value = { type: "call", callee: value, args: this.arguments() };
      else return value;
    }
  }

  /** `| name(…)`, once or several times; the first `|` may be left out. */
  filter(operand: Expression | undefined, startsWithName = false): Expression {
    let value = operand;
    let isFirst = startsWithName;
    while (isFirst || this.tokens.skipOperator("|")) {
      isFirst = false;
      const name = this.#dotted();
      value = { type: "filter", operand: value, name, args: this.#argumentsIfAny() };
    }
    return value ?? this.tokens.fail("expected a filter");
  }

  #dotted(): string {
    let name = this.tokens.expect("name").value;
    while (this.tokens.skipOperator(".")) name += `.${this.tokens.expect("name").value}`;
    return name;
  }

  #argumentsIfAny(): Arguments {
    return this.tokens.isOperator("(") ? this.arguments() : { positional: [], named: [] };
  }

  #test(operand: Expression): Expression {
    this.tokens.next();
    const isNegated = this.tokens.skip("name", "not");
    const name = this.#dotted();
    let args = this.#argumentsIfAny();
    // One argument may stand without brackets.
    const { type, value } = this.tokens.current;
    const begins =
      ["string", "integer", "float"].includes(type) ||
      (type === "operator" && "([{".includes(value)) ||
      (type === "name" && !["else", "or", "and"].includes(value));
    if (args.positional.length + args.named.length === 0 && begins) {
      if (this.tokens.is("name", "is")) this.tokens.fail("tests cannot be chained with is");
      args = { positional: [this.#postfix(this.#primary())], named: [] };
    }
    const test: Expression = { type: "test", operand, name, args };
    return isNegated ? { type: "not", operand: test } : test;
  }

  /** What a call is given, in its brackets. */
  arguments(): Arguments {
    this.tokens.expect("operator", "(");
    const args: Arguments = { positional: [], named: [] };
    this.#items(")", () => {
      if (args.namedSpread !== undefined) this.tokens.fail("nothing goes after **");
      if (this.tokens.skipOperator("**")) args.namedSpread = this.expression();
      else if (this.tokens.isOperator("*") && args.spread === undefined) {
        this.tokens.next();
        args.spread = this.expression();
      } else if (
        this.tokens.is("name") &&
        this.tokens.following.value === "=" &&
        this.tokens.following.type === "operator"
      ) {
        const name = this.tokens.next().value;
        this.tokens.next();
        args.named.push([name, this.expression()]);
      } else if (args.named.length > 0 || args.spread !== undefined) {
        this.tokens.fail("arguments without a name come first");
      } else args.positional.push(this.expression());
    });
    return args;
  }
}
