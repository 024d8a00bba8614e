import { onlyToken } from "../only-token.ts";
import type { Masks } from "./masks.ts";
import { forgetTooMuch } from "./memory.ts";
import type { State } from "./state.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Tokens that `forced` gives at most at once. */
const MAX_FORCED = 64;

/** Where one sequence stands in a constrained text. */
export class Matcher {
  readonly #vocabulary: Vocabulary;
  readonly #masks: Masks;
  readonly #endTokens: readonly number[];
  /** Undefined behind an end token. */
  #state: State | undefined;

  /** @internal `Constraint.matcher` makes it. */
  constructor(vocabulary: Vocabulary, masks: Masks, endTokens: readonly number[], state: State | undefined) {
    this.#vocabulary = vocabulary;
    this.#masks = masks;
    this.#endTokens = endTokens;
    this.#state = state;
  }

  /** Whether the text is complete as it stands, so that an end token may come. */
  get mayEnd(): boolean {
    return this.#state?.mayEnd ?? false;
  }

  /**
   * Which tokens may come next: bit `i & 31` of word `i >>> 5` for token i, in as many words as the vocabulary needs.
   * End tokens are among them where the text may end. It is shared: copy it before changing it.
   */
  mask(): Uint32Array {
    if (!this.#state) return this.#vocabulary.emptyMask();
    forgetTooMuch();
    const mask = this.#masks.of(this.#state);
    if (!this.#state.mayEnd || this.#endTokens.length === 0) return mask;
    const copy = mask.slice();
    for (const id of this.#endTokens) copy[id >>> 5]! |= 1 << (id & 31);
    return copy;
  }

  /** Goes on behind a token. False if it may not come next; then nothing has changed. */
  accept(id: number): boolean {
    if (!this.#state) return false;
    if (this.#endTokens.includes(id)) {
      if (!this.#state.mayEnd) return false;
      this.#state = undefined;
      return true;
    }
    const spelling = this.#vocabulary.spelling(id);
    if (spelling.length === 0) return false;
    let state: State | undefined = this.#state;
    for (let i = 0; i < spelling.length && state; i++) state = state.step(spelling[i]!);
    if (!state) return false;
    this.#state = state;
    return true;
  }

  /** The tokens that come next without any choice, up to the first place where there is one. */
  forced(): number[] {
    forgetTooMuch();
    const ahead = this.clone();
    const ids: number[] = [];
    while (ids.length < MAX_FORCED && ahead.#state && !ahead.mayEnd) {
      const id = onlyToken(ahead.#masks.of(ahead.#state));
      if (id === undefined || !ahead.accept(id)) break;
      ids.push(id);
    }
    return ids;
  }

  /** A second one that stands at the same place. */
  clone(): Matcher {
    return new Matcher(this.#vocabulary, this.#masks, this.#endTokens, this.#state);
  }
}
