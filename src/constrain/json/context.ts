// Where a JSON text stands. At each depth the text may still belong to several alternatives; they share the text's
// structure, so that they are carried on side by side:
//
//   { "a": [ 1,        Context of the root's value: its goals, and what follows when some of them are reached
//   │      └ Frame     └ Frame of the object: the ObjectStates that are still possible
//   │        of the array: its ArrayStates          └ Context of the value of "a" └ …
//   └ each Frame's states say which of its Context's goals they would reach
//
// A value that ends tells its Context which goals it has reached; that gives the states behind it in the Frame around.

import type { TextState, Track } from "../language/text-state.ts";
import { remember } from "../memory.ts";
import type { Inside, State } from "../state.ts";
import type { ArrayState } from "./array-rules.ts";
import { FALSE, NULL, type StringFacts, TRUE } from "./facts.ts";
import type { Goal } from "./goal.ts";
import { isPlain, Listing } from "./listing.ts";
import type { NumberFacts } from "./number-facts.ts";
import { canBecomeNumber, isNumber, shortened } from "./number-text.ts";
import type { ObjectState, Step } from "./object-state.ts";
import { type Making, Remembering } from "./places.ts";

const QUOTE = 0x22;
/** What is remembered of a state, a frame or a context. */
const KNOWN_BYTES = 400;
/** Strings up to which a list is walked, rather than an expression. */
const MAX_LISTED = 200;
const [OPEN_ARRAY, OPEN_OBJECT] = [0x5b, 0x7b];
const WORDS = [
  { text: "null", bit: NULL },
  { text: "false", bit: FALSE },
  { text: "true", bit: TRUE },
] as const;
const NUMBER_BYTES = new Set([..."-+.eE0123456789"].map((character) => character.charCodeAt(0)));

/** One of the sets that a number may belong to, or of the states that an array or object may be in. */
export interface Thread<S> {
  state: S;
  /** The goal that it would reach, by its place in the context's list. */
  origin: number;
}

/** An array or an object that has begun. */
export interface Frame {
  /** Behind the opening bracket. */
  readonly first: State;
  /** Behind a value. */
  readonly between: State;
}

/** Makes the frames of arrays and objects, which make contexts for what is in them. */
export interface Frames {
  array(context: Context, threads: readonly Thread<ArrayState>[]): Frame;
  object(context: Context, threads: readonly Thread<ObjectState>[]): Frame;
}

/** The state behind a value that has reached some of the goals, by their place in the list. */
type Finish = (reached: readonly number[], value: unknown) => State | undefined;

/** A value that is to come or has begun: what it may be, and what follows when it has ended. */
export class Context {
  readonly making: Making;
  readonly frames: Frames;
  readonly goals: readonly Goal[];
  readonly #finish: Finish;
  /** Whether what follows depends on the value. */
  readonly remembers: boolean;
  readonly #known = new Map<string, unknown>();

  /** @param remembers whether `finish` wants the value */
  constructor(making: Making, frames: Frames, goals: readonly Goal[], finish: Finish, remembers: boolean) {
    this.making = making;
    this.frames = frames;
    this.goals = goals;
    this.#finish = finish;
    this.remembers = remembers;
  }

  #once<T>(key: string, make: () => T): T {
    if (!this.#known.has(key)) {
      this.#known.set(key, make());
      remember(this.#known, KNOWN_BYTES + key.length);
    }
    return this.#known.get(key) as T;
  }

  /** @param text the value's; none for arrays and objects, which nothing depends on */
  end(reached: readonly number[], text?: () => string): State | undefined {
    if (reached.length === 0) return undefined;
    const sorted = [...new Set(reached)].sort((a, b) => a - b);
    if (this.remembers) return this.#finish(sorted, text && JSON.parse(text()));
    return this.#once(`e${sorted}`, () => this.#finish(sorted, undefined));
  }

