import type { Budget } from "../budget.ts";
import type { Language, Languages } from "../language/language.ts";
import type { Goal, Goals } from "./goal.ts";

/** What rules for arrays and objects are made with. */
export interface RuleTools {
  readonly goals: Goals;
  readonly languages: Languages;
  readonly budget: Budget;
  readonly declaredOrder: boolean;
  /** Whether some value reaches a goal. */
  isAlive(goal: Goal): boolean;
  /** How often `isAlive` said no because it was just being found out. */
  readonly assumptions: number;
  /** Strings that a goal allows. */
  strings(goal: Goal): Language;
  /** All words of a language if they are at most so many. */
  words(language: Language, most: number): string[] | undefined;
  /** A language without some of its words, but for those that others begin with without end: they are no dead ends. */
  without(language: Language, words: readonly string[]): Language;
  /**
   * What a value must be that reaches a goal and is none of some values, which are no arrays and no objects; strings may
   * be among them that are no dead ends.
   */
  otherThan(goal: Goal, values: readonly unknown[]): Goal;
  /** Whether so many values reach a goal. */
  hasValues(goal: Goal, count: number): boolean;
  refuse(message: string): never;
}
