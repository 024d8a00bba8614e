/** Bodies up to this length are read and tokenized in about the time of a step, and take no turns. */
const SHORT_BYTES = 32 * 1024;
/** Bytes of a body for which a step is due to those who generate. */
const BYTES_PER_STEP = 32 * 1024;
const POLL_MS = 10;
/** Looks without a new step after which nobody seems to wait for one. */
const IDLE_LOOKS = 3;

/**
 * Lets long bodies take turns with the model's steps. To parse and to tokenize a megabyte takes a good deal longer than a
 * step, and nothing else runs meanwhile: without turns a few clients that send one megabyte after another would hold up
 * every stream.
 */
export class LongTexts {
  readonly #steps: () => number;
  /** Step from which the next long body may be worked on. */
  #next = 0;

  /** @param steps forward passes so far */
  constructor(steps: () => number) {
    this.#steps = steps;
  }

  /** Resolves when a body of this length may be worked on. */
  async turn(bytes: number): Promise<void> {
    if (bytes <= SHORT_BYTES) return;
    let seen = this.#steps();
    for (let looks = 0; seen < this.#next && looks < IDLE_LOOKS; ) {
      await scheduler.wait(POLL_MS);
      const now = this.#steps();
      looks = now === seen ? looks + 1 : 0;
      seen = now;
    }
    this.#next = seen + Math.ceil(bytes / BYTES_PER_STEP);
  }
}