  begin(byte: number): State | undefined {
    const { possibilities, texts } = this.making;
    /** All that the goals have of one kind, with the goal that each would reach. */
    const all = <T>(listOf: (parts: ReturnType<typeof possibilities.of>) => readonly T[]): Thread<T>[] =>
      this.goals.flatMap((goal, origin) =>
        listOf(possibilities.of(goal)).map((state) => ({ state, origin })),
      );
    const canFinish = ({ state }: Thread<{ canFinish: boolean }>) => state.canFinish;
    if (byte === QUOTE) {
      const tracks: Track[] = [];
      const values = new Map<string, number[]>();
      for (const { state, origin } of all(({ strings }) => strings)) {
        const words = wordsOf(state);
        if (!words) tracks.push({ ...state, origin });
        for (const word of words ?? []) values.set(word, [...(values.get(word) ?? []), origin]);
      }
      const listing = values.size > 0 ? new Listing([...values.keys()].sort()) : undefined;
      return this.string(texts.begin(tracks), listing, values, "");
    }
    if (byte === OPEN_OBJECT)
      return this.object(all(({ objects }) => objects.map(({ begin }) => begin)).filter(canFinish))?.first;
    if (byte === OPEN_ARRAY)
      return this.array(all(({ arrays }) => arrays.map(({ begin }) => begin)).filter(canFinish))?.first;
    if (NUMBER_BYTES.has(byte))
      return this.number(
        String.fromCharCode(byte),
        all(({ numbers }) => numbers),
      );
    const word = WORDS.find(({ text }) => text.charCodeAt(0) === byte);
    const reached = word ? all(({ literals }) => (literals & word.bit ? [true] : [])) : [];
    if (!word || reached.length === 0) return undefined;
    return new Word(
      this,
      word.text,
      reached.map(({ origin }) => origin),
    );
  }

  /**
   * @param values strings that are listed, with the goals that they reach
   * @param written what the string has so far, a character for each byte
   */
  string(
    text: TextState | undefined,
    listing: Listing | undefined,
    values: ReadonlyMap<string, readonly number[]>,
    written: string,
  ): StringState | undefined {
    if (!text && !listing) return undefined;
    const make = () => new StringState(this, text, listing, values, written);
    if (this.remembers) return make();
    return this.#once(`s${text && this.making.idOf(text)}:${listing && written}`, make);
  }

  number(text: string, candidates: readonly Thread<NumberFacts>[]): NumberState | undefined {
    const alive = candidates.filter(({ state }) => canBecomeNumber(state, text));
    if (alive.length === 0) return undefined;
    const sets = alive.map(({ state }) => state);
    const short = this.remembers ? text : shortened(sets, text);
    return this.#once(`n${short};${this.#keyOf(alive)}`, () => new NumberState(this, short, alive));
  }

  object(threads: readonly Thread<ObjectState>[]): Frame | undefined {
    return this.#frame("object", threads);
  }

  array(threads: readonly Thread<ArrayState>[]): Frame | undefined {
    return this.#frame("array", threads);
  }

  /** A frame with these threads, each once. */
  #frame<K extends keyof Frames>(kind: K, threads: Parameters<Frames[K]>[1]): Frame | undefined {
    if (threads.length === 0) return undefined;
    const unique = new Map(threads.map((thread) => [this.#keyOf([thread]), thread]));
    const make = this.frames[kind] as (context: Context, threads: readonly unknown[]) => Frame;
    return this.#once(kind + [...unique.keys()].join(), () => make(this, [...unique.values()]));
  }

  #keyOf(threads: readonly Thread<object>[]): string {
    return threads.map(({ state, origin }) => `${this.making.idOf(state)}:${origin}`).join();
  }

  /** The context of a value inside: several threads' steps, by what the value must be. */
  inner<S>(
    steps: readonly (Step<S> & { origin: number })[],
    behind: (threads: Thread<S>[], value: unknown) => State | undefined,
    remembers = false,
  ): Context {
    const byGoal = new Map<Goal, Thread<S>[]>();
    for (const { goal, after, origin } of steps)
      byGoal.set(goal, [...(byGoal.get(goal) ?? []), { state: after, origin }]);
    const lists = [...byGoal.values()];
    const finish: Finish = (reached, value) =>
      behind(
        reached.flatMap((i) => lists[i]!),
        value,
      );
    return new Context(this.making, this.frames, [...byGoal.keys()], finish, remembers);
  }
}

/** null, true or false, from its second letter on. */
class Word extends Remembering {
  readonly #context: Context;
  readonly #text: string;
  readonly #reached: readonly number[];
  readonly #at: number;

