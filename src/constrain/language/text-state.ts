// Where a string stands that is written byte by byte, as plain UTF-8 or between JSON's quotation marks: which of
// several languages it may still belong to, and what is open of a character.

import type { Inside, State } from "../state.ts";
import { Steps } from "../steps.ts";
import { EVERYTHING } from "./classes.ts";
import { ALL, type Language, type Languages, rangeOf } from "./language.ts";

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

/** A character that has begun: its code point is from `first` to `last`. */
type Open =
  | undefined
  /** So many bytes more in UTF-8; `base` is the code point with zeros for them, `floor` the least with so many bytes. */
  | { kind: "bytes"; left: number; base: number; floor: number }
  /** The same where they make no difference: the tracks are those behind the character. */
  | { kind: "skip"; left: number }
  /** Behind a backslash; `high` is the first half of a surrogate pair that has to be completed, or 0. */
  | { kind: "escape"; high: number }
  /** So many hexadecimal digits more; `base` is the number with zeros for them. */
  | { kind: "hex"; left: number; base: number; high: number }
  /** Behind the first half of a surrogate pair. */
  | { kind: "pair"; high: number };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** What a letter behind a backslash stands for. */
const ESCAPES = new Map([
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0x62, 8],
  [0x66, 12],
  [0x6e, 10],
  [0x72, 13],
  [0x74, 9],
]);

/** The least code point with so many bytes behind its first. */
const FLOORS = [0, 0x80, 0x800, 0x10000];

/**
 * Characters that may be written as a backslash, a u and a number. Others have one way of being written, so that a
 * schema that says which they are leaves no choice.
 */
const NUMBERED = [
  [0, 0x1f],
  [0x7f, 0x10ffff],
] as const;
const ESCAPED = [...NUMBERED, [QUOTE, QUOTE], [BACKSLASH, BACKSLASH]] as const;

type Ranges = readonly (readonly [first: number, last: number])[];

/** Makes the states of strings, each once. */
export class TextStates {
  readonly languages: Languages;
  readonly #quoted: boolean;
  readonly #known = new Map<string, TextState>();

  /** @param quoted strings of JSON rather than plain text */
  constructor(languages: Languages, quoted: boolean) {
    this.languages = languages;
    this.#quoted = quoted;
  }

  get size(): number {
    return this.#known.size;
  }

  clear(): void {
    this.#known.clear();
  }

  /** The state before the first character; undefined if no text is in any of the languages. */
  begin(tracks: readonly Track[]): TextState | undefined {
    const alive = tracks.map((track) => this.#exact(track)).filter((track) => this.#isAlive(track));
    return alive.length === 0 ? undefined : this.#share(alive, undefined);
  }

  /** The same without bounds that change nothing; where lengths are not known exactly, with bounds in the language. */
  #exact(track: Track): Track {
    const { language, origin } = track;
    const { shortest, longest } = language.lengths;
    if (language.plain) {
      return {
        language,
        least: track.least <= shortest ? 0 : track.least,
        most: track.most >= longest ? Infinity : track.most,
        origin,
      };
    }
    return { language: this.ofLength(language, track.least, track.most), least: 0, most: Infinity, origin };
  }

  /** Texts of a language that have so many characters. */
  ofLength(language: Language, least: number, most: number): Language {
    if (least === 0 && most === Infinity) return language;
    const any = this.languages.characters(EVERYTHING);
    return this.languages.intersection([language, this.languages.repeat(any, least, most)]);
  }

