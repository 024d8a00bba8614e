// The syntax of ECMA-262's regular expressions with the flag u, as far as it describes a regular language.

import { type CharacterClass, complement, DIGITS, LINE_ENDS, type Range, SPACES, WORD } from "./classes.ts";
import { ALL, ANY, EMPTY, type Language, type Languages } from "./language.ts";
import { type Part, Parts } from "./parts.ts";

/** What a pattern says that is no pattern, or none of a regular language. */
export class PatternError extends Error {}

const MAX_LENGTH = 10_000;
const MAX_DEPTH = 200;
const CONTROLS: Record<string, number> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
const CLASSES: Record<string, CharacterClass> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACES,
  S: complement(SPACES),
};
const QUANTIFIER = /(?:([*+?])|\{(\d{1,15})(,(\d{0,15}))?\})\??/y;

function fail(message: string): never {
  throw new PatternError(message);
}

/**
 * Texts that a regular expression matches.
 *
 * @param whole the pattern is to match the whole text; otherwise some part of it, as JSON Schema's `pattern` does
 * @throws PatternError
 */
export function languageOfPattern(languages: Languages, source: string, whole: boolean): Language {
  const parts = new Parts(languages);
  const pattern = new Reader(languages, parts, source).read();
  if (whole) return parts.follow(pattern, true, () => EMPTY);
  const rest = () => ALL;
  const atStart = parts.follow(pattern, true, rest);
  const later = parts.follow(pattern, false, rest);
  if (atStart === later) return languages.sequence(ALL, later);
  return languages.union([atStart, languages.sequence(ANY, languages.sequence(ALL, later))]);
}

class Reader {
  readonly #languages: Languages;
  readonly #parts: Parts;
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(languages: Languages, parts: Parts, source: string) {
    this.#languages = languages;
    this.#parts = parts;
    this.#source = source;
  }

  read(): Part {
    if (this.#source.length > MAX_LENGTH) fail(`has more than ${MAX_LENGTH} characters`);
    const pattern = this.#choice();
    if (this.#at < this.#source.length) fail("has a ) without its (");
    return pattern;
  }

  /** Goes on behind what a sticky expression matches right here. */
  #take(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at;
    const match = expression.exec(this.#source);
    if (match) this.#at = expression.lastIndex;
    return match;
  }

  #choice(): Part {
    if (++this.#depth > MAX_DEPTH) fail(`has groups more than ${MAX_DEPTH} deep`);
    const parts: Part[] = [];
    do parts.push(this.#sequence());
    while (this.#take(/\|/y));
    this.#depth--;
    return this.#parts.choice(parts);
  }

  #sequence(): Part {
    const parts: Part[] = [];
    for (let next = this.#take(/[^|)]/uy); next; next = this.#take(/[^|)]/uy))
      parts.push(this.#quantified(this.#atom(next[0])));
    return this.#parts.sequence(parts);
  }

  /** Whether the repetition is greedy makes no difference here. */
  #quantified(part: Part): Part {
    const match = this.#take(QUANTIFIER);
    if (!match) return part;
    const [all, sign, from, range, to] = match;
    const least = sign ? Number(sign === "+") : Number(from);
    const most = sign ? (sign === "?" ? 1 : Infinity) : range ? Number(to || Infinity) : least;
    if (most < least) fail(`repeats ${all}, which goes downwards`);
    return this.#parts.repeat(part, least, most) ?? fail("repeats an assertion");
  }

  #assertion(part: Part): Part {
    if (this.#take(QUANTIFIER)) fail("repeats an assertion");
    return part;
  }

  #atom(character: string): Part {
    switch (character) {
      case "^":
        return this.#assertion(this.#parts.start);
      case "$":
        return this.#assertion(this.#parts.end);
      case "(":
        return this.#group();
      case "*":
      case "+":
      case "?":
        fail(`repeats nothing with ${character}`);
    }
    return this.#languages.characters(this.#characters(character));
  }

  #group(): Part {
    const sign = this.#take(/\?(<[=!]|<[^>]*>|.?)/suy)?.[1] ?? ":";
    if (sign === "<=" || sign === "<!") fail("looks behind, which is not supported");
    if (!/^[:=!]$|>$/.test(sign)) fail(`has (?${sign}, which is not supported`);
    const inner = this.#choice();
    if (!this.#take(/\)/y)) fail("has a ( without its )");
    if (sign === "=" || sign === "!") return this.#assertion(this.#parts.ahead(inner, sign === "!"));
    return inner;
  }

  #characters(character: string): CharacterClass {
    if (character === ".") return complement(LINE_ENDS);
    if (character === "[") return this.#set();
    if (character !== "\\") return point(character.codePointAt(0)!);
    const unsupported = this.#take(/[bBk1-9]/y)?.[0];
    if (unsupported === "b" || unsupported === "B")
      fail(`asks for the boundary of a word (\\${unsupported}), which is not supported`);
    if (unsupported) fail("refers back to a group, which no automaton can follow");
    return this.#escape();
  }

  /** What stands behind a backslash, in a class or outside. */
  #escape(): CharacterClass {
    const letter = this.#take(/./suy)?.[0] ?? fail("ends in a backslash");
    switch (letter) {
      case "p":
      case "P":
        return fail(`has a property of Unicode (\\${letter}), which is not supported`);
      case "x":
        return point(this.#hexadecimal(/[\da-f]{2}/iy));
      case "u":
        return point(this.#unicode());
      case "c":
        return point((this.#take(/[a-z]/iy)?.[0] ?? fail("has a \\c without a letter")).charCodeAt(0) % 32);
    }
    return CLASSES[letter] ?? point(CONTROLS[letter] ?? letter.codePointAt(0)!);
  }

  #hexadecimal(digits: RegExp): number {
    const match = this.#take(digits) ?? fail("has an escape without its hexadecimal digits");
    return Number.parseInt(match[0], 16);
  }

  #unicode(): number {
    const braced = this.#take(/\{([\da-f]{1,8})\}/iy);
    const code = braced ? Number.parseInt(braced[1]!, 16) : this.#hexadecimal(/[\da-f]{4}/iy);
    if (code > 0x10ffff) fail("has a \\u{…} that is no code point");
    const low = !braced && code >= 0xd800 && code < 0xdc00 && this.#take(/\\u(d[c-f][\da-f]{2})/iy);
    return low ? 0x10000 + ((code - 0xd800) << 10) + Number.parseInt(low[1]!, 16) - 0xdc00 : code;
  }

  #set(): CharacterClass {
    const isNegative = this.#take(/\^/y);
    const ranges: Range[] = [];
    while (!this.#take(/\]/y)) {
      const first = this.#member();
      const hyphen = this.#take(/-(?!\])/y);
      const last = hyphen ? this.#member() : first;
      const [[from, to], [start, end]] = [first[0]!, last[0]!];
      // Behind a class, or before one, a hyphen is itself, as without the flag u.
      if (from !== to || start !== end || first.length + last.length > 2)
        ranges.push(...first, ...last, ...(hyphen ? point(0x2d) : []));
      else if (end < from) fail("has a range of characters that goes downwards");
      else ranges.push([from, end]);
    }
    return isNegative ? complement(ranges) : ranges;
  }

  #member(): CharacterClass {
    if (this.#take(/\\b/y)) return point(8);
    const character = this.#take(/./suy)?.[0] ?? fail("has a [ without its ]");
    return character === "\\" ? this.#escape() : point(character.codePointAt(0)!);
  }
}

function point(code: number): CharacterClass {
  return [[code, code]];
}
