// The package's own declarations cannot be used: they import each other without an extension, which TypeScript does
// not resolve in a project of modules.
declare module "@huggingface/jinja" {
  /** A value of a running template; `value` is a string, number, boolean, array, Map, function, null or undefined. */
  interface RuntimeValue {
    type: string;
    value: unknown;
  }
  /** A node of a program. Which of the fields it has depends on its type; `value` of a literal is its value. */
  interface Statement {
    readonly type: string;
    /** Of a `For`. */
    readonly iterable?: Statement;
    /** Of the `SelectExpression` that a loop with a condition goes over. */
    readonly lhs?: Statement;
    /** Of a `FilterExpression`; its filter is an `Identifier` or a `CallExpression`. */
    readonly operand?: Statement;
    readonly filter?: Statement;
    /** Of a `CallExpression`. */
    readonly callee?: Statement;
    readonly args?: readonly Statement[];
    /** Of a `MemberExpression`. */
    readonly object?: Statement;
    readonly property?: Statement;
    /** Of a `BinaryExpression`. */
    readonly left?: Statement;
    readonly right?: Statement;
    readonly value?: unknown;
  }
  export class Template {
    /** Throws if the text is not a template. */
    constructor(template: string);
    parsed: Statement;
    render(values: Record<string, unknown>): string;
  }
  export class Environment {
    set(name: string, value: unknown): RuntimeValue;
  }
  export class Interpreter {
    constructor(environment: Environment);
    run(program: Statement): RuntimeValue;
    /** Every node of a program goes through here, its value out of here. */
    evaluate(node: Statement | undefined, environment: Environment): RuntimeValue;
  }
}
