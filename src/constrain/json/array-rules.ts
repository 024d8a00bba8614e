// What an array's items are held to, and where an array stands.

import { remember } from "../memory.ts";
import type { ArrayFacts, ItemCount } from "./facts.ts";
import type { Goal } from "./goal.ts";
import type { Step } from "./object-state.ts";
import type { RuleTools } from "./rule-tools.ts";

/** What is remembered of where an array stands. */
const STATE_BYTES = 300;
/** Items that are told apart when some of them are counted. */
const MAX_COUNTED = 64;

export class ArrayRules {
  readonly tools: RuleTools;
  readonly facts: ArrayFacts;
  /** Whether items must differ. */
  readonly isUnique: boolean;
  readonly begin: ArrayState;
  /** From this index on, items are told apart no more. */
  readonly steady: number;
  readonly #states = new Map<string, ArrayState>();

  constructor(facts: ArrayFacts, tools: RuleTools) {
    const { prefix, least, most, counts } = facts;
    this.facts = facts;
    this.tools = tools;
    this.steady = Math.max(
      prefix.length,
      least,
      most === Infinity ? 0 : most,
      ...counts.map(({ from }) => from),
    );
    if (
      counts.length > 0 &&
      (this.steady > MAX_COUNTED || counts.some((count) => ceiling(count) > MAX_COUNTED))
    )
      tools.refuse(
        `contains, or a negation of items, beside more than ${MAX_COUNTED} items is not supported`,
      );
    this.isUnique = facts.unique && most > 1;
    if (this.isUnique && prefix.length > 0)
      tools.refuse("uniqueItems beside items that are told apart by their place is not supported");
    if (this.isUnique && counts.length > 0) tools.refuse("uniqueItems beside contains is not supported");
    this.begin = this.state(
      0,
      counts.map(() => 0),
      [],
    );
  }

  state(index: number, found: readonly number[], values: readonly unknown[]): ArrayState {
    const at = Math.min(index, this.steady);
    const key = `${at};${found.join()};${values.length === 0 ? "" : JSON.stringify(values)}`;
    let state = this.#states.get(key);
    if (!state) {
      this.#states.set(key, (state = new ArrayState(this, at, found, values)));
      remember(this.#states, STATE_BYTES + key.length);
    }
    return state;
  }
}

/** The number from which on more items that count change nothing. */
function ceiling({ least, most }: ItemCount): number {
  return most === Infinity ? least : most + 1;
}

export class ArrayState {
  readonly rules: ArrayRules;
  readonly index: number;
  /** Items so far that each of `facts.counts` counts. */
  readonly found: readonly number[];
  /** Items so far, where they must differ. */
  readonly values: readonly unknown[];
  #canFinish: boolean | undefined;
  #steps: readonly Step<ArrayState>[] | undefined;

  constructor(rules: ArrayRules, index: number, found: readonly number[], values: readonly unknown[]) {
    this.rules = rules;
    this.index = index;
    this.found = found;
    this.values = values;
  }

  get mayClose(): boolean {
    const { least, counts } = this.rules.facts;
    return this.index >= least && counts.every((count, i) => this.found[i]! >= count.least);
  }

  /** Whether the array can be finished from here. */
  get canFinish(): boolean {
    if (this.#canFinish !== undefined) return this.#canFinish;
    const { tools } = this.rules;
    const before = tools.assumptions;
    // Meanwhile, and if the way only leads back here, it cannot.
    this.#canFinish = false;
    const result = this.mayClose || this.#computeCanFinish();
    this.#canFinish = result || tools.assumptions === before ? result : undefined;
    return result;
  }

  #computeCanFinish(): boolean {
    const { facts, tools } = this.rules;
    if (facts.counts.length > 0) return this.#candidates().some(({ after }) => after.canFinish);
    if (facts.least > facts.most) return false;
    // All of the items that are missing have to be possible.
    const end = Math.min(facts.least, Math.max(this.index, facts.prefix.length) + 1);
    for (let i = this.index; i < end; i++) if (!tools.isAlive(facts.prefix[i] ?? facts.rest)) return false;
    const missing = facts.least - this.index;
    return (
      !this.rules.isUnique ||
      missing < 2 ||
      tools.hasValues(tools.otherThan(facts.rest, this.values), missing)
    );
  }

  /** The same with an item, if later ones must differ from it; undefined if it does not differ itself. */
  with(value: unknown): ArrayState | undefined {
    if (!this.rules.isUnique) return this;
    if (this.values.includes(value)) return undefined;
    return this.rules.state(this.index, this.found, [...this.values, value]);
  }

  #candidates(): Step<ArrayState>[] {
    const { facts, tools } = this.rules;
    if (this.index >= facts.most) return [];
    let ways: { goal: Goal; found: number[] }[] = [
      {
        goal: tools.otherThan(facts.prefix[this.index] ?? facts.rest, this.values),
        found: [...this.found],
      },
    ];
    facts.counts.forEach((count, i) => {
      if (this.index < count.from) return;
      ways = ways.flatMap((way) => {
        const more = { goal: tools.goals.both(way.goal, count.goal), found: [...way.found] };
        more.found[i] = Math.min(more.found[i]! + 1, ceiling(count));
        const isCapped = count.most !== Infinity;
        const others = isCapped ? { ...way, goal: tools.goals.both(way.goal, count.other) } : way;
        if (more.found[i]! > count.most || (!isCapped && way.found[i]! >= count.least)) return [others];
        return [more, others];
      });
    });
    tools.budget.spend(4 * ways.length);
    return ways
      .filter(({ goal }) => tools.isAlive(goal))
      .map(({ goal, found }) => ({ goal, after: this.rules.state(this.index + 1, found, this.values) }));
  }

  /** Items that may come next. */
  get steps(): readonly Step<ArrayState>[] {
    // Where items must differ, there are enough values left for all that are missing, whichever comes now.
    this.#steps ??= this.#candidates().filter(({ after }) => this.rules.isUnique || after.canFinish);
    return this.#steps;
  }
}
