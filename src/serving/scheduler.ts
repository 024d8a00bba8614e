import { BLOCK_POSITIONS } from "../../assembly/abi.ts";
import { EdgeformerError } from "../errors.ts";
import { type BlockLease, KvCache } from "./kvcache.ts";
import { PromptLookup } from "./prompt-lookup.ts";
import type { Sequence } from "./sequence.ts";
import type { Admission, Batch, Outcome, Outcomes, Read, Row } from "./stage.ts";

/** How much the stage can hold and compute. A MemoryPlan is one. */
export interface Capacity {
  /** Blocks of the KV cache. */
  readonly kvBlocks: number;
  /** Sequences that can run at once: slots. */
  readonly maxSequences: number;
  /** Rows of a batch. */
  readonly maxRows: number;
}

export interface SchedulerOptions {
  /** Sequences that may wait; one more is refused. [64] */
  maxQueue?: number;
  /** Steps that a sequence may wait before it is refused. [4096] */
  maxWaitSteps?: number;
  /** Tokens that are guessed per step of a sequence that runs alone; 0 guesses none. [1] */
  promptLookup?: number;
}

interface Waiting {
  sequence: Sequence;
  since: number;
}

interface Running {
  sequence: Sequence;
  slot: number;
  lease: BlockLease;
  /** Whether the stage knows of it: it enters with the batch that has its first row. */
  entered: boolean;
  lookup: PromptLookup | undefined;
}

const NO_GUESSES: readonly number[] = [];

function overloaded(message: string): EdgeformerError {
  return new EdgeformerError("overloaded", `${message}: try again later`);
}

/** Length of the common beginning of two lists, at most `limit`. */
function commonPrefix(a: readonly number[], b: readonly number[], limit: number): number {
  let length = 0;
  while (length < limit && length < a.length && a[length] === b[length]) length++;
  return length;
}

/**
 * Decides which rows the next batch computes (iteration-level batching, Orca, Yu et al. 2022): one for each
 * sequence that is generating, and what is left of the batch for prompts, first come, first served.
 *
 * It keeps the books and no more: next() says what to compute, accept() takes what came of it, and the caller has
 * a stage compute in between, here and now or elsewhere and later. Sequences may be added and removed meanwhile.
 *
 * A sequence is admitted when a slot and all blocks that it can ever need are free, so that it can always finish.
 */
export class Scheduler {
  readonly cache: KvCache;
  /** Batches so far. */
  steps = 0;
  readonly #waiting: Waiting[] = [];
  /** In the order of their admission. */
  readonly #running: Running[] = [];
  readonly #slots: (Running | undefined)[];
  readonly #freeSlots: number[];
  readonly #maxRows: number;
  readonly #maxQueue: number;
  readonly #maxWaitSteps: number;
  readonly #maxGuesses: number;
  /** The batch that is being computed. */
  #batch: Batch | undefined;

  constructor({ kvBlocks, maxSequences, maxRows }: Capacity, options: SchedulerOptions = {}) {
    this.cache = new KvCache(kvBlocks);
    this.#slots = new Array(maxSequences).fill(undefined);
    this.#freeSlots = Array.from({ length: maxSequences }, (_, i) => maxSequences - 1 - i);
    this.#maxRows = maxRows;
    this.#maxQueue = options.maxQueue ?? 64;
    this.#maxWaitSteps = options.maxWaitSteps ?? 4096;
    this.#maxGuesses = Math.min(options.promptLookup ?? 1, maxRows - 1);
  }

