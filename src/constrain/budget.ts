import { EdgeformerError } from "../errors.ts";

/**
 * Counts work in units of about a microsecond: whether a constraint is taken does not depend on the machine.
 *
 * @param most units after which `spend` throws
 */
export class Budget {
  readonly #most: number;
  readonly #param: string;
  #spent = 0;

  constructor(most: number, param: string) {
    this.#most = most;
    this.#param = param;
  }

  spend(units = 1): void {
    this.#spent += units;
    if (this.#spent > this.#most)
      throw new EdgeformerError(
        "invalid_option",
        `${this.#param} takes too much work to compile; make it smaller or simpler`,
        { param: this.#param },
      );
  }
}
