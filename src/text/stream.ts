/**
 * Turns the bytes of tokens into text that can be shown at once: no half character, and nothing that may yet
 * turn out to be the beginning of a stop string.
 */
export class TextStream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #stop: readonly string[];
  /** Decoded, but a proper prefix of a stop string may begin in it. */
  #held = "";
  /** Characters at the front of `#held` in which no stop string may end. */
  #early = 0;
  /** True once a stop string was found; what followed it is dropped. */
  stopped = false;

  constructor(stop: readonly string[]) {
    this.#stop = stop;
  }

  /**
   * Takes the next token's bytes; returns the text that became certain.
   *
   * @param early whether stop strings that end in this text do not count yet
   */
  push(bytes: Uint8Array, early = false): string {
    return this.#release(this.#decoder.decode(bytes, { stream: true }), early);
  }

  /** The end: an unfinished character becomes U+FFFD, what was held back comes out. */
  flush(): string {
    const released = this.#release(this.#decoder.decode());
    if (this.stopped) return released;
    const rest = released + this.#held;
    this.#held = "";
    return rest;
  }

  #release(decoded: string, early = false): string {
    if (this.stopped) return "";
    const text = this.#held + decoded;
    if (early) this.#early = text.length;
    let end = -1;
    for (const stop of this.#stop) {
      const at = text.indexOf(stop, Math.max(0, this.#early - stop.length + 1));
      if (at !== -1 && (end === -1 || at < end)) end = at;
    }
    if (end !== -1) {
      this.stopped = true;
      this.#held = "";
      return text.slice(0, end);
    }
    const keep = this.#stop.reduce((longest, stop) => Math.max(longest, overlap(text, stop)), 0);
    this.#held = text.slice(text.length - keep);
    this.#early = Math.max(0, this.#early - (text.length - keep));
    return text.slice(0, text.length - keep);
  }
}

/** Length of the longest end of `text` that is a proper beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (stop.startsWith(text.slice(text.length - length))) return length;
  return 0;
}