  /**
   * Takes a sequence in.
   *
   * @throws EdgeformerError `context_length_exceeded` when the whole cache could not hold it, `overloaded` when
   *   too many wait already
   */
  add(sequence: Sequence): void {
    if (blocksFor(sequence) > this.cache.blocks)
      throw new EdgeformerError(
        "context_length_exceeded",
        `the request needs ${sequence.capacity} positions, but the cache holds ${this.cache.blocks * BLOCK_POSITIONS}: shorten the prompt, lower maxTokens, or load the model with more kvBlocks`,
      );
    if (sequence.finished) return;
    if (this.#waiting.length >= this.#maxQueue)
      throw overloaded(`${this.#waiting.length} requests are waiting`);
    this.#waiting.push({ sequence, since: this.steps });
  }

  /** Forgets a sequence, finished or not, and frees what it held. What is being computed for it, nobody reads. */
  remove(sequence: Sequence): void {
    const waiting = this.#waiting.findIndex((entry) => entry.sequence === sequence);
    if (waiting !== -1) this.#waiting.splice(waiting, 1);
    const running = this.#running.findIndex((entry) => entry.sequence === sequence);
    if (running !== -1) this.#retire(running);
  }

  /**
   * What to compute next; undefined when there is nothing to do. Each batch is accepted, or failed, before the next.
   */
  next(): Batch | undefined {
    if (this.#batch !== undefined) throw new Error("the batch before has neither been accepted nor failed");
    this.#admit();
    this.#refuse();
    if (this.#running.length === 0) return undefined;
    this.steps++;
    this.#batch = this.#fill();
    return this.#batch;
  }

  /** Hands the outcomes of the last batch to their sequences. Those who are finished leave. */
  accept(outcomes: Outcomes): void {
    const { rows, reads } = this.#computing();
    if (outcomes.length !== reads.length) {
      this.fail(new Error(`the stage gave ${outcomes.length} outcomes for ${reads.length} reads`));
      return;
    }
    this.#batch = undefined;
    for (let i = 0; i < reads.length; i++) {
      const { row, slot, after } = reads[i]!;
      const sequence = this.#slots[slot]?.sequence;
      if (sequence === undefined || sequence.finished || sequence.error !== undefined) continue;
      if (after !== undefined) {
        // Behind a wrong guess nothing came, so every later one is wrong, too. Their cells are written again.
        if (sequence.ids[rows[row]!.position] !== after) continue;
        sequence.computed++;
      }
      deliver(sequence, outcomes[i]);
    }
    for (const { sequence, lease } of this.#running)
      this.cache.publish(lease, sequence.ids, sequence.computed);
    this.#retireEnded();
  }

  /**
   * The last batch could not be computed: the sequences that had rows in it get the error and leave. What they were
   * to write is in nobody else's blocks, so the others go on.
   */
  fail(cause: unknown): void {
    const { rows } = this.#computing();
    this.#batch = undefined;
    const error = errorOf(cause);
    for (const { slot } of rows) {
      const entry = this.#slots[slot];
      if (entry !== undefined) entry.sequence.error = error;
    }
    this.#retireEnded();
  }

  #computing(): Batch {
    if (this.#batch === undefined) throw new Error("no batch is being computed");
    return this.#batch;
  }

  #retire(index: number): void {
    const [entry] = this.#running.splice(index, 1);
    const { lease, slot } = entry!;
    this.cache.release(lease);
    this.#slots[slot] = undefined;
    this.#freeSlots.push(slot);
  }

  #retireEnded(): void {
    for (let i = this.#running.length - 1; i >= 0; i--) {
      const { finished, error } = this.#running[i]!.sequence;
      if (finished || error !== undefined) this.#retire(i);
    }
  }

  /** Whether somebody is just computing blocks that this sequence begins with: soon they can be shared. */
  #isBeingRead({ ids, wantedFrom, cacheSalt = "" }: Sequence): boolean {
    const cached = this.cache.cachedPositions(ids, wantedFrom, cacheSalt);
    return this.#running.some(({ sequence: other }) => {
      if (other.computed >= other.ids.length - 1 || (other.cacheSalt ?? "") !== cacheSalt) return false;
      const common = commonPrefix(other.ids, ids, wantedFrom);
      const shareable = common - (common % BLOCK_POSITIONS);
      return shareable > cached && shareable > other.computed;
    });
  }

  #admit(): void {
    while (this.#waiting.length > 0 && this.#freeSlots.length > 0) {
      const { sequence } = this.#waiting[0]!;
      if (this.#isBeingRead(sequence)) return;
      const { ids, wantedFrom, cacheSalt } = sequence;
      const lease = this.cache.acquire(ids, blocksFor(sequence), wantedFrom, cacheSalt);
      if (lease === undefined) return;
      this.#waiting.shift();
      sequence.computed = lease.cachedPositions;
      sequence.cachedTokens = lease.cachedPositions;
      const slot = this.#freeSlots.pop()!;
      const entry = { sequence, slot, lease, entered: false, lookup: undefined };
      this.#slots[slot] = entry;
      this.#running.push(entry);
    }
  }

  /** Refuses those who have waited too long; their owners find the error when they look. */
  #refuse(): void {
    while (this.#waiting.length > 0 && this.steps - this.#waiting[0]!.since > this.#maxWaitSteps) {
      const { sequence } = this.#waiting.shift()!;
      sequence.error = overloaded(`there was no room for ${this.#maxWaitSteps} steps`);
    }
  }

  /** The next batch: those who generate first, then prompts until it is full. */
  #fill(): Batch {
    const admissions: Admission[] = [];
    const rows: Row[] = [];
    const reads: Read[] = [];
    const add = (entry: Running) => {
      const { sequence, slot, lease } = entry;
      const { ids, wantedFrom, seed } = sequence;
      if (!entry.entered && rows.length < this.#maxRows) {
        admissions.push({ slot, blocks: lease.blocks, seed });
        entry.entered = true;
      }
      for (; sequence.computed < ids.length && rows.length < this.#maxRows; sequence.computed++) {
        const position = sequence.computed;
        if (position >= wantedFrom)
          reads.push({ row: rows.length, slot, after: undefined, task: sequence.read(position, NO_GUESSES) });
        rows.push({ token: ids[position]!, position, slot });
      }
    };
    for (const entry of this.#running) if (remaining(entry) === 1) add(entry);
    for (const entry of this.#running) if (remaining(entry) > 1) add(entry);
    if (rows.length === 1 && this.#running.length === 1) this.#guess(this.#running[0]!, rows, reads);
    return { admissions, rows, reads };
  }

  /**
   * Adds rows for tokens that may come next to the one row of a step, none beyond the sequence's own blocks. With
   * company it would not pay: a second row is cheap, further ones are not (prompt-lookup.ts).
   */
  #guess(entry: Running, rows: Row[], reads: Read[]): void {
    const { sequence, slot } = entry;
    const first = sequence.ids.length;
    const limit = Math.min(this.#maxGuesses, sequence.capacity - first);
    if (limit <= 0) return;
    entry.lookup ??= new PromptLookup();
    const guesses = entry.lookup.guess(sequence.ids, limit);
    for (let i = 0; i < guesses.length; i++) {
      const token = guesses[i]!;
      const position = first + i;
      const task = sequence.read(position, guesses.slice(0, i + 1));
      reads.push({ row: rows.length, slot, after: token, task });
      rows.push({ token, position, slot });
    }
  }
}

/** Blocks that a sequence needs to run to its end. */
function blocksFor(sequence: Sequence): number {
  return Math.ceil(sequence.capacity / BLOCK_POSITIONS);
}

/** Tokens of a sequence that are known and not yet computed; more than one while it reads its prompt. */
function remaining({ sequence }: Running): number {
  return sequence.ids.length - sequence.computed;
}

/** Hands over an outcome; if that fails, only this sequence does. */
function deliver(sequence: Sequence, outcome: Outcome | undefined): void {
  if (outcome === undefined) {
    sequence.error = new Error("the stage skipped a read whose guess was right");
    return;
  }
  try {
    sequence.accept(outcome);
  } catch (cause) {
    sequence.error = errorOf(cause);
  }
}

function errorOf(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}
