// Texts that are listed, and that are written in one way only: those of them that begin like what is written.

/** Texts of printable ASCII that needs no escape. */
const PLAIN = /^[ !#-[\]-~]*$/;

export function isPlain(text: string): boolean {
  return PLAIN.test(text);
}

export class Listing {
  readonly #texts: readonly string[];
  /** Those from `low` to before `high` begin like this. */
  readonly #low: number;
  readonly #high: number;
  /** Characters that are written. */
  readonly #at: number;
  #rests: readonly string[] | undefined;

  /** @param texts sorted and plain */
  constructor(texts: readonly string[], low = 0, high = texts.length, at = 0) {
    this.#texts = texts;
    this.#low = low;
    this.#high = high;
    this.#at = at;
  }

  /** What may follow: one of these. */
  get rests(): readonly string[] {
    this.#rests ??= this.#texts.slice(this.#low, this.#high).map((text) => text.slice(this.#at));
    return this.#rests;
  }

  /** Behind one more character; undefined if no text goes on like that. */
  step(byte: number): Listing | undefined {
    let [low, high] = [this.#low, this.#high];
    while (low < high && !(this.#texts[low]!.charCodeAt(this.#at) >= byte)) low++;
    while (high > low && this.#texts[high - 1]!.charCodeAt(this.#at) > byte) high--;
    const isThere = low < high && this.#texts[low]!.charCodeAt(this.#at) === byte;
    return isThere ? new Listing(this.#texts, low, high, this.#at + 1) : undefined;
  }
}