  constructor(context: Context, text: string, reached: readonly number[], at = 1) {
    super(context.making);
    this.#context = context;
    this.#text = text;
    this.#reached = reached;
    this.#at = at;
  }

  find(byte: number): State | undefined {
    if (byte !== this.#text.charCodeAt(this.#at)) return undefined;
    const next = this.#at + 1;
    if (next === this.#text.length) return this.#context.end(this.#reached, () => this.#text);
    return new Word(this.#context, this.#text, this.#reached, next);
  }
}

class NumberState extends Remembering {
  readonly #context: Context;
  readonly #text: string;
  readonly #candidates: readonly Thread<NumberFacts>[];
  #behind: State | null | undefined;

  constructor(context: Context, text: string, candidates: readonly Thread<NumberFacts>[]) {
    super(context.making);
    this.#context = context;
    this.#text = text;
    this.#candidates = candidates;
  }

  /** The state if the number ends here; null if it may not. */
  get behind(): State | null {
    if (this.#behind === undefined) {
      const reached = this.#candidates.filter(({ state }) => isNumber(state, this.#text));
      this.#behind =
        this.#context.end(
          reached.map(({ origin }) => origin),
          () => this.#text,
        ) ?? null;
    }
    return this.#behind;
  }

  override get mayEnd(): boolean {
    return this.behind?.mayEnd ?? false;
  }

  find(byte: number): State | undefined {
    if (!NUMBER_BYTES.has(byte)) return this.behind?.step(byte);
    return this.#context.number(this.#text + String.fromCharCode(byte), this.#candidates);
  }
}

class StringState extends Remembering {
  readonly inside: TextState | undefined;
  readonly #context: Context;
  readonly #listing: Listing | undefined;
  readonly #values: ReadonlyMap<string, readonly number[]>;
  readonly #written: string;

  constructor(
    context: Context,
    text: TextState | undefined,
    listing: Listing | undefined,
    values: ReadonlyMap<string, readonly number[]>,
    written: string,
  ) {
    super(context.making);
    this.#context = context;
    this.inside = text;
    this.#listing = listing;
    this.#values = values;
    this.#written = written;
  }

  get listed(): readonly string[] | undefined {
    return this.#listing?.rests;
  }

  find(byte: number): State | undefined {
    if (byte === QUOTE && this.inside?.atBoundary !== false) return this.close(this.inside, "");
    const written = this.#written + String.fromCharCode(byte);
    return this.#context.string(this.inside?.step(byte), this.#listing?.step(byte), this.#values, written);
  }

  close(inside: Inside | undefined, written: string): State | undefined {
    const text = this.#written + written;
    const listed = (this.#listing && this.#values.get(text)) ?? [];
    const origins = (inside as TextState | undefined)?.origins ?? [];
    return this.#context.end([...origins, ...listed], () => JSON.stringify(readString(text)));
  }

  get unbounded(): State {
    const unbounded = this.inside?.unbounded;
    if (unbounded === this.inside || this.#listing || this.#context.remembers) return this;
    return this.#context.string(unbounded, undefined, this.#values, "")!;
  }
}

/** The strings that facts list, if they are not many and are written in one way only. */
function wordsOf({ language: { shape }, least, most }: StringFacts): readonly string[] | undefined {
  if (shape.kind !== "strings" || least > 0 || most < Infinity) return undefined;
  const { set, low, high, depth } = shape;
  if (high - low > MAX_LISTED) return undefined;
  const words = set.sorted.slice(low, high).map((word) => word.slice(depth));
  return words.every(isPlain) ? words : undefined;
}

/** The text of a JSON string's inside, given a character for each byte. */
export function readString(written: string): string {
  if (/^[^\\\x80-\xff]*$/.test(written)) return written;
  const text = new TextDecoder().decode(Uint8Array.from(written, (character) => character.charCodeAt(0)));
  return JSON.parse(`"${text}"`);
}
