// Patterns, made of smaller ones. Assertions become what they say of the text's end or beginning: a part of a pattern that
// asserts something is built together with all that follows it.

import { ALL, EMPTY, Language, type Languages, NOTHING } from "./language.ts";

/** What follows, where the text has begun right here or before. */
export type Rest = (atStart: boolean) => Language;

/** What a part of a pattern matches; where it asserts something, what it matches with a rest behind it. */
export type Part = Language | ((atStart: boolean, rest: Rest) => Language);

/** Builds what follows once for each of its two beginnings, however often it is asked for. */
function once(rest: Rest): Rest {
  const built: [Language?, Language?] = [];
  return (atStart) => (built[atStart ? 1 : 0] ??= rest(atStart));
}

export class Parts {
  readonly #languages: Languages;
  readonly start: Part = (atStart, rest) => (atStart ? rest(true) : NOTHING);
  readonly end: Part = (atStart, rest) => (rest(atStart).nullable ? EMPTY : NOTHING);

  constructor(languages: Languages) {
    this.#languages = languages;
  }

  /** A part with a rest behind it. */
  follow(part: Part, atStart: boolean, rest: Rest): Language {
    if (!(part instanceof Language)) return part(atStart, rest);
    const languages = this.#languages;
    const later = rest(false);
    if (!atStart || !part.nullable || rest(true) === later) return languages.sequence(part, later);
    const some = languages.intersection([part, languages.complement(EMPTY)]);
    return languages.union([languages.sequence(some, later), rest(true)]);
  }

  choice(parts: readonly Part[]): Part {
    if (parts.every((part) => part instanceof Language)) return this.#languages.union(parts);
    return (atStart, rest) => {
      const behind = once(rest);
      return this.#languages.union(parts.map((part) => this.follow(part, atStart, behind)));
    };
  }

  sequence(parts: readonly Part[]): Part {
    if (parts.every((part) => part instanceof Language))
      return parts.reduceRight((tail, part) => this.#languages.sequence(part, tail), EMPTY);
    return (atStart, rest) =>
      parts.reduceRight<Rest>(
        (behind, part) => once((start) => this.follow(part, start, behind)),
        rest,
      )(atStart);
  }

  /** Undefined where an assertion would come several times. */
  repeat(part: Part, least: number, most: number): Part | undefined {
    if (part instanceof Language) return this.#languages.repeat(part, least, most);
    if (most !== 1) return undefined;
    return least === 1 ? part : this.choice([part, EMPTY]);
  }

  /** Looks ahead: what follows begins with a part, or does not. */
  ahead(part: Part, isNegative: boolean): Part {
    return (atStart, rest) => {
      const begun = this.follow(part, atStart, () => ALL);
      return this.#languages.intersection([
        isNegative ? this.#languages.complement(begun) : begun,
        rest(atStart),
      ]);
    };
  }
}
