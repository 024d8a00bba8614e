import { EdgeformerError } from "../errors.ts";

/** Units that compiling one constraint may take: some 50 ms. */
export const MAX_WORK = 50_000;

/** Units that are left for several constraints together. */
export interface WorkLeft {
  units: number;
}

/**
 * Counts work in units of about a microsecond: whether a constraint is taken does not depend on the machine.
 *
 * @param most units after which `spend` throws
 */
export class Budget {
  #most: number;
  readonly param: string;
  #spent = 0;
  /** Says what is at work, for the message. */
  place = (): string => "";

  constructor(most: number, param: string) {
    this.#most = most;
    this.param = param;
  }

  /** Lets everything pass from now on. */
  release(): void {
    this.#most = Infinity;
  }

  get spent(): number {
    return this.#spent;
  }

  spend(units = 1): void {
    this.#spent += units;
    if (this.#spent > this.#most) this.refuse();
  }

  refuse(): never {
    throw new EdgeformerError(
      "invalid_option",
      `${this.param}${this.place()} takes too much work to compile; make it smaller or simpler`,
      { param: this.param },
    );
  }
}
