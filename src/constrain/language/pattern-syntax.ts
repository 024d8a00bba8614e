// The syntax of ECMA-262's regular expressions with the flag u, as far as it describes a regular language.

import {
  type CharacterClass,
  classOfRanges,
  complement,
  DIGITS,
  LINE_ENDS,
  SPACES,
  union,
  WORD,
} from "./classes.ts";

export type Pattern =
  | { kind: "class"; set: CharacterClass }
  | { kind: "sequence" | "choice"; parts: Pattern[] }
  | { kind: "repeat"; inner: Pattern; least: number; most: number }
  | { kind: "start" | "end" }
  | { kind: "look"; inner: Pattern; negative: boolean };

/** What a pattern says that is no pattern, or none of a regular language. */
export class PatternError extends Error {}

const MAX_LENGTH = 10_000;
const MAX_DEPTH = 200;
const CONTROLS: Record<string, number> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

export function parsePattern(source: string): Pattern {
  if (source.length > MAX_LENGTH) throw new PatternError(`has more than ${MAX_LENGTH} characters`);
  const parser = new Parser([...source]);
  return parser.parse();
}

class Parser {
  readonly #source: string[];
  #at = 0;
  #depth = 0;

  constructor(source: string[]) {
    this.#source = source;
  }

  parse(): Pattern {
    const pattern = this.#choice();
    if (this.#at < this.#source.length) throw new PatternError("has a ) without its (");
    return pattern;
  }

  #peek(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#source[this.#at + i] !== text[i]) return false;
    return true;
  }

  #take(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(): Pattern {
    if (++this.#depth > MAX_DEPTH) throw new PatternError(`has groups more than ${MAX_DEPTH} deep`);
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    return parts.length === 1 ? parts[0]! : { kind: "choice", parts };
  }

