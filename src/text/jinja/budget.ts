// Jinja has no endless loops, but a short template can still take longer than any isolate lives, or more memory than it
// has: by loops in loops, by a text that doubles, by a list that holds another one twice, which holds a third twice …
//
// Every step is charged, every value that a step makes by its size, and what multiplies sizes before it does so.

/**
 * What rendering may cost: one for each node that is evaluated, and more for large values. Conversations of 1000
 * messages stay below it. Templates that reached it took up to 0.2 s to do so.
 */
const MAX_COST = 400_000;
/** Characters or entries of a value that cost as much as a node. */
const SIZE_PER_COST = 16;
/** Parts of a text that are looked for cost as much as one character, up to this length. */
const PART = 64;
/** Lists and dictionaries within each other, and macros that call each other. */
const MAX_DEPTH = 100;

/** The template used up its budget. */
export class BudgetExceeded extends Error {
  constructor() {
    super("it does not come to an end");
  }
}

export class Budget {
  #cost = 0;
  #depth = 0;

  /** @throws BudgetExceeded */
  step(cost = 1): void {
    this.#cost += cost;
    // A cost that is no number is too much, too.
    if (!(this.#cost <= MAX_COST)) throw new BudgetExceeded();
  }

  /** Before so many characters or entries are made. */
  size(size: number): void {
    this.step(Math.max(0, size) / SIZE_PER_COST);
  }

  /** Before a text is looked at that no node of the template has just made: it may be in a list. */
  look(value: unknown): void {
    if (typeof value === "string") this.size(value.length);
  }

  /** Before a part is looked for in a text: both may be made so that every place has to be compared almost to its end. */
  search(text: string, part: string): void {
    this.size((text.length * part.length) / PART);
  }

  /** Does what may be within itself. */
  deeper<T>(work: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new BudgetExceeded();
    try {
      return work();
    } finally {
      this.#depth--;
    }
  }
}
