// What the scheduler and whatever computes for it tell each other. All of it is plain data that structured cloning
// copies, so the two may sit in one isolate or in two.

import type { TokenLogprob } from "../results.ts";

/** A sequence that enters a slot with this batch. What the slot held before is forgotten. */
export interface Admission {
  readonly slot: number;
  /** KV blocks, in the order of the sequence's positions. */
  readonly blocks: readonly number[];
  /** Starts the slot's random numbers: an integer from 0 to 2^64 − 1, as a number up to 2^53 − 1. */
  readonly seed: number | bigint;
  /** Random numbers that the sequence has used up before: it had to leave a slot, or is read again. */
  readonly drawn: number;
}

/** One token at one position of the sequence in `slot`. */
export interface Row {
  readonly token: number;
  readonly position: number;
  readonly slot: number;
}

export interface Penalties {
  readonly repetition: number;
  readonly presence: number;
  readonly frequency: number;
  /**
   * How often each token was generated; 0 for those that occur in the prompt alone. It may be the sequence's own
   * map: it holds still until the batch is accepted.
   */
  readonly counts: ReadonlyMap<number, number>;
}

/** Draws a token with the slot's random numbers, one number for each draw above temperature 0. */
export interface Draw {
  readonly kind: "draw";
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  /** Applied to the logits first. */
  readonly penalties: Penalties | undefined;
  /** Added to the logits after the penalties. */
  readonly biases: readonly (readonly [id: number, bias: number])[];
  /**
   * The tokens that are possible at all: bit i % 32 of word i / 32 for token i; absent where all are. A single possible
   * token is drawn without a random number. It may be the sequence's own: it holds still until the batch is accepted.
   */
  readonly mask?: Uint32Array;
  /**
   * Report the token's log-probability and this many alternatives, from the logits before penalties and biases. With a
   * mask they are those of the possible tokens alone, whose probabilities add up to 1.
   */
  readonly logprobs: number | undefined;
}

/** Reports the log-probability of a known token, and `top` alternatives. */
export interface Rating {
  readonly kind: "rating";
  readonly target: number;
  readonly top: number;
}

/** Logits that somebody reads, and what for. */
export interface Read {
  /** Index in the batch's rows. */
  readonly row: number;
  readonly slot: number;
  /**
   * For a row whose token was guessed, that token: the read before must have drawn it. If it drew another one, or
   * was skipped itself, this read is skipped: it draws nothing and its outcome is undefined.
   */
  readonly after: number | undefined;
  readonly task: Draw | Rating;
}

/** One step of the model. */
export interface Batch {
  readonly admissions: readonly Admission[];
  /** At least one, at most the capacity's `maxRows`; rows of one slot in the order of their positions. */
  readonly rows: readonly Row[];
  /** In the order of their rows, at most one for each. */
  readonly reads: readonly Read[];
}

/** What came of a read. */
export interface Outcome {
  /** The token that was drawn or rated; −1 where none could be drawn. */
  readonly id: number;
  /** Natural logarithm of its probability; undefined where a draw did not ask. */
  readonly logprob: number | undefined;
  /** The alternatives, most likely first; undefined where a draw did not ask. */
  readonly top: TokenLogprob[] | undefined;
}

/** One entry for each read of a batch, in their order; undefined for those that were skipped. */
export type Outcomes = readonly (Outcome | undefined)[];

/**
 * Computes batches, one after the other. The keys and values of a row stay in its slot's blocks for later batches.
 * If `run` throws, the sequences of that batch are lost and the next batch may be of others.
 */
export interface Stage {
  run(batch: Batch): Outcomes;
}
