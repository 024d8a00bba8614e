import type { Budget } from "./budget.ts";
import { Undefined, type Value } from "./values.ts";

/** Names and their values; what is not here is looked for further out. */
export class Scope {
  readonly #values = new Map<string, Value>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }

  get(name: string): Value {
    const value = this.#values.get(name);
    if (value !== undefined) return value;
    return this.#outer ? this.#outer.get(name) : new Undefined(`'${name}' is undefined`);
  }
}

/** Text as it is written. */
export class Output {
  text = "";
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  add(text: string): void {
    this.#budget.size(text.length);
    this.text += text;
  }
}
