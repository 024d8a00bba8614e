// The grammar of statements.

import { ExpressionParser } from "./expressions.ts";
import { tokenize } from "./lexer.ts";
import type { Body, Expression, Parameter, Statement, Target } from "./nodes.ts";
import { TokenStream } from "./token-stream.ts";

/** Statements that jinja2 has and a chat template has no use for: there are no other templates. */
const UNSUPPORTED = new Set(["include", "import", "from", "extends", "autoescape"]);

class Parser extends ExpressionParser {
  /** Loops around this place, within the body that is read. */
  #loops = 0;

  /** Statements up to a block that begins with one of these names, which stays; up to the end if there are none. */
  statements(...ends: string[]): Statement[] {
    const statements: Statement[] = [];
    while (!(this.tokens.is("end") && ends.length === 0)) {
      if (this.tokens.is("data")) statements.push({ type: "text", text: this.tokens.next().value });
      else if (this.tokens.skip("print")) {
        statements.push({ type: "print", value: this.tuple() });
        this.tokens.expect("endPrint");
      } else {
        if (this.tokens.is("end")) this.tokens.fail(`expected {% ${ends.join(" or ")} %}`);
        this.tokens.expect("block");
        if (this.tokens.is("name") && ends.includes(this.tokens.current.value)) return statements;
        statements.push(this.tokens.nested(() => this.#statement()));
        this.tokens.expect("endBlock");
      }
    }
    return statements;
  }

  /** The rest of a block's tag, what it holds, and the name that ends it. */
  #body(...ends: string[]): Statement[] {
    this.tokens.expect("endBlock");
    return this.statements(...ends);
  }

  #lastBody(end: string): Statement[] {
    const body = this.#body(end);
    this.tokens.next();
    return body;
  }

  #statement(): Statement {
    const name = this.tokens.expect("name").value;
    if (UNSUPPORTED.has(name)) throw new SyntaxError(`{% ${name} %} is not supported`);
    switch (name) {
      case "for":
        return this.#for();
      case "if":
        return this.#if();
      case "set":
        return this.#set();
      case "macro":
        return this.#macro();
      case "call":
        return this.#call();
      case "filter": {
        const filter = this.filter(undefined, true);
        return { type: "filterBlock", filter, body: this.#lastBody("endfilter") };
      }
      case "with":
        return this.#with();
      case "print":
        return { type: "print", value: this.tuple() };
      case "generation":
        return { type: "scope", body: this.#apart(() => this.#lastBody("endgeneration")) };
      case "block": {
        this.tokens.expect("name");
        const body = this.#apart(() => this.#lastBody("endblock"));
        this.tokens.skip("name");
        return { type: "scope", body };
      }
      case "break":
      case "continue":
        if (this.#loops === 0) throw new SyntaxError(`{% ${name} %} outside of a loop`);
        return { type: name };
      default:
        throw new SyntaxError(`unknown tag '${name}'`);
    }
  }

  /** A body that no loop around it can be left from. */
  #apart<T>(read: () => T): T {
    const loops = this.#loops;
    this.#loops = 0;
    const value = read();
    this.#loops = loops;
    return value;
  }

  #target(withMembers: boolean): Target {
    const targets: Target[] = [];
    let isTuple = false;
    do {
      if (
        this.tokens.is("endBlock") ||
        this.tokens.is("name", "in") ||
        this.tokens.isOperator("=") ||
        this.tokens.isOperator(")")
      )
        break;
      targets.push(this.#oneTarget(withMembers));
      if (this.tokens.isOperator(",")) isTuple = true;
    } while (this.tokens.skipOperator(","));
    if (isTuple) return { type: "targets", targets };
    return targets[0] ?? this.tokens.fail("expected a name");
  }

  #oneTarget(withMembers: boolean): Target {
    if (this.tokens.skipOperator("(")) {
      const target = this.tokens.nested(() => this.#target(withMembers));
      this.tokens.expect("operator", ")");
      return target;
    }
    const name = this.tokens.expect("name").value;
    if (/^(?:true|false|none)$/i.test(name)) throw new SyntaxError(`cannot assign to '${name}'`);
    if (!withMembers || !this.tokens.skipOperator(".")) return { type: "name", name };
    return { type: "member", namespace: name, name: this.tokens.expect("name").value };
  }

  #for(): Statement {
    const target = this.#target(false);
    this.tokens.expect("name", "in");
    const iterable = this.tuple(false, () => this.tokens.is("name", "recursive"));
    const condition = this.tokens.skip("name", "if") ? this.expression() : undefined;
    const recursive = this.tokens.skip("name", "recursive");
    this.#loops++;
    const body = this.#body("else", "endfor");
    this.#loops--;
    const otherwise = this.tokens.next().value === "else" ? this.#lastBody("endfor") : [];
    return { type: "for", target, iterable, condition, recursive, body, otherwise };
  }

