// From a pattern to the language of the texts in which it matches. Assertions become what they say of the text's end
// or beginning: each part of a pattern is built with all that follows it, up to the end of the text.

import { EVERYTHING } from "./classes.ts";
import { ALL, EMPTY, type Language, type Languages, NOTHING } from "./language.ts";
import { hasAssertion, type Pattern, PatternError, parsePattern } from "./pattern-syntax.ts";

/** What follows, where the text has begun right here or before. */
type Rest = (atStart: boolean) => Language;

/**
 * Texts that a regular expression matches.
 *
 * @param whole the pattern is to match the whole text; otherwise some part of it, as JSON Schema's `pattern` does
 * @throws PatternError
 */
export function languageOfPattern(languages: Languages, source: string, whole: boolean): Language {
  const builder = new Builder(languages);
  const pattern = parsePattern(source);
  if (whole) return builder.build(pattern, true, () => EMPTY);
  const rest = () => ALL;
  const atStart = builder.build(pattern, true, rest);
  const later = builder.build(pattern, false, rest);
  if (atStart === later) return languages.sequence(ALL, later);
  const some = languages.sequence(languages.characters(EVERYTHING), ALL);
  return languages.union([atStart, languages.sequence(some, later)]);
}

class Builder {
  readonly #languages: Languages;

  constructor(languages: Languages) {
    this.#languages = languages;
  }

  build(pattern: Pattern, atStart: boolean, rest: Rest): Language {
    const languages = this.#languages;
    if (!hasAssertion(pattern)) {
      const inner = this.#plain(pattern);
      const through = languages.sequence(inner, rest(false));
      return atStart && inner.nullable ? languages.union([through, rest(true)]) : through;
    }
    switch (pattern.kind) {
      case "start":
        return atStart ? rest(true) : NOTHING;
      case "end":
        return rest(atStart).nullable ? EMPTY : NOTHING;
      case "look": {
        const ahead = this.build(pattern.inner, atStart, () => ALL);
        return languages.intersection([
          pattern.negative ? languages.complement(ahead) : ahead,
          rest(atStart),
        ]);
      }
      case "choice": {
        const follow = once(rest);
        return languages.union(pattern.parts.map((part) => this.build(part, atStart, follow)));
      }
      case "sequence":
        return pattern.parts.reduceRight<Rest>(
          (follow, part) => once((start) => this.build(part, start, follow)),
          rest,
        )(atStart);
      case "repeat": {
        if (pattern.most !== 1) throw new PatternError("repeats an assertion");
        const follow = once(rest);
        const through = this.build(pattern.inner, atStart, follow);
        return pattern.least === 0 ? languages.union([through, follow(atStart)]) : through;
      }
      default:
        throw new PatternError("is not understood");
    }
  }

  /** The language of a pattern without assertions. */
  #plain(pattern: Pattern): Language {
    const languages = this.#languages;
    switch (pattern.kind) {
      case "class":
        return languages.characters(pattern.set);
      case "choice":
        return languages.union(pattern.parts.map((part) => this.#plain(part)));
      case "sequence":
        return pattern.parts.reduceRight<Language>(
          (tail, part) => languages.sequence(this.#plain(part), tail),
          EMPTY,
        );
      case "repeat":
        return languages.repeat(this.#plain(pattern.inner), pattern.least, pattern.most);
      default:
        throw new PatternError("repeats an assertion");
    }
  }
}

/** Builds what follows once for each of its two beginnings, however often it is asked for. */
function once(rest: Rest): Rest {
  const built: [Language?, Language?] = [];
  return (atStart) => (built[atStart ? 1 : 0] ??= rest(atStart));
}
