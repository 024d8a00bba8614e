// The keys of an object that has begun: those that a schema names, and others by their languages.

import type { Language } from "../language/language.ts";
import type { TextState, Track } from "../language/text-state.ts";
import { remember } from "../memory.ts";
import type { Inside, State } from "../state.ts";
import { readString, type Thread } from "./context.ts";
import { isPlain, Listing } from "./listing.ts";
import type { KeyClass, ObjectState, Step } from "./object-state.ts";
import { type Making, Remembering } from "./places.ts";

const QUOTE = 0x22;
/** What is remembered of what is behind a key. */
const KNOWN_BYTES = 1000;

type Steps = readonly (Step<ObjectState> & { origin: number })[];

export class ObjectKeys {
  readonly making: Making;
  readonly #threads: readonly Thread<ObjectState>[];
  readonly #behind: (steps: Steps) => State;
  readonly #known = new Map<string, State | undefined>();
  #found: ReturnType<ObjectKeys["find"]> | undefined;

  /** @param behind the state behind a key, from what may follow it */
  constructor(making: Making, threads: readonly Thread<ObjectState>[], behind: (steps: Steps) => State) {
    this.making = making;
    this.#threads = threads;
    this.#behind = behind;
  }

  get found() {
    return (this.#found ??= this.find());
  }

  /** Whether any key may come. */
  get any(): boolean {
    return this.found.text !== undefined || this.found.listing !== undefined;
  }

  find() {
    const { texts } = this.making;
    /** Who allows each language of keys that no schema names. */
    const kinds = new Map<Language, Thread<{ object: ObjectState; kind: KeyClass }>[]>();
    for (const { state, origin } of this.#threads)
      for (const { kind, language } of state.unnamed)
        kinds.set(language, [...(kinds.get(language) ?? []), { state: { object: state, kind }, origin }]);
    const [first, ...others] = this.#threads;
    let named = first!.state.named;
    if (others.length > 0) named = [...new Set(this.#threads.flatMap(({ state }) => state.named))].sort();
    const spelled = named.filter((name) => !isPlain(name));
    // The first language is that of all that a schema names and that may be written in several ways.
    const tracks = [texts.languages.strings(spelled), ...kinds.keys()].map(
      (language, origin): Track => ({ language, least: 0, most: Infinity, origin }),
    );
    const plain = spelled.length === 0 ? named : named.filter(isPlain);
    return {
      /** Those that a schema names and that are written in one way only. */
      listing: plain.length > 0 ? new Listing(plain) : undefined,
      plain: new Set(plain),
      text: texts.begin(tracks),
      kinds: [...kinds.values()],
    };
  }

  /**
   * Behind a key.
   *
   * @param kinds which of the kinds it is of, counted from 1
   * @param whole whether it will be compared with later ones
   */
  behind(key: string, kinds: readonly number[], whole: boolean): State | undefined {
    const isKnown = this.#threads.some(({ state }) => state.knows(key));
    // Keys without a name are too many to be remembered.
    if (kinds.length > 0 && (isKnown || whole)) return this.#follow(key, kinds, whole ? key : undefined);
    const known = isKnown ? `"${key}` : kinds.join();
    if (!this.#known.has(known)) {
      this.#known.set(known, this.#follow(key, kinds, undefined));
      remember(this.#known, KNOWN_BYTES + known.length);
    }
    return this.#known.get(known);
  }

  /** @param compared the key, if it will be compared with later ones */
  #follow(key: string, kinds: readonly number[], compared: string | undefined): State | undefined {
    const steps: (Step<ObjectState> & { origin: number })[] = [];
    for (const { state, origin } of this.#threads) {
      const step = state.namedStep(key);
      if (step) steps.push({ ...step, origin });
    }
    for (const i of kinds)
      for (const { state, origin } of this.found.kinds[i - 1]!)
        if (!state.object.knows(key))
          for (const step of state.object.unnamedSteps(state.kind, compared)) steps.push({ ...step, origin });
    return steps.length === 0 ? undefined : this.#behind(steps);
  }
}

export class KeyState extends Remembering {
  readonly inside: TextState | undefined;
  readonly #keys: ObjectKeys;
  readonly #listing: Listing | undefined;
  /** What the key has so far, a character for each byte. */
  readonly #written: string;

  static begin(keys: ObjectKeys): KeyState | undefined {
    return keys.any ? new KeyState(keys, keys.found.text, keys.found.listing, "") : undefined;
  }

  private constructor(
    keys: ObjectKeys,
    inside: TextState | undefined,
    listing: Listing | undefined,
    written: string,
  ) {
    super(keys.making);
    this.#keys = keys;
    this.inside = inside;
    this.#listing = listing;
    this.#written = written;
  }

  get listed(): readonly string[] | undefined {
    // Where anything may be written, what is listed may be as well.
    return this.inside?.free === Infinity ? undefined : this.#listing?.rests;
  }

  find(byte: number): State | undefined {
    if (byte === QUOTE && this.inside?.atBoundary !== false) return this.close(this.inside, "", true);
    const inside = this.inside?.step(byte);
    const listing = this.#listing?.step(byte);
    if (!inside && !listing) return undefined;
    return new KeyState(this.#keys, inside, listing, this.#written + String.fromCharCode(byte));
  }

  close(inside: Inside | undefined, written: string, whole: boolean): State | undefined {
    const key = this.#written + written;
    const origins = (inside as TextState | undefined)?.origins ?? [];
    const isListed = this.#keys.found.plain.has(key);
    if (!isListed && origins.length === 0) return undefined;
    return this.#keys.behind(
      isListed ? key : readString(key),
      origins.filter((origin) => origin > 0),
      whole,
    );
  }
}
