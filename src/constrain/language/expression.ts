// Expressions for languages of texts, and what can be told of a language from its parts.

import { type CharacterClass, EVERYTHING } from "./classes.ts";

export interface StringSet {
  id: number;
  all: ReadonlySet<string>;
  /** In the order of their UTF-16 units, so that those with a common beginning are neighbours. */
  sorted: readonly string[];
  /** In characters, in the same order. */
  lengths: readonly number[];
}

export type Shape =
  | { kind: "nothing" | "empty" }
  | { kind: "class"; set: CharacterClass }
  | { kind: "sequence"; head: Language; tail: Language }
  | { kind: "union"; parts: readonly Language[] }
  | { kind: "complement"; inner: Language }
  | { kind: "repeat"; inner: Language; least: number; most: number }
  /** What is left, behind `depth` units, which are `passed` characters, of the strings from `low` to before `high`. */
  | { kind: "strings"; set: StringSet; low: number; high: number; depth: number; passed: number };

/** What may follow, by the next character: from `starts[i]` to before `starts[i + 1]` it is `targets[i]`. */
export interface Transitions {
  starts: readonly number[];
  targets: readonly Language[];
}

let count = 0;

export class Language {
  readonly id = ++count;
  readonly shape: Shape;
  /** Whether the empty text belongs to it. */
  readonly nullable: boolean;
  /** Whether it holds any text, once that is known. */
  alive: boolean | undefined;
  transitions: Transitions | undefined;
  /** Of its texts; undefined where that would have to be searched. */
  readonly lengths: Lengths | undefined;

  constructor(shape: Shape) {
    this.shape = shape;
    this.nullable = isNullable(shape);
    this.lengths = lengthsOf(shape);
    this.alive = shape.kind === "nothing" ? false : this.nullable || isSurelyAlive(shape) || undefined;
  }

  /** Forgets what may follow. */
  clear(): void {
    this.transitions = undefined;
  }
}

function isNullable(shape: Shape): boolean {
  switch (shape.kind) {
    case "empty":
      return true;
    case "sequence":
      return shape.head.nullable && shape.tail.nullable;
    case "union":
      return shape.parts.some(({ nullable }) => nullable);
    case "complement":
      return !shape.inner.nullable;
    case "repeat":
      return shape.least === 0;
    case "strings":
      return shape.set.sorted[shape.low]!.length === shape.depth;
    default:
      return false;
  }
}

/** Whether its parts say that a language holds some text. */
function isSurelyAlive(shape: Shape): boolean | undefined {
  switch (shape.kind) {
    case "class":
    case "strings":
      return true;
    case "sequence":
      return shape.head.alive && shape.tail.alive;
    case "union":
      return shape.parts.some(({ alive }) => alive);
    case "repeat":
      return shape.inner.alive;
    default:
      return undefined;
  }
}

export const NOTHING = new Language({ kind: "nothing" });
export const EMPTY = new Language({ kind: "empty" });
/** All characters. */
export const ANY = new Language({ kind: "class", set: EVERYTHING });
/** All texts. */
export const ALL = new Language({ kind: "repeat", inner: ANY, least: 0, most: Infinity });

/** In characters: bounds on a string's length are counted beside its language, and this says which of them it can meet. */
interface Lengths {
  shortest: number;
  longest: number;
  /** `shortest` of whatever may follow is never above this. */
  deepest: number;
  /** Whether each length in between is some text's. False where that is not known. */
  dense: boolean;
}

/** Of a language's texts. Undefined for languages that have a complement in them: those would have to be searched. */
function lengthsOf(shape: Shape): Lengths | undefined {
  switch (shape.kind) {
    case "nothing":
      return { shortest: Infinity, longest: 0, deepest: 0, dense: true };
    case "empty":
      return { shortest: 0, longest: 0, deepest: 0, dense: true };
    case "class":
      return { shortest: 1, longest: 1, deepest: 1, dense: true };
    case "sequence": {
      const [head, tail] = [shape.head.lengths, shape.tail.lengths];
      return (
        head &&
        tail && {
          shortest: head.shortest + tail.shortest,
          longest: head.longest + tail.longest,
          deepest: head.deepest + tail.deepest,
          dense: head.dense && tail.dense,
        }
      );
    }
    case "union": {
      const parts = shape.parts.flatMap((part) => part.lengths ?? []);
      return parts.length < shape.parts.length ? undefined : parts.reduce(either);
    }
    case "repeat": {
      const { least, most, inner } = shape;
      const { lengths } = inner;
      if (!lengths) return undefined;
      const { shortest, longest, deepest, dense } = lengths;
      return {
        shortest: shortest * least,
        longest: longest === 0 ? 0 : longest * most,
        deepest: deepest + shortest * least,
        // Where one turn more than the fewest leaves no gap, no further one does.
        dense: dense && (least === most || (least + 1) * shortest <= (least === 0 ? 0 : least * longest) + 1),
      };
    }
    case "complement":
      return undefined;
    case "strings": {
      const { set, low, high, passed } = shape;
      const all = new Set(set.lengths.slice(low, high));
      const [shortest, longest] = [Math.min(...all) - passed, Math.max(...all) - passed];
      return { shortest, longest, deepest: longest, dense: all.size === longest - shortest + 1 };
    }
  }
}

function either(a: Lengths, b: Lengths): Lengths {
  return {
    shortest: Math.min(a.shortest, b.shortest),
    longest: Math.max(a.longest, b.longest),
    deepest: Math.max(a.deepest, b.deepest),
    dense: a.dense && b.dense && a.shortest <= b.longest + 1 && b.shortest <= a.longest + 1,
  };
}
