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
  /** Batches that may be under way at once. Stages in several isolates work at the same time that way. [1] */
  readonly maxBatches?: number;
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
  /** Whether its slot has its random numbers; they outlive a restart of the cache. */
  seeded: boolean;
  /** First position whose read has not been answered. Those before are not read again after a restart. */
  unread: number;
}

/** A batch that is being computed, and who had which slot when it was made. */
interface UnderWay {
  batch: Batch;
  owners: ReadonlyMap<number, Running>;
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
 * Where several batches may be under way (`maxBatches`), they are computed and accepted in the order in which they were
 * made. A sequence that waits for its token has no row in the next one; a prompt goes on without waiting.
 *
 * A sequence is admitted when a slot and all blocks that it can ever need are free, so that it can always finish.
 */
export class Scheduler {
  readonly cache: KvCache;
  /** Batches that may be under way at once. */
  readonly maxBatches: number;
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
  /** The batches that are being computed, oldest first. */
  readonly #underWay: UnderWay[] = [];

  constructor({ kvBlocks, maxSequences, maxRows, maxBatches = 1 }: Capacity, options: SchedulerOptions = {}) {
    this.cache = new KvCache(kvBlocks);
    this.#slots = new Array(maxSequences).fill(undefined);
    this.#freeSlots = Array.from({ length: maxSequences }, (_, i) => maxSequences - 1 - i);
    this.#maxRows = maxRows;
    this.maxBatches = maxBatches;
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
   * What to compute next; undefined when there is nothing to do, or nothing before a batch that is under way is
   * accepted. At most `maxBatches` are made before the first is accepted, or failed.
   */
  next(): Batch | undefined {
    if (this.#underWay.length === this.maxBatches)
      throw new Error("the batch before has neither been accepted nor failed");
    this.#admit();
    this.#refuse();
    const batch = this.#fill();
    if (batch.rows.length === 0) return undefined;
    this.steps++;
    const owners = new Map(batch.rows.map(({ slot }) => [slot, this.#slots[slot]!]));
    this.#underWay.push({ batch, owners });
    return batch;
  }

  /** Hands the outcomes of the oldest batch to their sequences. Those who are finished leave. */
  accept(outcomes: Outcomes): void {
    const { batch, owners } = this.#oldest();
    const { admissions, rows, reads } = batch;
    if (outcomes.length !== reads.length) {
      this.fail(new Error(`the stage gave ${outcomes.length} outcomes for ${reads.length} reads`));
      return;
    }
    this.#underWay.shift();
    for (const { slot } of admissions) owners.get(slot)!.seeded = true;
    for (let i = 0; i < reads.length; i++) {
      const { row, slot, after } = reads[i]!;
      const entry = owners.get(slot)!;
      const { sequence } = entry;
      // Its slot may be somebody else's by now.
      if (this.#slots[slot] !== entry || sequence.finished || sequence.error !== undefined) continue;
      const { position } = rows[row]!;
      if (after !== undefined) {
        // Behind a wrong guess nothing came, so every later one is wrong, too. Their cells are written again.
        if (sequence.ids[position] !== after) continue;
        sequence.computed++;
      }
      deliver(sequence, outcomes[i]);
      entry.unread = Math.max(position + 1, sequence.wantedFrom);
    }
    for (const { sequence, lease } of this.#running)
      this.cache.publish(lease, sequence.ids, sequence.computed);
    this.#retireEnded();
  }

  /**
   * The oldest batch could not be computed: the sequences that had rows in it get the error and leave. What they were
   * to write is in nobody else's blocks, so the others go on.
   */
  fail(cause: unknown): void {
    const { owners } = this.#oldest();
    this.#underWay.shift();
    const error = errorOf(cause);
    for (const [slot, entry] of owners) if (this.#slots[slot] === entry) entry.sequence.error = error;
    this.#retireEnded();
  }

  /**
   * The keys and values of all sequences are lost, and so are the batches under way. Whoever runs keeps its slot, its
   * blocks and its random numbers, and is read again from its tokens.
   */
  restart(): void {
    this.#underWay.length = 0;
    this.cache.forget(this.#running.map(({ lease }) => lease));
    for (const entry of this.#running) {
      entry.entered = false;
      entry.sequence.computed = 0;
    }
  }

  /** Nothing can be computed any more: whoever runs or waits gets the error and leaves. */
  failAll(cause: unknown): void {
    this.restart();
    const error = errorOf(cause);
    for (const { sequence } of this.#waiting.splice(0)) sequence.error = error;
    for (const { sequence } of this.#running) sequence.error = error;
    this.#retireEnded();
  }

  #oldest(): UnderWay {
    const [oldest] = this.#underWay;
    if (oldest === undefined) throw new Error("no batch is being computed");
    return oldest;
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
      const entry = {
        sequence,
        slot,
        lease,
        entered: false,
        lookup: undefined,
        seeded: false,
        unread: wantedFrom,
      };
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
      const { ids, seed } = sequence;
      if (!entry.entered && rows.length < this.#maxRows) {
        admissions.push({ slot, blocks: lease.blocks, seed: entry.seeded ? undefined : seed });
        entry.entered = true;
      }
      for (; sequence.computed < ids.length && rows.length < this.#maxRows; sequence.computed++) {
        const position = sequence.computed;
        if (position >= entry.unread)
          reads.push({ row: rows.length, slot, after: undefined, task: sequence.read(position, NO_GUESSES) });
        rows.push({ token: ids[position]!, position, slot });
      }
    };
    const generating = this.#running.filter((entry) => remaining(entry) <= 1).length;
    const share = Math.ceil(generating / this.maxBatches);
    for (const entry of this.#running) if (remaining(entry) === 1 && rows.length < share) add(entry);
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
    const admitted = sequence.admits(guesses);
    for (let i = 0; i < admitted; i++) {
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
