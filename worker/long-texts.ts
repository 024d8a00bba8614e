import { EdgeformerError, type InParts } from "../src/index.ts";

/** Bodies up to this length are read in about the time of a step, and take no turns. */
const SHORT_BYTES = 32 * 1024;
/** Bytes of a body for which a step is due to those who generate. */
const BYTES_PER_STEP = 32 * 1024;
/** While others wait for a step, the bodies that are being read have a piece of 64 KiB in this time, all together. */
const MS_PER_PIECE = 4;
const POLL_MS = 5;
/** Looks without a new step after which nobody seems to wait for one. */
const IDLE_LOOKS = 3;

/** What computes: as much of it as others have to know. */
interface Machine {
  /** Forward passes so far. */
  readonly steps: number;
  /** Whether anybody waits for one. */
  readonly busy: boolean;
}

/**
 * Lets long texts take turns with the model's steps. To parse and to tokenize a megabyte takes a good deal longer than a
 * step, and nothing else runs meanwhile: without turns a few clients that send one megabyte after another would hold up
 * every stream.
 */
export class LongTexts {
  readonly #machine: Machine;
  /** Step from which the next long text may be worked on. */
  #next = 0;
  #nextPieceAt = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /**
   * Resolves when the next piece of a long body may be read. A reader that asks is given a time, and no reader waits for
   * another: one whose client has gone keeps nobody.
   */
  async piece(): Promise<void> {
    const now = Date.now();
    const at = this.#machine.busy ? Math.max(now, this.#nextPieceAt) : now;
    this.#nextPieceAt = at + MS_PER_PIECE;
    await scheduler.wait(at - now);
  }

  /** Resolves when a body of this length may be worked on. */
  async turn(bytes: number): Promise<void> {
    if (bytes > SHORT_BYTES) await this.#wait(Math.ceil(bytes / BYTES_PER_STEP));
  }

  /**
   * Does work whose first part may be done at once, and each further one when a step was made.
   *
   * @param signal of the client for whom it is
   * @throws EdgeformerError `aborted` once that has gone
   */
  async inTurns<T>(work: InParts<T>, signal: AbortSignal): Promise<T> {
    for (;;) {
      if (signal.aborted) throw new EdgeformerError("aborted", "the client closed the connection");
      const { done, value } = work.next();
      if (done) return value;
      // Whoever is to make the step, or to be read from, gets to run.
      await scheduler.wait(0);
      await this.#wait(1);
    }
  }

  /** @param steps that are due to others before the next one's turn */
  async #wait(steps: number): Promise<void> {
    let seen = this.#machine.steps;
    for (let looks = 0; this.#machine.busy && seen < this.#next && looks < IDLE_LOOKS; ) {
      await scheduler.wait(POLL_MS);
      const now = this.#machine.steps;
      looks = now === seen ? looks + 1 : 0;
      seen = now;
    }
    this.#next = seen + steps;
  }
}
