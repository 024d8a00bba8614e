// What a value must be, as a list of schemas that it must meet and of those that it must fail.

import type { Budget } from "../budget.ts";

/** One schema of the source: where it stands and what it says. */
export interface Schema {
  readonly id: number;
  readonly value: boolean | Readonly<Record<string, unknown>>;
  /** JSON pointer, for messages. */
  readonly pointer: string;
  /** What its references are relative to. */
  readonly base: string;
}

export class Goal {
  readonly meets: readonly Schema[];
  readonly fails: readonly Schema[];
  constructor(meets: readonly Schema[], fails: readonly Schema[]) {
    this.meets = meets;
    this.fails = fails;
  }
}

/** Anything will do. */
export const ANYTHING = new Goal([], []);
/** Nothing will. */
export const NEVER = new Goal([], []);

function merge(a: readonly Schema[], b: readonly Schema[]): readonly Schema[] {
  if (b.length === 0) return a;
  if (a.length === 0) return b;
  const all = new Map([...a, ...b].map((schema) => [schema.id, schema]));
  return [...all.values()].sort((x, y) => x.id - y.id);
}

/** Makes goals, each once. */
export class Goals {
  readonly #known = new Map<string, Goal>();
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Forgets them; goals that are made again are not the same ones. */
  clear(): void {
    this.#known.clear();
  }

  meeting(schema: Schema): Goal {
    if (schema.value === true) return ANYTHING;
    return schema.value === false ? NEVER : this.#share([schema], []);
  }

  failing(schema: Schema): Goal {
    if (schema.value === true) return NEVER;
    return schema.value === false ? ANYTHING : this.#share([], [schema]);
  }

  both(a: Goal, b: Goal): Goal {
    if (a === b || b === ANYTHING) return a;
    if (a === ANYTHING) return b;
    if (a === NEVER || b === NEVER) return NEVER;
    const [meets, fails] = [merge(a.meets, b.meets), merge(a.fails, b.fails)];
    this.#budget.spend(2 + ((meets.length + fails.length) >> 1));
    return meets.some((schema) => fails.includes(schema)) ? NEVER : this.#share(meets, fails);
  }

  #share(meets: readonly Schema[], fails: readonly Schema[]): Goal {
    const key = `${meets.map(({ id }) => id).join()}!${fails.map(({ id }) => id).join()}`;
    let found = this.#known.get(key);
    if (!found) this.#known.set(key, (found = new Goal(meets, fails)));
    return found;
  }
}
