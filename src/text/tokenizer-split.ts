// Cutting a text into the pieces within which bytes or characters are merged. Tokenizers publish these cuts as regular
// expressions; each that is known here is a scanner written by hand, which looks at every character a bounded
// number of times whatever the text. tests/text/split.test.ts holds the scanners to the expressions.

import { classOf, isWhite, LETTER, NUMBER, OTHER, skipWhite, WHITE } from "./tokenizer-characters.ts";

/** The pieces of a text, in order; each is looked for when it is asked for. */
export type Pieces = Generator<string, void, undefined>;

const APOSTROPHE = 0x27;
const SPACE = 0x20;
const RETURN = 0x0d;
const NEWLINE = 0x0a;

function classAt(text: string, at: number): number {
  return at < text.length ? classOf(text.codePointAt(at)!) : -1;
}

/** Index behind the character at `at`. */
function next(text: string, at: number): number {
  return at + (text.codePointAt(at)! > 0xffff ? 2 : 1);
}

/** Index behind the run of characters of one class that begins at `at`, of at most `limit` characters. */
function skip(text: string, at: number, wanted: number, limit = Number.POSITIVE_INFINITY): number {
  let end = at;
  for (let count = 0; count < limit && classAt(text, end) === wanted; count++) end = next(text, end);
  return end;
}

function isNewline(unit: number): boolean {
  return unit === NEWLINE || unit === RETURN;
}

/**
 * Index behind white space as `\s+(?!\S)|\s+` takes it: all of it where it ends the text, else all but the last
 * character, which belongs to what follows; a single one alone.
 */
function skipSpaces(text: string, at: number): number {
  const end = skipWhite(text, at);
  return end === text.length || end === at + 1 ? end : end - 1;
}

/** Length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at an apostrophe, 0 if there is none. */
function contraction(text: string, at: number, anyCase: boolean): number {
  const letter = (offset: number) => {
    const unit = text.charCodeAt(at + offset);
    // U+017F is the one other character that equals a letter of these when case is ignored.
    return !anyCase ? unit : unit === 0x17f ? 0x73 : unit >= 0x41 && unit <= 0x5a ? unit + 32 : unit;
  };
  switch (letter(1)) {
    case 0x73: // s
    case 0x74: // t
    case 0x6d: // m
    case 0x64: // d
      return 2;
    case 0x72: // r
    case 0x76: // v
      return letter(2) === 0x65 ? 3 : 0; // e
    case 0x6c: // l
      return letter(2) === 0x6c ? 3 : 0;
    default:
      return 0;
  }
}

/** GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` (encoder.py of its release). */
export function* splitGpt2(text: string): Pieces {
  for (let at = 0, end: number; at < text.length; at = end) {
    const unit = text.charCodeAt(at);
    end = unit === APOSTROPHE ? at + contraction(text, at, false) : at;
    if (end === at) {
      const first = unit === SPACE ? at + 1 : at;
      const kind = classAt(text, first);
      end = kind === WHITE || kind === -1 ? skipSpaces(text, at) : skip(text, first, kind);
    }
    yield text.slice(at, end);
  }
}

/**
 * Llama 3 (up to three digits a piece) and Qwen 2 (one):
 * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
 */
export function* splitLlama3(text: string, digits: number): Pieces {
  for (let at = 0, end: number; at < text.length; at = end) {
    const unit = text.charCodeAt(at);
    end = unit === APOSTROPHE ? at + contraction(text, at, true) : at;
    if (end === at) end = endOfLlama3(text, at, digits);
    yield text.slice(at, end);
  }
}

function endOfLlama3(text: string, at: number, digits: number): number {
  const unit = text.charCodeAt(at);
  const kind = classAt(text, at);
  if (kind === LETTER) return skip(text, at, LETTER);
  if (kind === NUMBER) return skip(text, at, NUMBER, digits);
  const second = next(text, at);
  if (!isNewline(unit) && classAt(text, second) === LETTER) return skip(text, second, LETTER);
  const sign = unit === SPACE ? second : at;
  if (classAt(text, sign) === OTHER) {
    let end = skip(text, sign, OTHER);
    while (end < text.length && isNewline(text.charCodeAt(end))) end++;
    return end;
  }
  let lines = skipWhite(text, at);
  while (lines > at && !isNewline(text.charCodeAt(lines - 1))) lines--;
  return lines > at ? lines : skipSpaces(text, at);
}

/** Numbers apart from the rest: each digit by itself, or runs of them. */
export function* splitDigits(text: string, individual: boolean): Pieces {
  for (let at = 0, end: number; at < text.length; at = end) {
    if (classAt(text, at) === NUMBER) end = skip(text, at, NUMBER, individual ? 1 : undefined);
    else
      for (end = next(text, at); end < text.length && classAt(text, end) !== NUMBER; ) end = next(text, end);
    yield text.slice(at, end);
  }
}

/** What becomes of a separator. */
export type Behavior = "removed" | "isolated" | "mergedWithPrevious" | "mergedWithNext" | "contiguous";

/** Cuts at each place where `separator` stands. */
export function* splitLiteral(text: string, separator: string, behavior: Behavior): Pieces {
  let start = 0;
  for (let at = text.indexOf(separator); at !== -1; at = text.indexOf(separator, at)) {
    let end = at + separator.length;
    if (behavior === "contiguous") while (text.startsWith(separator, end)) end += separator.length;
    if (behavior !== "mergedWithPrevious") {
      if (at > start) yield text.slice(start, at);
      start = at;
    }
    if (behavior === "removed") start = end;
    else if (behavior !== "mergedWithNext") {
      yield text.slice(start, end);
      start = end;
    }
    at = end;
  }
  if (text.length > start) yield text.slice(start);
}

/** Cuts off white space at either end. */
export function trimWhite(text: string, left: boolean, right: boolean): string {
  let end = text.length;
  if (right) while (end > 0 && isWhite(text.charCodeAt(end - 1))) end--;
  const start = left ? Math.min(end, skipWhite(text, 0)) : 0;
  return text.slice(start, end);
}
