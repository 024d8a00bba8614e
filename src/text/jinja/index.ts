// Jinja as transformers calls it: jinja2's sandbox with `trim_blocks`, `lstrip_blocks`, loop controls and `generation`
// blocks, and JSON that escapes no HTML. Values behave as Python's do, so that a template writes the same text.

import { Budget } from "./budget.ts";
import { fromProgram, GLOBALS } from "./globals.ts";
import { Interpreter } from "./interpreter.ts";
import type { Statement } from "./nodes.ts";
import { parse } from "./parser.ts";
import { Scope } from "./scope.ts";
import { Callable } from "./values.ts";

export { BudgetExceeded } from "./budget.ts";
export { ofText } from "./globals.ts";

/** A template that has been read. */
export class Jinja {
  readonly #statements: Statement[];

  /** @throws SyntaxError */
  constructor(template: string) {
    this.#statements = parse(template);
  }

  /**
   * Its text.
   *
   * @param values JSON, or functions (`ofText`); undefined ones are not there
   * @throws BudgetExceeded, or an Error where the template does what Python would not
   */
  render(values: Readonly<Record<string, unknown>>): string {
    const budget = new Budget();
    const scope = new Scope();
    for (const [name, value] of GLOBALS) scope.set(name, value);
    for (const [name, value] of Object.entries(values))
      if (value !== undefined)
        scope.set(name, value instanceof Callable ? value : fromProgram(value, budget));
    return new Interpreter(budget).render(this.#statements, new Scope(scope));
  }
}
