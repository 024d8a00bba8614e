/** Measures in this page: from its making to each token's arrival. */
export class Stopwatch {
  readonly #started = performance.now();
  #first = 0;
  #last = 0;
  #tokens = 0;

  lap(tokens: number): void {
    if (tokens === 0) return;
    this.#last = performance.now();
    if (this.#tokens === 0) this.#first = this.#last;
    this.#tokens += tokens;
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** Milliseconds until the first token, which are spent on the prompt; undefined before it. */
  get first(): number | undefined {
    return this.#tokens > 0 ? Math.round(this.#first - this.#started) : undefined;
  }

  /** Tokens per second after the first; undefined where there are too few to tell. */
  get rate(): number | undefined {
    const seconds = (this.#last - this.#first) / 1000;
    return this.#tokens > 4 && seconds > 0 ? Math.round((this.#tokens - 1) / seconds) : undefined;
  }
}