  /** The same without bounds on what may still come. */
  unbounded(state: TextState): TextState {
    if (state.tracks.every(({ most }) => most === Infinity)) return state;
    return this.#share(
      state.tracks.map((track) => ({ ...track, most: Infinity })),
      state.open,
    );
  }

  /** Behind so many characters, where any may follow. */
  behind(state: TextState, characters: number): TextState | undefined {
    if (state.tracks.every(({ least, most }) => least === 0 && most === Infinity)) return state;
    const tracks = state.tracks
      .filter(({ most }) => most >= characters)
      .map((track) => ({
        ...track,
        least: Math.max(0, track.least - characters),
        most: track.most - characters,
      }));
    return tracks.length === 0 ? undefined : this.#share(tracks, undefined);
  }

  #share(tracks: readonly Track[], open: Open): TextState {
    let key = "";
    for (const { language, least, most, origin } of tracks)
      key += `${language.id},${least},${most},${origin};`;
    if (open) key += Object.values(open).join();
    let found = this.#known.get(key);
    if (!found) this.#known.set(key, (found = new TextState(this, tracks, open)));
    return found;
  }

  #isAlive(track: Track): boolean {
    const { language, least, most } = track;
    if (most < least || !this.languages.isAlive(language)) return false;
    if (least === 0 && most === Infinity) return true;
    const { shortest, longest, spans } = language.lengths;
    if (shortest > most || longest < least) return false;
    if (shortest >= least || longest <= most) return true;
    if (spans) return spans.some(([from, to]) => from <= most && to >= least);
    return this.languages.isAlive(this.ofLength(language, least, most));
  }

  #behind(track: Track, language: Language): Track | undefined {
    const behind = {
      language,
      least: Math.max(0, track.least - 1),
      most: track.most - 1,
      origin: track.origin,
    };
    return this.#isAlive(behind) ? behind : undefined;
  }

  /** The state behind a whole character. */
  #character(tracks: readonly Track[], point: number): TextState | undefined {
    const next: Track[] = [];
    for (const track of tracks) {
      const behind = this.#behind(track, this.languages.next(track.language, point));
      if (behind) next.push(behind);
    }
    return next.length === 0 ? undefined : this.#share(next, undefined);
  }

  /** Whether some character of these may come. */
  #allows(tracks: readonly Track[], ranges: Ranges): boolean {
    return tracks.some((track) => {
      const { starts, targets } = this.languages.transitions(track.language);
      return ranges.some(([first, last]) => {
        for (let i = rangeOf(starts, first); i < starts.length && starts[i]! <= last; i++)
          if (this.#behind(track, targets[i]!)) return true;
        return false;
      });
    });
  }

  step(state: TextState, byte: number): TextState | undefined {
    const { tracks, open } = state;
    if (open === undefined) {
      if (byte >= 0x80) return this.#lead(tracks, byte);
      if (!this.#quoted) return this.#character(tracks, byte);
      if (byte === BACKSLASH) {
        return this.#allows(tracks, ESCAPED) ? this.#share(tracks, { kind: "escape", high: 0 }) : undefined;
      }
      return byte < 0x20 || byte === QUOTE ? undefined : this.#character(tracks, byte);
    }
    switch (open.kind) {
      case "pair":
        return byte === BACKSLASH ? this.#share(tracks, { kind: "escape", high: open.high }) : undefined;
      case "bytes":
      case "skip":
        if ((byte & 0xc0) !== 0x80) return undefined;
        if (open.kind === "skip")
          return this.#share(tracks, open.left === 1 ? undefined : { kind: "skip", left: open.left - 1 });
        return this.#bytes(
          tracks,
          open.left - 1,
          open.base | ((byte & 0x3f) << (6 * (open.left - 1))),
          open.floor,
        );
      case "escape": {
        if (byte === 0x75) {
          if (open.high === 0 && !this.#allows(tracks, NUMBERED)) return undefined;
          return this.#share(tracks, { kind: "hex", left: 4, base: 0, high: open.high });
        }
        const point = open.high === 0 ? ESCAPES.get(byte) : undefined;
        return point === undefined ? undefined : this.#character(tracks, point);
      }
      case "hex": {
        const digit = Number.parseInt(String.fromCharCode(byte), 16);
        if (Number.isNaN(digit)) return undefined;
        return this.#hex(state, open.left - 1, open.base | (digit << (4 * (open.left - 1))), open.high);
      }
    }
  }

  #lead(tracks: readonly Track[], byte: number): TextState | undefined {
    if (byte < 0xc2 || byte > 0xf4) return undefined;
    const left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    return this.#bytes(tracks, left, (byte & (0x3f >> left)) << (6 * left), FLOORS[left]!);
  }

  #bytes(tracks: readonly Track[], left: number, base: number, floor: number): TextState | undefined {
    if (left === 0) return this.#character(tracks, base);
    // Bounds that UTF-8 has: no longer forms, no surrogates, nothing above U+10FFFF.
    const last = base + (1 << (6 * left)) - 1;
    const from = Math.max(base, floor);
    const to = base === 0xd000 && left === 2 ? 0xd7ff : Math.min(last, 0x10ffff);
    if (from > to || (base >= 0xd800 && base < 0xe000)) return undefined;
    if (from === base && to === last) {
      const next = tracks.map((track) => {
        const { starts, targets } = this.languages.transitions(track.language);
        const range = rangeOf(starts, from);
        if (range !== rangeOf(starts, to)) return undefined;
        return this.#behind(track, targets[range]!) ?? null;
      });
      if (!next.includes(undefined)) {
        const behind = next.filter((track): track is Track => !!track);
        return behind.length === 0 ? undefined : this.#share(behind, { kind: "skip", left });
      }
    }
    if (!this.#allows(tracks, [[from, to]])) return undefined;
    return this.#share(tracks, { kind: "bytes", left, base, floor });
  }

  #hex({ tracks }: TextState, left: number, base: number, high: number): TextState | undefined {
    const last = base + (1 << (4 * left)) - 1;
    if (high !== 0) {
      const [from, to] = [Math.max(base, 0xdc00), Math.min(last, 0xdfff)];
      if (from > to) return undefined;
      const points = 0x10000 + ((high - 0xd800) << 10) - 0xdc00;
      if (left === 0) return this.#character(tracks, points + base);
      if (!this.#allows(tracks, [[points + from, points + to]])) return undefined;
      return this.#share(tracks, { kind: "hex", left, base, high });
    }
    if (left === 0) {
      if (base < 0xd800 || base > 0xdfff)
        return base < 0x20 || base >= 0x7f ? this.#character(tracks, base) : undefined;
      if (base >= 0xdc00) return undefined;
    }
    const ranges = NUMBERED.map(([first, end]): [number, number] => [
      Math.max(base, first),
      Math.min(last, end),
    ]);
    const [from, to] = [Math.max(base, 0xd800), Math.min(last, 0xdbff)];
    if (from <= to) ranges.push([0x10000 + ((from - 0xd800) << 10), 0x103ff + ((to - 0xd800) << 10)]);
    if (!this.#allows(tracks, ranges)) return undefined;
    return this.#share(tracks, left === 0 ? { kind: "pair", high: base } : { kind: "hex", left, base, high });
  }
}