  #sequence(): Pattern {
    const parts: Pattern[] = [];
    while (this.#at < this.#source.length && !this.#peek("|") && !this.#peek(")"))
      parts.push(this.#quantified(this.#atom()));
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  #quantified(inner: Pattern): Pattern {
    let [least, most] = [1, 1];
    if (this.#take("*")) [least, most] = [0, Infinity];
    else if (this.#take("+")) [least, most] = [1, Infinity];
    else if (this.#take("?")) [least, most] = [0, 1];
    else {
      const counts = this.#counts();
      if (!counts) return inner;
      [least, most] = counts;
    }
    // Which of several matches is taken makes no difference here.
    this.#take("?");
    if (inner.kind === "start" || inner.kind === "end" || inner.kind === "look")
      throw new PatternError("repeats an assertion");
    return { kind: "repeat", inner, least, most };
  }

  /** `{m}`, `{m,}` or `{m,n}`. */
  #counts(): [number, number] | undefined {
    if (!this.#peek("{")) return undefined;
    const close = this.#source.indexOf("}", this.#at);
    const match = /^(\d{1,15})(,(\d{0,15}))?$/.exec(
      close === -1 ? "" : this.#source.slice(this.#at + 1, close).join(""),
    );
    if (!match) return undefined;
    this.#at = close + 1;
    const least = Number(match[1]);
    const most = match[2] === undefined ? least : match[3] === "" ? Infinity : Number(match[3]);
    if (most < least) throw new PatternError(`repeats {${match[0]}}, which goes downwards`);
    return [least, most];
  }

  #atom(): Pattern {
    const character = this.#source[this.#at++]!;
    switch (character) {
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case ".":
        return { kind: "class", set: complement(LINE_ENDS) };
      case "(":
        return this.#group();
      case "[":
        return { kind: "class", set: this.#set() };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw new PatternError(`repeats nothing with ${character}`);
    }
    return point(character.codePointAt(0)!);
  }

  #group(): Pattern {
    let wrap = (inner: Pattern): Pattern => inner;
    if (this.#take("?=")) wrap = (inner) => ({ kind: "look", inner, negative: false });
    else if (this.#take("?!")) wrap = (inner) => ({ kind: "look", inner, negative: true });
    else if (this.#peek("?<=") || this.#peek("?<!"))
      throw new PatternError("looks behind, which is not supported");
    else if (this.#take("?<")) {
      const close = this.#source.indexOf(">", this.#at);
      if (close === -1) throw new PatternError("has a group's name without its >");
      this.#at = close + 1;
    } else if (!this.#take("?:") && this.#peek("?"))
      throw new PatternError(
        `has (${this.#source.slice(this.#at, this.#at + 2).join("")}, which is not supported`,
      );
    const inner = this.#choice();
    if (!this.#take(")")) throw new PatternError("has a ( without its )");
    return wrap(inner);
  }

  #escape(): Pattern {
    const character = this.#source[this.#at];
    if (character === "b" || character === "B")
      throw new PatternError(`asks for the boundary of a word (\\${character}), which is not supported`);
    if (character === "k" || (character !== undefined && character >= "1" && character <= "9"))
      throw new PatternError("refers back to a group, which no automaton can follow");
    const escaped = this.#classEscape();
    return typeof escaped === "number" ? point(escaped) : { kind: "class", set: escaped };
  }

  /** What stands behind a backslash: a class or one code point. */
  #classEscape(): CharacterClass | number {
    const character = this.#source[this.#at++];
    if (character === undefined) throw new PatternError("ends in a backslash");
    switch (character) {
      case "d":
        return DIGITS;
      case "D":
        return complement(DIGITS);
      case "w":
        return WORD;
      case "W":
        return complement(WORD);
      case "s":
        return SPACES;
      case "S":
        return complement(SPACES);
      case "p":
      case "P":
        throw new PatternError(`has a property of Unicode (\\${character}), which is not supported`);
      case "x":
        return this.#hexadecimal(2);
      case "u":
        return this.#unicode();
      case "c": {
        const letter = this.#source[this.#at++] ?? "";
        if (!/^[A-Za-z]$/.test(letter)) throw new PatternError("has a \\c without a letter");
        return letter.charCodeAt(0) % 32;
      }
    }
    return CONTROLS[character] ?? character.codePointAt(0)!;
  }

  #hexadecimal(digits: number): number {
    const text = this.#source.slice(this.#at, this.#at + digits).join("");
    if (text.length < digits || !/^[\da-f]+$/i.test(text))
      throw new PatternError(`has an escape without its ${digits} hexadecimal digits`);
    this.#at += digits;
    return Number.parseInt(text, 16);
  }

  #unicode(): number {
    if (this.#take("{")) {
      const close = this.#source.indexOf("}", this.#at);
      const text = this.#source.slice(this.#at, Math.max(this.#at, close)).join("");
      if (!/^[\da-f]{1,8}$/i.test(text) || Number.parseInt(text, 16) > 0x10ffff)
        throw new PatternError("has a \\u{…} that is no code point");
      this.#at = close + 1;
      return Number.parseInt(text, 16);
    }
    const high = this.#hexadecimal(4);
    if (high >= 0xd800 && high < 0xdc00 && this.#take("\\u")) {
      const low = this.#hexadecimal(4);
      if (low >= 0xdc00 && low < 0xe000) return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
      throw new PatternError("has half of a surrogate pair");
    }
    return high;
  }

  #set(): CharacterClass {
    const negative = this.#take("^");
    const sets: CharacterClass[] = [];
    const ranges: [number, number][] = [];
    const member = (): CharacterClass | number => {
      if (this.#at >= this.#source.length) throw new PatternError("has a [ without its ]");
      if (this.#take("\\b")) return 8;
      if (this.#take("\\")) return this.#classEscape();
      return this.#source[this.#at++]!.codePointAt(0)!;
    };
    while (!this.#take("]")) {
      const first = member();
      const range =
        this.#peek("-") && this.#source[this.#at + 1] !== "]" && this.#at + 1 < this.#source.length;
      if (typeof first !== "number") sets.push(first);
      else if (!range) ranges.push([first, first]);
      // Behind a class, or before one, a hyphen is itself, as without the flag u.
      if (!range || typeof first !== "number") continue;
      this.#at++;
      const last = member();
      if (typeof last !== "number") {
        sets.push(last);
        ranges.push([first, first], [0x2d, 0x2d]);
      } else if (last < first) throw new PatternError("has a range of characters that goes downwards");
      else ranges.push([first, last]);
    }
    const set = union(classOfRanges(ranges), ...sets);
    return negative ? complement(set) : set;
  }
}

function point(code: number): Pattern {
  return { kind: "class", set: classOfRanges([[code, code]]) };
}

/** Whether it holds an assertion. */
export function hasAssertion(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case "class":
      return false;
    case "repeat":
      return hasAssertion(pattern.inner);
    case "sequence":
    case "choice":
      return pattern.parts.some(hasAssertion);
    default:
      return true;
  }
}
