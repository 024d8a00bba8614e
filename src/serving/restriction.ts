import type { Tokenizer } from "../text/tokenizer.ts";
import type { Outcome } from "./stage.ts";

/** Where a text stands in what it is held to: a state of its own for each text. */
export interface TokenMatcher {
  /** Whether the text may end here. */
  readonly mayEnd: boolean;
  /** Bit i % 32 of word i / 32 is set where token i may come next. Valid until the next call of `accept`. */
  mask(): Uint32Array;
  /** Takes the next token in; false, and nothing changes, where it may not come. */
  accept(id: number): boolean;
  /** The tokens that come next without a choice, as far as there is none; empty where there is one. */
  forced(): number[];
  /** A state of its own that stands where this one does. */
  clone(): TokenMatcher;
}

/** What a text is held to. `compileConstraint` of `edgeformer/constrain` makes one. */
export interface TokenConstraint {
  /** The state at the beginning of a text. */
  matcher(tokenizer: Tokenizer): TokenMatcher;
}

const NO_TOKENS = new Uint32Array(0);

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function setBit(mask: Uint32Array, id: number): void {
  mask[id >> 5]! |= 1 << (id & 31);
}

/** What is drawn where there is no choice: its probability is 1. */
export function certain(id: number, logprobs: number | undefined): Outcome {
  if (logprobs === undefined) return { id, logprob: undefined, top: undefined };
  return { id, logprob: 0, top: logprobs === 0 ? [] : [{ id, logprob: 0 }] };
}

/** A matcher among a model's tokens, some of which are no text but its end. */
export class Restriction {
  readonly #matcher: TokenMatcher;
  readonly #eosIds: readonly number[];
  readonly #stopIds: ReadonlySet<number>;
  /** The last mask, kept from step to step so that a step allocates nothing. */
  #words = new Uint32Array(0);
  #isCurrent = false;

  /**
   * @param eosIds tokens that are possible where the text may end, and only there
   * @param stopIds further tokens that end the text, which are possible there, too
   */
  constructor(matcher: TokenMatcher, eosIds: readonly number[], stopIds: ReadonlySet<number>) {
    this.#matcher = matcher;
    this.#eosIds = eosIds;
    this.#stopIds = stopIds;
  }

  /** The tokens that may come next, those that end the text included. Valid until the next token is accepted. */
  mask(): Uint32Array {
    if (!this.#isCurrent) this.#update();
    return this.#words;
  }

  #update(): void {
    const [forced] = this.#matcher.forced();
    const mask = forced === undefined ? this.#matcher.mask() : NO_TOKENS;
    const ids = [...this.#stopIds, ...this.#eosIds, forced ?? 0];
    const length = Math.max(mask.length, ...ids.map((id) => (id >> 5) + 1));
    if (this.#words.length !== length) this.#words = new Uint32Array(length);
    const words = this.#words.fill(0);
    words.set(mask);
    for (const id of this.#eosIds) words[id >> 5]! &= ~(1 << (id & 31));
    if (forced !== undefined) setBit(words, forced);
    else if (this.#matcher.mayEnd) for (const id of this.#stopIds) setBit(words, id);
    this.#isCurrent = true;
  }

  /** The tokens that come next without a choice; a token that ends the text is none of them. */
  forced(): number[] {
    return this.#matcher.forced();
  }

  /** Whether nothing can follow but the end. */
  get isComplete(): boolean {
    if (!this.#matcher.mayEnd) return false;
    const mask = this.mask();
    for (let i = 0; i < mask.length; i++)
      for (let rest = mask[i]!; rest !== 0; rest &= rest - 1)
        if (!this.#stopIds.has(i * 32 + lowestBit(rest))) return false;
    return true;
  }

  /** Takes a token of the text in; false, and nothing changes, where it may not come. */
  accept(id: number): boolean {
    if (!this.#matcher.accept(id)) return false;
    this.#isCurrent = false;
    return true;
  }

  /** A restriction of its own that stands where this one does. */
  clone(): Restriction {
    return new Restriction(this.#matcher.clone(), this.#eosIds, this.#stopIds);
  }
}
