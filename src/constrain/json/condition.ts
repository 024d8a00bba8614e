// What schemas say of a value, as conditions that can be turned round: `not` is pushed down to the keywords.

import { type FactsOf, held, type Kind, only, type Values } from "./facts.ts";
import type { Schema } from "./goal.ts";

export type Condition =
  /** Of these all hold, at least one, or exactly one. */
  | { is: "all" | "any" | "one"; of: readonly Condition[] }
  | { is: "not"; of: Condition }
  | { is: "if"; of: readonly [condition: Condition, then: Condition, otherwise: Condition] }
  | { is: "schema"; of: Schema }
  /** What a keyword says itself: values that meet it, and those that do not. */
  | { is: "keyword"; meets: Values; fails: () => Values };

export const TRUE: Condition = { is: "all", of: [] };

export function not(of: Condition): Condition {
  return { is: "not", of };
}

export function any(of: readonly Condition[]): Condition {
  return of.length === 1 ? of[0]! : { is: "any", of };
}

export function keyword(meets: Values, fails: () => Values): Condition {
  return { is: "keyword", meets, fails };
}

/** Values of other types meet it; those of this one are held to facts, and fail it if they are like one of some others. */
export function holds<K extends Kind>(
  kind: K,
  meets: Partial<FactsOf[K]>,
  fails: () => readonly Partial<FactsOf[K]>[],
): Condition {
  return keyword(held(kind, [meets]), () => only(kind, fails()));
}

/** Values of this type only, held to facts; those that fail it have another type or are like one of some others. */
export function being<K extends Kind>(
  kind: K,
  meets: Partial<FactsOf[K]> = {},
  fails: () => readonly Partial<FactsOf[K]>[] = () => [],
): Condition {
  return keyword(only(kind, [meets]), () => held(kind, fails()));
}
