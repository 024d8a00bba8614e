// Where a string stands that is written byte by byte, as plain UTF-8 or between JSON's quotation marks: which of
// several languages it may still belong to, and what is open of a character.

import { remember } from "../memory.ts";
import type { Inside, State } from "../state.ts";
import { Steps } from "../steps.ts";
import type { Range } from "./classes.ts";
import { ALL, ANY, type Language, type Languages, rangeOf } from "./language.ts";

/** One language that a string may belong to, with the characters that it must and may still have. */
export interface Track {
  language: Language;
  /** At least so many more. */
  least: number;
  /** At most so many more. */
  most: number;
  /** Which of the languages at the beginning it comes from. */
  origin: number;
}

/** Digits of a number that have begun: of a code point in UTF-8, or of a UTF-16 unit behind a backslash and a u. */
interface Digits {
  kind: "digits";
  /** Bits of a digit: 6 in UTF-8, 4 in a hexadecimal number. */
  bits: 6 | 4;
  /** So many digits more. */
  left: number;
  /** The number with zeros for them. */
  base: number;
  /** UTF-8: the least code point with so many bytes. */
  floor: number;
  /** Behind the first half of a surrogate pair: that half. Otherwise 0. */
  high: number;
}

/** A character that has begun. */
type Open =
  | undefined
  | Digits
  /** So many bytes more in UTF-8 that make no difference: the tracks are those behind the character. */
  | { kind: "skip"; left: number }
  /** Behind a backslash, and before one; `high` is the first half of a surrogate pair that has to be completed, or 0. */
  | { kind: "escape" | "pair"; high: number };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
/** What a letter behind a backslash stands for, by their code points. */
const ESCAPES: Record<number, number> = {
  [QUOTE]: QUOTE,
  [BACKSLASH]: BACKSLASH,
  98: 8,
  102: 12,
  110: 10,
  114: 13,
  116: 9,
};

/** What is remembered of a place, of each of its tracks, and of a state there. */
const [PLACE_BYTES, TRACK_BYTES, STATE_BYTES] = [500, 80, 250];

/** The least code point with so many bytes behind its first. */
const FLOORS = [0, 0x80, 0x800, 0x10000];

/**
 * Characters that may be written as a backslash, a u and a number. Others have one way of being written, so that a
 * schema that says which they are leaves no choice.
 */
const NUMBERED: readonly Range[] = [
  [0, 0x1f],
  [0x7f, 0xd7ff],
  [0xe000, 0x10ffff],
];
const ESCAPED: readonly Range[] = [...NUMBERED, [QUOTE, QUOTE], [BACKSLASH, BACKSLASH]];

/** What lies in some ranges and from one number to another. */
function within(ranges: readonly Range[], from: number, to: number): Range[] {
  return ranges
    .map(([first, last]): Range => [Math.max(first, from), Math.min(last, to)])
    .filter(([first, last]) => first <= last);
}

/** The code points that a number with these digits may be, or begin. */
function pointsOf({ bits, left, base, floor, high }: Digits): Range[] {
  const last = base + (1 << (bits * left)) - 1;
  if (bits === 6) return within([[floor, last]], base, last);
  const pairs = (half: number) => 0x10000 + ((half - 0xd800) << 10);
  if (high !== 0)
    return within([[0xdc00, 0xdfff]], base, last).map(([from, to]) => [
      pairs(high) + from - 0xdc00,
      pairs(high) + to - 0xdc00,
    ]);
  const halves = within([[0xd800, 0xdbff]], base, last);
  return [
    ...within(NUMBERED, base, last),
    ...halves.map(([from, to]): Range => [pairs(from), pairs(to) + 0x3ff]),
  ];
}

/** Where a string stands between two characters. */
class Place {
  readonly tracks: readonly Track[];
  /** What follows is the same for all characters from `starts[i]` to before `starts[i + 1]`. */
  readonly starts: readonly number[];
  /** What follows, once that is known: null for nothing. */
  readonly targets: (Place | null | undefined)[] = [];
  /** The states that stand here, by what is open. */
  readonly states = new Map<string, TextState>();

  constructor(tracks: readonly Track[], starts: readonly number[]) {
    this.tracks = tracks;
    this.starts = starts;
  }

  clear(): void {
    this.targets.length = 0;
    this.states.clear();
  }
}