  #if(): Statement {
    const branches: [Expression, Statement[]][] = [];
    for (;;) {
      const condition = this.tuple(false);
      branches.push([condition, this.#body("elif", "else", "endif")]);
      const { value } = this.tokens.next();
      if (value === "elif") continue;
      return { type: "if", branches, otherwise: value === "else" ? this.#lastBody("endif") : [] };
    }
  }

  #set(): Statement {
    const target = this.#target(true);
    if (this.tokens.skipOperator("=")) return { type: "set", target, value: this.tuple() };
    const filter = this.tokens.isOperator("|") ? this.filter(undefined) : undefined;
    return { type: "setBlock", target, filter, body: this.#lastBody("endset") };
  }

  #with(): Statement {
    const values: [Target, Expression][] = [];
    while (!this.tokens.is("endBlock")) {
      if (values.length > 0) this.tokens.expect("operator", ",");
      const target = this.#target(false);
      this.tokens.expect("operator", "=");
      values.push([target, this.expression()]);
    }
    return { type: "with", values, body: this.#lastBody("endwith") };
  }

  #macro(): Statement {
    const name = this.tokens.expect("name").value;
    return { type: "macro", name, body: this.#callable(this.#parameters(), "endmacro") };
  }

  #call(): Statement {
    const parameters = this.tokens.isOperator("(") ? this.#parameters() : [];
    const call = this.expression();
    if (call.type !== "call") throw new SyntaxError("{% call %} needs a call");
    return { type: "callBlock", call, body: this.#callable(parameters, "endcall") };
  }

  #parameters(): Parameter[] {
    this.tokens.expect("operator", "(");
    const parameters: Parameter[] = [];
    while (!this.tokens.isOperator(")")) {
      if (parameters.length > 0) this.tokens.expect("operator", ",");
      const name = this.tokens.expect("name").value;
      const byDefault = this.tokens.skipOperator("=") ? this.expression() : undefined;
      if (byDefault === undefined && parameters.at(-1)?.byDefault !== undefined)
        throw new SyntaxError(`parameter '${name}' needs a default, too`);
      parameters.push({ name, byDefault });
    }
    this.tokens.next();
    return parameters;
  }

  #callable(parameters: Parameter[], end: string): Body {
    const statements = this.#apart(() => this.#lastBody(end));
    const names = namesIn(statements);
    for (const { name } of parameters) names.delete(name);
    const reads = {
      caller: names.has("caller"),
      kwargs: names.has("kwargs"),
      varargs: names.has("varargs"),
    };
    return { parameters, statements, reads };
  }
}

/** Every variable that is named in some nodes. */
function namesIn(nodes: unknown): Set<string> {
  const names = new Set<string>();
  const left = [nodes];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    if (typeof node !== "object" || node === null) continue;
    const { type, name } = node as { type?: unknown; name?: unknown };
    if (type === "name" && typeof name === "string") names.add(name);
    left.push(...Object.values(node).filter((value) => typeof value === "object"));
  }
  return names;
}

/** @throws SyntaxError */
export function parse(template: string): Statement[] {
  return new Parser(new TokenStream(tokenize(template))).statements();
}
