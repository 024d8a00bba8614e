// What a value may be that is to reach a goal, ready to be written, and whether there is any.

import type { Budget } from "../budget.ts";
import { ALL, type Language, type Languages, NOTHING } from "../language/language.ts";
import type { TextStates } from "../language/text-state.ts";
import { remember } from "../memory.ts";
import { type Alternatives, Unfinished } from "./alternatives.ts";
import { ArrayRules } from "./array-rules.ts";
import type { StringFacts } from "./facts.ts";
import { type Goal, type Goals, NEVER } from "./goal.ts";
import { countNumbers, type NumberFacts } from "./number-facts.ts";
import { objectRules } from "./object-rules.ts";
import type { ObjectRules } from "./object-state.ts";
import type { RuleTools } from "./rule-tools.ts";
import { refuse } from "./schema-source.ts";

/** What is remembered of a goal. */
const GOAL_BYTES = 1500;
/** Values inside each other that a value cannot do without. */
const MAX_DEPTH = 400;

export interface Parts {
  literals: number;
  numbers: readonly NumberFacts[];
  strings: readonly StringFacts[];
  arrays: readonly ArrayRules[];
  objects: readonly ObjectRules[];
}

/** Tells what goals need: the tools that rules for arrays and objects are made with. */
export class Possibilities implements RuleTools {
  readonly goals: Goals;
  readonly languages: Languages;
  readonly budget: Budget;
  readonly declaredOrder: boolean;
  assumptions = 0;
  readonly #alternatives: Alternatives;
  readonly #texts: TextStates;
  readonly #parts = new Map<Goal, Parts>();
  readonly #alive = new Map<Goal, boolean>();
  /** Goals that are being looked at, and how far down the least of those lies that was met again. */
  readonly #looking = new Map<Goal, number>();
  #lowest = Infinity;

  constructor(alternatives: Alternatives, texts: TextStates, declaredOrder: boolean) {
    this.#alternatives = alternatives;
    this.#texts = texts;
    this.goals = alternatives.goals;
    this.languages = texts.languages;
    this.budget = alternatives.budget;
    this.declaredOrder = declaredOrder;
    alternatives.isSurelyDead = (goal) => this.#isSurelyDead(goal);
  }

  refuse(message: string): never {
    this.#alternatives.refuse(message);
  }

  of(goal: Goal): Parts {
    let parts = this.#parts.get(goal);
    if (!parts) {
      const { literals, number, string, array, object } = this.#alternatives.of(goal);
      const outer = this.#alternatives.pointer;
      this.#alternatives.pointer = pointerOf(goal);
      parts = {
        literals,
        numbers: number,
        strings: this.#joined(string),
        arrays: array.map((facts) => new ArrayRules(facts, this)),
        objects: object.flatMap((facts) => objectRules(facts, this)),
      };
      this.#alternatives.pointer = outer;
      this.#parts.set(goal, parts);
      remember(this, GOAL_BYTES);
    }
    return parts;
  }