/** Makes the states of strings, each once. */
export class TextStates {
  readonly languages: Languages;
  readonly #quoted: boolean;
  readonly #places = new Map<string, Place>();

  /** @param quoted strings of JSON rather than plain text */
  constructor(languages: Languages, quoted: boolean) {
    this.languages = languages;
    this.#quoted = quoted;
  }

  /** The state before the first character; undefined if no text is in any of the languages. */
  begin(tracks: readonly Track[]): TextState | undefined {
    return this.#state(this.#place(tracks.map((track) => this.#exact(track)).filter(this.#isAlive)));
  }

  /** The same without bounds that change nothing; where lengths are not known, with bounds in the language. */
  #exact(track: Track): Track {
    const { language, least, most } = track;
    const { lengths } = language;
    if (!lengths)
      return { ...track, language: this.ofLength(language, least, most), least: 0, most: Infinity };
    return {
      ...track,
      least: least <= lengths.shortest ? 0 : least,
      most: most >= lengths.longest ? Infinity : most,
    };
  }

  /** Texts of a language that have so many characters. */
  ofLength(language: Language, least: number, most: number): Language {
    return this.languages.intersection([language, this.languages.repeat(ANY, least, most)]);
  }

  /** The same without bounds on what may still come. */
  unbounded({ place, open }: TextState): TextState {
    return this.#state(this.#place(place.tracks.map((track) => ({ ...track, most: Infinity }))), open)!;
  }

  /** Behind so many characters, where any may follow. */
  behind({ place }: TextState, characters: number): TextState | undefined {
    return this.#state(this.#advance(place, characters, (language) => language));
  }

  /** The place with these tracks; undefined if there are none. */
  #place(tracks: readonly Track[]): Place | undefined {
    if (tracks.length === 0) return undefined;
    let key = "";
    for (const { language, least, most, origin } of tracks)
      key += `${language.id},${least},${most},${origin};`;
    let found = this.#places.get(key);
    if (!found) {
      const starts = tracks.map(({ language }) => this.languages.transitions(language).starts);
      const all = starts.length === 1 ? starts[0]! : [...new Set(starts.flat())].sort((a, b) => a - b);
      this.#places.set(key, (found = new Place(tracks, all)));
      remember(this.#places, PLACE_BYTES + TRACK_BYTES * tracks.length + key.length + 8 * all.length);
    }
    return found;
  }

  #state(place: Place | undefined, open?: Open): TextState | undefined {
    if (!place) return undefined;
    const key = open ? Object.values(open).join() : "";
    let found = place.states.get(key);
    if (!found) {
      place.states.set(key, (found = new TextState(this, place, open)));
      remember(place, STATE_BYTES);
    }
    return found;
  }

  readonly #isAlive = ({ language, least, most }: Track): boolean => {
    if (most < least || !this.languages.isAlive(language)) return false;
    const { lengths } = language;
    if (!lengths) return true;
    const { shortest, longest, dense } = lengths;
    if (shortest > most || longest < least) return false;
    if (dense || shortest >= least || longest <= most) return true;
    return this.languages.isAlive(this.ofLength(language, least, most));
  };

  /** The place behind so many characters, given what becomes of each track's language. */
  #advance({ tracks }: Place, characters: number, next: (language: Language) => Language): Place | undefined {
    const ahead = tracks.map(
      ({ language, least, most, origin }): Track => ({
        language: next(language),
        least: Math.max(0, least - characters),
        most: most - characters,
        origin,
      }),
    );
    return this.#place(ahead.filter(this.#isAlive));
  }

  /** The place behind a character of a range, by the range's index. */
  #target(place: Place, range: number): Place | undefined {
    const point = place.starts[range]!;
    let target = place.targets[range];
    if (target === undefined) {
      target = this.#advance(place, 1, (language) => this.languages.next(language, point)) ?? null;
      place.targets[range] = target;
      remember(place, 8);
    }
    return target ?? undefined;
  }

  /** The state behind a character. */
  #behind(place: Place, point: number): TextState | undefined {
    return this.#state(this.#target(place, rangeOf(place.starts, point)));
  }

  /** Whether some character of these may come. */
  #allows(place: Place, ranges: readonly Range[]): boolean {
    const { starts } = place;
    return ranges.some(([first, last]) => {
      for (let i = rangeOf(starts, first); i < starts.length && starts[i]! <= last; i++)
        if (this.#target(place, i)) return true;
      return false;
    });
  }

  step({ place, open }: TextState, byte: number): TextState | undefined {
    switch (open?.kind) {
      case undefined: {
        if (byte >= 0x80) return this.#lead(place, byte);
        if (this.#quoted && byte === BACKSLASH)
          return this.#allows(place, ESCAPED) ? this.#state(place, { kind: "escape", high: 0 }) : undefined;
        if (this.#quoted && (byte < 0x20 || byte === QUOTE)) return undefined;
        return this.#behind(place, byte);
      }
      case "skip":
        if (byte >> 6 !== 2) return undefined;
        return this.#state(place, open.left === 1 ? undefined : { kind: "skip", left: open.left - 1 });
      case "pair":
        return byte === BACKSLASH ? this.#state(place, { kind: "escape", high: open.high }) : undefined;
      case "escape": {
        if (byte === LETTER_U)
          return this.#digits(place, {
            kind: "digits",
            bits: 4,
            left: 4,
            base: 0,
            floor: 0,
            high: open.high,
          });
        const point = open.high === 0 ? ESCAPES[byte] : undefined;
        return point === undefined ? undefined : this.#behind(place, point);
      }
      case "digits": {
        const digit = digitOf(byte, open.bits);
        if (digit === undefined) return undefined;
        const left = open.left - 1;
        return this.#digits(place, { ...open, left, base: open.base + (digit << (open.bits * left)) });
      }
    }
  }

  /** Behind the first byte of a character in UTF-8 that has several. */
  #lead(place: Place, byte: number): TextState | undefined {
    if (byte < 0xc0 || byte > 0xf4) return undefined;
    const left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    const base = (byte & (0x3f >> left)) << (6 * left);
    return this.#digits(place, { kind: "digits", bits: 6, left, base, floor: FLOORS[left]!, high: 0 });
  }

  #digits(place: Place, open: Digits): TextState | undefined {
    const { bits, left, base } = open;
    const points = pointsOf(open);
    if (!points[0]) return undefined;
    const [first, last] = points[0];
    if (left === 0 && first === last) return this.#behind(place, first);
    const range = rangeOf(place.starts, base);
    if (bits === 6 && first === base && range === rangeOf(place.starts, last))
      return this.#state(this.#target(place, range), { kind: "skip", left });
    if (!this.#allows(place, points)) return undefined;
    return this.#state(place, left === 0 ? { kind: "pair", high: base } : open);
  }
}

