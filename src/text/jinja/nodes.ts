// What a template is made of, once it has been read.

export type Operator = "+" | "-" | "*" | "/" | "//" | "%" | "**";
export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

export interface Arguments {
  positional: Expression[];
  named: [name: string, value: Expression][];
  /** `*list` and `**dictionary`. */
  spread?: Expression | undefined;
  namedSpread?: Expression | undefined;
}

export type Expression =
  | { type: "constant"; value: null | boolean | number | string }
  | { type: "float"; value: number }
  | { type: "name"; name: string }
  | { type: "list"; items: Expression[] }
  | { type: "tuple"; items: Expression[] }
  | { type: "dictionary"; entries: [Expression, Expression][] }
  | { type: "operation"; operator: Operator; left: Expression; right: Expression }
  | { type: "sign"; negative: boolean; operand: Expression }
  | { type: "concatenation"; parts: Expression[] }
  | { type: "comparison"; first: Expression; rest: [Comparison, Expression][] }
  | { type: "and" | "or"; left: Expression; right: Expression }
  | { type: "not"; operand: Expression }
  | { type: "choice"; condition: Expression; positive: Expression; otherwise: Expression | undefined }
  | { type: "attribute"; object: Expression; name: string }
  | { type: "item"; object: Expression; key: Expression }
  | {
      type: "slice";
      object: Expression;
      start: Expression | undefined;
      stop: Expression | undefined;
      step: Expression | undefined;
    }
  | { type: "call"; callee: Expression; args: Arguments }
  /** The filter of a block has no operand: its text is. */
  | { type: "filter"; operand: Expression | undefined; name: string; args: Arguments }
  | { type: "test"; operand: Expression; name: string; args: Arguments };

/** What a loop or a `set` assigns to. */
export type Target =
  | { type: "name"; name: string }
  | { type: "member"; namespace: string; name: string }
  | { type: "targets"; targets: Target[] };

export interface Parameter {
  name: string;
  byDefault: Expression | undefined;
}

/** A body that is called: of a macro, or of a `call` block. */
export interface Body {
  parameters: Parameter[];
  statements: Statement[];
  /** Which of the special names it reads: a macro that does not read `kwargs` takes no others than its own. */
  reads: { caller: boolean; kwargs: boolean; varargs: boolean };
}

export type Statement =
  | { type: "text"; text: string }
  | { type: "print"; value: Expression }
  | {
      type: "for";
      target: Target;
      iterable: Expression;
      condition: Expression | undefined;
      recursive: boolean;
      body: Statement[];
      otherwise: Statement[];
    }
  | { type: "if"; branches: [condition: Expression, body: Statement[]][]; otherwise: Statement[] }
  | { type: "set"; target: Target; value: Expression }
  | { type: "setBlock"; target: Target; filter: Expression | undefined; body: Statement[] }
  | { type: "filterBlock"; filter: Expression; body: Statement[] }
  | { type: "with"; values: [Target, Expression][]; body: Statement[] }
  | { type: "macro"; name: string; body: Body }
  | { type: "callBlock"; call: Expression & { type: "call" }; body: Body }
  | { type: "scope"; body: Statement[] }
  | { type: "break" | "continue" };
