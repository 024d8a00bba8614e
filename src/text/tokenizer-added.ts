// Finding added words in a text: at each place the longest that begins there, from the left.

import { skipWhite, skipWhiteBack } from "./tokenizer-characters.ts";
import { isWordCharacter } from "./tokenizer-settings.ts";
import type { AddedWord } from "./tokenizer-table.ts";

/** A part of a text: an added word, or what lies between two. */
export type Section = { id: number } | { text: string; start: number };

/** Places at which a word could begin that are looked at in one go. */
const PLACES = 8192;

/** The words, sorted, so that those with a common beginning are neighbours: a trie without nodes. */
export class AddedWords {
  readonly #spellings: string[];
  readonly #words: AddedWord[];
  /** Finds the next place at which a word can begin. */
  readonly #beginning: RegExp;

  /** @param words what to look for, each by its spelling */
  constructor(words: [spelling: string, word: AddedWord][]) {
    // Where two are spelled alike, the later one counts.
    const sorted = [...new Map(words)].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#spellings = sorted.map(([spelling]) => spelling);
    this.#words = sorted.map(([, word]) => word);
    const units = new Set(this.#spellings.map((spelling) => spelling.charCodeAt(0)));
    const escaped = Array.from(units, (unit) => `\\u${unit.toString(16).padStart(4, "0")}`);
    this.#beginning = new RegExp(`[${escaped.join("")}]`, "g");
  }

  /** Index of the longest word at a place that `counts`, -1 if there is none. */
  #longestAt(text: string, at: number, counts: (word: AddedWord, end: number) => boolean): number {
    let [low, high, found] = [0, this.#spellings.length, -1];
    for (let depth = 0; low < high; depth++) {
      // All of these agree with the text up to here; a word that ends here is the first of them.
      if (this.#spellings[low]!.length === depth) {
        if (counts(this.#words[low]!, at + depth)) found = low;
        low++;
      }
      if (at + depth >= text.length) break;
      const unit = text.charCodeAt(at + depth);
      low = this.#bound(low, high, depth, unit);
      high = this.#bound(low, high, depth, unit + 1);
    }
    return found;
  }

  /** First of the words from `low` to `high` whose unit at `depth` is at least `unit`. */
  #bound(low: number, high: number, depth: number, unit: number): number {
    let [from, to] = [low, high];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#spellings[middle]!.charCodeAt(depth) < unit) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** The first place from `at` on at which a word can begin; the text's end if there is none. */
  #next(text: string, at: number): number {
    this.#beginning.lastIndex = at;
    return this.#beginning.exec(text)?.index ?? text.length;
  }

  /**
   * Cuts a text at its added words.
   *
   * @param special whether a special word counts; one that does not is text, and so is a word within it. Or where one
   *   counts: then the longest of those that do is taken.
   * @returns the sections in order, and undefined after every few thousand places at which a word could begin
   */
  *split(
    text: string,
    special: boolean | ((start: number, end: number) => boolean),
  ): Generator<Section | undefined, void, undefined> {
    let place = 0;
    const counts = (word: AddedWord, end: number) =>
      typeof special === "boolean" || !word.special || special(place, end);
    let start = 0;
    /** Where the white space ends that words have taken along: those within it do not look again. */
    let whiteEnd = 0;
    let places = 0;
    for (place = this.#next(text, 0); place < text.length; place = this.#next(text, place)) {
      if (++places % PLACES === 0) yield undefined;
      const found = this.#longestAt(text, place, counts);
      if (found === -1) {
        place++;
        continue;
      }
      const word = this.#words[found]!;
      const end = place + this.#spellings[found]!.length;
      if ((special !== false || !word.special) && (!word.singleWord || standsAlone(text, place, end))) {
        const from = word.lstrip ? Math.max(start, skipWhiteBack(text, place, start)) : place;
        if (from > start) yield { text: text.slice(start, from), start };
        if (word.rstrip && end > whiteEnd) whiteEnd = skipWhite(text, end);
        start = word.rstrip ? whiteEnd : end;
        // One that would take white space before it, and is itself in what another has taken, is none.
        if (from < start) yield { id: word.id };
      }
      place = end;
    }
    if (start < text.length) yield { text: text.slice(start), start };
  }
}

/** Whether what is between two places is no part of a longer word. */
function standsAlone(text: string, start: number, end: number): boolean {
  const after = end < text.length ? String.fromCodePoint(text.codePointAt(end)!) : "";
  // A unit of a surrogate pair is looked at with its other half.
  const unit = start > 0 ? text.charCodeAt(start - 1) : 0;
  const before =
    start === 0 ? "" : text.slice(unit >= 0xdc00 && unit < 0xe000 ? start - 2 : start - 1, start);
  return !isWordCharacter(after) && !isWordCharacter(before);
}
