/** Most tokens that may be guessed at once. */
export const MAX_GUESSES = 7;

/** Tokens that must agree before what followed them is expected again. */
const NGRAM = 3;
/** Bits of a hash: 2048 places in 8 KB per sequence, twice as many as GPT-2 has positions. */
const HASH_BITS = 11;
/** How much the last token counts in the share of right guesses. */
const RATE = 1 / 8;
/**
 * How likely a guess must be: more than what a second row costs, as a share of the first, which docs/performance.md has
 * by model. Further rows cost no less. The rest is for texts whose accuracy just hovers there.
 */
const LEAST = 0.75;

/**
 * Prompt-lookup decoding (Saxena 2023): expects the text to go on as it did behind the last occurrence of its last
 * three tokens, and stays with that place for as long as it is right.
 *
 * Every token is compared with what was expected of it, whether a row was spent on the guess or not. So a text
 * that cannot be guessed costs no rows to find that out.
 */
export class PromptLookup {
  /** The position behind the last n-gram of each hash; 0 for none. */
  readonly #places = new Int32Array(1 << HASH_BITS);
  /** Ids taken in. */
  #length = 0;
  /** Position of the token that is expected to come again; 0 for none. */
  #source = 0;
  /** Share of tokens that came as expected, a moving average. */
  #accuracy = 0.5;

  /** Up to `limit` tokens that are likely enough to follow `ids`, which must go on where the last call's ended. */
  guess(ids: readonly number[], limit: number): readonly number[] {
    while (this.#length < ids.length) this.#take(ids);
    const guesses: number[] = [];
    if (this.#source === 0) return guesses;
    for (let right = this.#accuracy; right > LEAST && guesses.length < limit; right *= this.#accuracy) {
      const at = this.#source + guesses.length;
      // Past its end the text goes on with what was guessed: the same few tokens over and over.
      guesses.push(at < ids.length ? ids[at]! : guesses[at - ids.length]!);
    }
    return guesses;
  }

  /** Takes in the next token. */
  #take(ids: readonly number[]): void {
    if (this.#source > 0) {
      const right = ids[this.#source] === ids[this.#length];
      this.#accuracy += ((right ? 1 : 0) - this.#accuracy) * RATE;
      this.#source = right ? this.#source + 1 : 0;
    }
    const end = ++this.#length;
    if (end < NGRAM) return;
    let hash = 0;
    for (let i = end - NGRAM; i < end; i++) hash = Math.imul(hash + ids[i]!, 0x9e3779b1);
    hash >>>= 32 - HASH_BITS;
    const place = this.#places[hash]!;
    this.#places[hash] = end;
    if (this.#source > 0 || place === 0) return;
    for (let i = 1; i <= NGRAM; i++) if (ids[place - i] !== ids[end - i]) return;
    this.#source = place;
  }
}
