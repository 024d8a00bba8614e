// What `loop` is within a loop. It looks one entry ahead, and only when it is asked to: a condition of the loop may read
// what its body changes.

import type { Budget } from "./budget.ts";
import { Callable, equals, lengthOf, Native, Tuple, Undefined, type Value } from "./values.ts";

/** A turn of a loop: it makes a scope. */
const TURN_COST = 16;

const orUndefined = (value: Value | undefined, reason: string): Value =>
  value === undefined ? new Undefined(reason) : value;

export class Loop extends Native {
  readonly #entries: Iterator<Value>;
  readonly #length: number | undefined;
  readonly #budget: Budget;
  readonly #depth: number;
  /** Entries that were looked at ahead of their turn. */
  readonly #ahead: Value[] = [];
  #index = -1;
  #previous: Value | undefined;
  #current: Value | undefined;
  #changed: Tuple | undefined;
  /** What a loop that is `recursive` does when it is called. */
  onCall: ((iterable: Value) => string) | undefined;

  /**
   * @param entries what it goes through
   * @param whole the same as one value, if its length is theirs
   */
  constructor(entries: Iterable<Value>, whole: Value | undefined, depth: number, budget: Budget) {
    super();
    this.#entries = entries[Symbol.iterator]();
    this.#length = whole === undefined ? undefined : lengthOf(whole);
    this.#depth = depth;
    this.#budget = budget;
  }

  #pull(): Value | undefined {
    this.#budget.step(TURN_COST);
    const { done, value } = this.#entries.next();
    return done === true ? undefined : value;
  }

  #peek(): Value | undefined {
    if (this.#ahead.length === 0) {
      const next = this.#pull();
      if (next !== undefined) this.#ahead.push(next);
    }
    return this.#ahead[0];
  }

  /** The next entry; undefined at the end. */
  next(): Value | undefined {
    const entry = this.#ahead.length > 0 ? this.#ahead.shift() : this.#pull();
    if (entry === undefined) return undefined;
    this.#index++;
    this.#previous = this.#current;
    this.#current = entry;
    return entry;
  }

  #size(): number {
    if (this.#length !== undefined) return this.#length;
    for (let entry = this.#pull(); entry !== undefined; entry = this.#pull()) this.#ahead.push(entry);
    return this.#index + 1 + this.#ahead.length;
  }

  attribute(name: string): Value | undefined {
    switch (name) {
      case "index":
        return this.#index + 1;
      case "index0":
        return this.#index;
      case "first":
        return this.#index === 0;
      case "last":
        return this.#peek() === undefined;
      case "length":
        return this.#size();
      case "revindex":
        return this.#size() - this.#index;
      case "revindex0":
        return this.#size() - this.#index - 1;
      case "previtem":
        return orUndefined(this.#previous, "there is no previous item");
      case "nextitem":
        return orUndefined(this.#peek(), "there is no next item");
      case "depth":
        return this.#depth + 1;
      case "depth0":
        return this.#depth;
      case "cycle":
        return new Callable(name, (args) => {
          if (args.length === 0) throw new Error("no items for cycling given");
          return args[this.#index % args.length]!;
        });
      case "changed":
        return new Callable(name, (args) => {
          const now = new Tuple(args);
          const isSame = this.#changed !== undefined && equals(this.#changed, now, this.#budget);
          this.#changed = now;
          return !isSame;
        });
      default:
        return undefined;
    }
  }
}