function digitOf(byte: number, bits: 4 | 6): number | undefined {
  if (bits === 6) return byte >> 6 === 2 ? byte & 0x3f : undefined;
  const digit = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(digit) ? undefined : digit;
}

export class TextState implements Inside, State {
  readonly place: Place;
  readonly open: Open;
  readonly #states: TextStates;
  readonly #next = new Steps<TextState>();
  /** If any characters may follow, how many of them. */
  readonly free: number | undefined;

  constructor(states: TextStates, place: Place, open: Open) {
    this.#states = states;
    this.place = place;
    this.open = open;
    if (open === undefined && place.tracks.every(({ language }) => language === ALL))
      this.free = Math.max(...place.tracks.map(({ most }) => most));
  }

  step(byte: number): TextState | undefined {
    let next = this.#next.get(byte);
    if (next === undefined) this.#next.set(byte, (next = this.#states.step(this, byte) ?? null));
    return next ?? undefined;
  }

  get atBoundary(): boolean {
    return this.open === undefined;
  }

  get mayClose(): boolean {
    return this.origins.length > 0;
  }

  /** Plain text ends where a string might be closed. */
  get mayEnd(): boolean {
    return this.mayClose;
  }

  /** The languages that it belongs to if it ends here, by their place at the beginning. */
  get origins(): number[] {
    const complete = this.place.tracks.filter(({ language, least }) => least === 0 && language.nullable);
    return this.open === undefined ? complete.map(({ origin }) => origin) : [];
  }

  get unbounded(): TextState {
    return this.#states.unbounded(this);
  }

  behind(characters: number): TextState | undefined {
    return this.#states.behind(this, characters);
  }

  isFar(characters: number): boolean {
    return this.place.tracks.every(
      ({ language, most }) => most === Infinity || most >= characters + language.lengths!.deepest,
    );
  }
}
