// States between JSON's tokens, and what they share with all others.

import type { TextStates } from "../language/text-state.ts";
import type { State } from "../state.ts";
import { Steps } from "../steps.ts";
import type { Possibilities } from "./parts.ts";

const [TAB, LINE_FEED, RETURN, SPACE] = [9, 10, 13, 0x20];
/** White space behind a line feed. */
const MAX_INDENT = 32;

/** What the states of one constraint are made with. */
export class Making {
  readonly possibilities: Possibilities;
  readonly texts: TextStates;
  /** Whether white space is allowed. */
  readonly spaced: boolean;
  readonly #ids = new WeakMap<object, number>();
  #lastId = 0;

  constructor(possibilities: Possibilities, texts: TextStates, spaced: boolean) {
    this.possibilities = possibilities;
    this.texts = texts;
    this.spaced = spaced;
  }

  idOf(object: object): number {
    let id = this.#ids.get(object);
    if (id === undefined) this.#ids.set(object, (id = ++this.#lastId));
    return id;
  }
}

/** A state that remembers what it has led to. */
export abstract class Remembering implements State {
  readonly making: Making;
  readonly #next = new Steps<State>();

  constructor(making: Making) {
    this.making = making;
  }

  get mayEnd(): boolean {
    return false;
  }

  step(byte: number): State | undefined {
    let next = this.#next.get(byte);
    if (next === undefined) this.#next.set(byte, (next = this.find(byte) ?? null));
    return next ?? undefined;
  }

  abstract find(byte: number): State | undefined;
}

type Find = (byte: number) => State | undefined;

/** In front of a token of JSON, which white space may precede. */
export class Place extends Remembering {
  readonly #token: Find;
  readonly #onLine: Find | undefined;

  /**
   * @param token what a byte of a token leads to
   * @param onLine the same at the beginning of a line; none if a line may not begin here
   */
  constructor(making: Making, token: Find, onLine?: Find) {
    super(making);
    this.#token = token;
    this.#onLine = onLine;
  }

  find(byte: number): State | undefined {
    const isLine = byte === LINE_FEED || byte === RETURN;
    if (!isLine && byte !== SPACE && byte !== TAB) return this.#token(byte);
    if (!this.making.spaced) return undefined;
    if (!isLine) return new Gap(this.making, this.#token, -1);
    return this.#onLine && new Gap(this.making, this.#onLine, byte === RETURN ? undefined : MAX_INDENT);
  }
}

/** Behind white space: one space or tab, or a line feed and what indents the next line. */
class Gap extends Remembering {
  readonly #token: Find;
  /** White space that may still come, -1 for none behind a space; undefined behind a carriage return. */
  readonly #left: number | undefined;

  constructor(making: Making, token: Find, left: number | undefined) {
    super(making);
    this.#token = token;
    this.#left = left;
  }

  find(byte: number): State | undefined {
    if (this.#left === undefined)
      return byte === LINE_FEED ? new Gap(this.making, this.#token, MAX_INDENT) : undefined;
    if (byte === LINE_FEED || byte === RETURN) return undefined;
    if (byte !== SPACE && byte !== TAB) return this.#token(byte);
    return this.#left > 0 ? new Gap(this.making, this.#token, this.#left - 1) : undefined;
  }
}