  /** The same strings with as few languages as bounds on the length allow. */
  #joined(strings: readonly StringFacts[]): StringFacts[] {
    const isFree = ({ least, most }: StringFacts) => least === 0 && most === Infinity;
    const language = this.languages.union(strings.filter(isFree).map((each) => each.language));
    const rest = strings.filter((each) => !isFree(each));
    return language === NOTHING ? rest : [{ language, least: 0, most: Infinity }, ...rest];
  }

  isAlive(goal: Goal): boolean {
    const known = this.#alive.get(goal);
    if (known !== undefined) return known;
    const met = this.#looking.get(goal);
    if (met !== undefined) {
      // A value would have to hold itself, unless there is another way.
      this.assumptions++;
      this.#lowest = Math.min(this.#lowest, met);
      return false;
    }
    const depth = this.#looking.size;
    if (depth > MAX_DEPTH) refuse(pointerOf(goal), `is inside more than ${MAX_DEPTH} values that need it`);
    const outer = this.#lowest;
    this.#lowest = Infinity;
    this.#looking.set(goal, depth);
    this.budget.spend(5);
    let alive = false;
    try {
      const { literals, numbers, strings, arrays, objects } = this.of(goal);
      alive =
        literals + numbers.length + strings.length > 0 ||
        [...arrays, ...objects].some(({ begin }) => begin.canFinish);
      if (alive || this.#lowest >= depth) this.#alive.set(goal, alive);
      return alive;
    } finally {
      this.#looking.delete(goal);
      this.#lowest = Math.min(outer, alive || this.#lowest >= depth ? Infinity : this.#lowest);
    }
  }

  /** Whether no value reaches a goal, as far as that can be told while alternatives are being made. */
  #isSurelyDead(goal: Goal): boolean {
    if (goal === NEVER) return true;
    // A single schema that is met is left alone: looking further down costs more than it saves.
    if (goal.meets.length + goal.fails.length < 2) return this.#alive.get(goal) === false;
    const { assumptions } = this;
    this.#alternatives.tentative++;
    try {
      return !this.isAlive(goal) && this.assumptions === assumptions;
    } catch (error) {
      if (error instanceof Unfinished) return false;
      throw error;
    } finally {
      this.#alternatives.tentative--;
    }
  }

  strings(goal: Goal): Language {
    return this.#alternatives.strings(goal);
  }

  words(language: Language, most: number): string[] | undefined {
    if (language === ALL || language.lengths?.longest === Infinity) return undefined;
    const words: string[] = [];
    const visit = (at: Language, word: string): boolean => {
      if (at.nullable && words.push(word) > most) return false;
      if (word.length > 200) return false;
      const { starts, targets } = this.languages.transitions(at);
      for (let i = 0; i < targets.length; i++) {
        if (!this.languages.isAlive(targets[i]!)) continue;
        const end = starts[i + 1] ?? 0x110000;
        for (let point = starts[i]!; point < end; point++)
          if (!visit(targets[i]!, word + String.fromCodePoint(point))) return false;
      }
      return true;
    };
    return visit(language, "") ? words : undefined;
  }

  without(language: Language, words: readonly string[]): Language {
    const ends = language === ALL ? [] : words.filter((word) => this.#isEnd(language, word));
    if (ends.length === 0) return language;
    return this.languages.intersection([language, this.languages.complement(this.languages.strings(ends))]);
  }

  /** Whether a word is in a language, but not the beginning of others without end. */
  #isEnd(language: Language, word: string): boolean {
    let at = language;
    for (const character of word) at = this.languages.next(at, character.codePointAt(0)!);
    return at !== NOTHING && at.lengths?.longest !== Infinity;
  }

  otherThan(goal: Goal, values: readonly unknown[]): Goal {
    if (values.length === 0) return goal;
    const { strings } = this.of(goal);
    const ends = values.filter(
      (value) =>
        typeof value !== "string" ||
        strings.some(({ language, most }) => most < Infinity || this.#isEnd(language, value)),
    );
    if (ends.length === 0) return goal;
    return this.goals.both(goal, this.goals.failing(this.#alternatives.source.listed(ends)));
  }

  hasValues(goal: Goal, count: number): boolean {
    const { literals, numbers, strings, arrays, objects } = this.of(goal);
    if (arrays.length + objects.length > 0) return true;
    let found = (literals & 1) + ((literals >> 1) & 1) + (literals >> 2);
    for (const facts of numbers) found += countNumbers(facts, count - found);
    for (const { language, least, most } of strings) {
      const words = this.words(this.#texts.ofLength(language, least, most), count);
      if (!words) return true;
      found += words.length;
    }
    return found >= count;
  }

  /** Forgets what can be made again. */
  clear(): void {
    this.#parts.clear();
    this.#alive.clear();
    this.#alternatives.clear();
  }

  #checkUnique(items: Goal): void {
    const { arrays, objects, numbers, strings } = this.of(items);
    const pointer = pointerOf(items);
    if (arrays.length + objects.length > 0)
      refuse(pointer, "uniqueItems is supported for items that are no arrays and no objects");
    // A value of several sets would be counted more than once.
    if (numbers.length > 1 || strings.length > 1)
      refuse(pointer, "uniqueItems is not supported for items with several alternatives of one type");
  }

  /** Looks at all that a value for a goal may hold, so that what is refused is refused now. */
  explore(root: Goal): void {
    const seen = new Set([root]);
    for (const goal of seen) {
      this.budget.spend(5);
      const { arrays, objects } = this.of(goal);
      for (const { facts, begin, isUnique } of arrays) {
        if (isUnique) this.#checkUnique(facts.rest);
        for (const item of [...facts.prefix, facts.rest]) seen.add(item);
        const states = new Set(facts.counts.length > 0 ? [begin] : []);
        for (const state of states)
          for (const { goal: item, after } of state.steps) {
            seen.add(item);
            states.add(after);
            this.budget.spend(10);
          }
      }
      for (const rules of objects) for (const value of rules.values) seen.add(value);
    }
    if (!this.isAlive(root)) refuse("", "no value is valid");
  }
}

function pointerOf({ meets, fails }: Goal): string {
  return (meets[0] ?? fails[0])?.pointer ?? "";
}