export class TextState implements Inside, State {
  readonly tracks: readonly Track[];
  readonly open: Open;
  readonly #states: TextStates;
  readonly #next = new Steps<TextState>();
  /** If any characters may follow, how many of them. */
  readonly free: number | undefined;

  constructor(states: TextStates, tracks: readonly Track[], open: Open) {
    this.#states = states;
    this.tracks = tracks;
    this.open = open;
    if (open === undefined && tracks.every(({ language }) => language === ALL))
      this.free = Math.max(...tracks.map(({ most }) => most));
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
    return this.open === undefined && this.tracks.some(isComplete);
  }

  /** Plain text ends where a string might be closed. */
  get mayEnd(): boolean {
    return this.mayClose;
  }

  /** The languages that it belongs to if it ends here, by their place at the beginning. */
  get origins(): number[] {
    return this.open === undefined ? this.tracks.filter(isComplete).map(({ origin }) => origin) : [];
  }

  get unbounded(): TextState {
    return this.#states.unbounded(this);
  }

  behind(characters: number): TextState | undefined {
    return this.#states.behind(this, characters);
  }

  isFar(characters: number): boolean {
    return this.tracks.every(({ language, most }) => most >= characters + language.lengths.deepest);
  }
}

function isComplete({ language, least }: Track): boolean {
  return least === 0 && language.nullable;
}
