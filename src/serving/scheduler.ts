import { BLOCK_POSITIONS } from "../../assembly/abi.ts";
import { EdgeformerError } from "../errors.ts";
import { type BlockLease, KvCache } from "./kvcache.ts";
import { PromptLookup } from "./prompt-lookup.ts";
import type { Sequence } from "./sequence.ts";
import type { Admission, Batch, Outcome, Outcomes, Read, Row } from "./stage.ts";
import { orderOfRows, owesTurn, rowsAhead, type Standing } from "./turns.ts";
import { type Waiting, WaitingLine } from "./waiting-line.ts";

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
  /** Requests that may wait besides those for which a slot is free; one more is refused. [64] */
  maxQueue?: number;
  /** Steps that a request may wait for its first row before it is refused. [4096] */
  maxWaitSteps?: number;
  /** Tokens that are guessed per step of a sequence that runs alone; 0 guesses none. [1] */
  promptLookup?: number;
}

interface Running {
  sequence: Sequence;
  standing: Standing;
  slot: number;
  lease: BlockLease;
  /** Whether the stage knows of it: it enters with the batch that has its first row. */
  entered: boolean;
  /** Outcomes since it was admitted. */
  delivered: number;
  fruitless: number;
  charged: number;
  lookup: PromptLookup | undefined;
}

/** A batch that is being computed, and who had which slot when it was made. */
interface UnderWay {
  batch: Batch;
  owners: ReadonlyMap<number, Running>;
}

/** What a sequence delivers before it may be set back again. */
const LEAST_DELIVERED = BLOCK_POSITIONS;
/** How often it may be set back before it has delivered that. */
const MAX_FRUITLESS = 3;
/**
 * Reads of a batch. An answer costs several times what a row of a prompt does, so a batch of which every row is scored
 * would hold up everybody else for as long as ten others.
 */
const MAX_READS = 16;
/** How many of those who wait may be passed over in a step because what they begin with is just being read. */
const MAX_PASSED = 8;

const NO_GUESSES: readonly number[] = [];

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
 * Who comes next is a matter of what each client, and each request of a client, has had (turns.ts). One that has had
 * a good deal more than another that waits is set back for it: it keeps its tokens, leaves its blocks to the cache, and
 * goes on later where it was.
 */
export class Scheduler {
  readonly cache: KvCache;
  /** Batches that may be under way at once. */
  readonly maxBatches: number;
  /** Batches so far. */
  steps = 0;
  /** Rows of the last one. */
  lastRows = 0;
  readonly #line: WaitingLine;
  /** In the order of their admission. */
  readonly #running: Running[] = [];
  readonly #slots: (Running | undefined)[];
  readonly #freeSlots: number[];
  readonly #maxRows: number;
  /** Slots whose sequences may not be set back before they have delivered something: so everybody gets on some day. */
  readonly #safeSlots: number;
  readonly #maxGuesses: number;
  /** The batches that are being computed, oldest first. */
  readonly #underWay: UnderWay[] = [];

  constructor({ kvBlocks, maxSequences, maxRows, maxBatches = 1 }: Capacity, options: SchedulerOptions = {}) {
    this.cache = new KvCache(kvBlocks);
    this.#slots = new Array(maxSequences).fill(undefined);
    this.#freeSlots = Array.from({ length: maxSequences }, (_, i) => maxSequences - 1 - i);
    this.#maxRows = maxRows;
    this.#safeSlots = Math.ceil(maxSequences / 4);
    this.maxBatches = maxBatches;
    this.#line = new WaitingLine(options.maxQueue ?? 64, options.maxWaitSteps ?? 4096);
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
    this.#line.enter(sequence, this.steps, this.#freeSlots.length);
  }

  /** Forgets a sequence, finished or not, and frees what it held. What is being computed for it, nobody reads. */
  remove(sequence: Sequence): void {
    this.#line.remove(sequence);
    const running = this.#running.find((entry) => entry.sequence === sequence);
    if (running !== undefined) this.#retire(running);
  }

  /** Whether anybody runs or waits. */
  get busy(): boolean {
    return this.#running.length > 0 || this.#line.length > 0;
  }

  /** Whether a sequence has a slot. */
  isRunning(sequence: Sequence): boolean {
    return this.#running.some((entry) => entry.sequence === sequence);
  }

  /**
   * What to compute next; undefined when there is nothing to do, or nothing before a batch that is under way is
   * accepted. At most `maxBatches` are made before the first is accepted, or failed.
   */
  next(): Batch | undefined {
    if (this.#underWay.length === this.maxBatches)
      throw new Error("the batch before has neither been accepted nor failed");
    this.#admit();
    this.#line.refuseLate(this.steps);
    let batch = this.#fill();
    // Those who cannot say what to read leave room for others.
    while (batch.rows.length === 0 && this.#retireEnded()) {
      this.#admit();
      batch = this.#fill();
    }
    if (batch.rows.length === 0) return undefined;
    this.steps++;
    this.lastRows = batch.rows.length;
    const owners = new Map(batch.rows.map(({ slot }) => [slot, this.#slots[slot]!]));
    this.#underWay.push({ batch, owners });
    return batch;
  }

  /** Hands the outcomes of the oldest batch to their sequences. Those who are finished leave. */
  accept(outcomes: Outcomes): void {
    const { batch, owners } = this.#oldest();
    const { rows, reads } = batch;
    if (outcomes.length !== reads.length) {
      this.fail(new Error(`the stage gave ${outcomes.length} outcomes for ${reads.length} reads`));
      return;
    }
    this.#underWay.shift();
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
      entry.delivered++;
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
   * The keys and values of all sequences are lost, and so are the batches under way. Whoever runs keeps its slot and its
   * blocks, and is read again from its tokens.
   */
  restart(): void {
    this.#underWay.length = 0;
    this.cache.forget(this.#running.map(({ lease }) => lease));
    for (const entry of this.#running) {
      entry.entered = false;
      entry.charged = Math.max(entry.charged, entry.sequence.computed);
      entry.sequence.computed = 0;
    }
  }

  /** Nothing can be computed any more: whoever runs or waits gets the error and leaves. */
  failAll(cause: unknown): void {
    this.restart();
    const error = errorOf(cause);
    this.#line.refuseAll(error);
    for (const { sequence } of this.#running) sequence.error = error;
    this.#retireEnded();
  }

  #oldest(): UnderWay {
    const [oldest] = this.#underWay;
    if (oldest === undefined) throw new Error("no batch is being computed");
    return oldest;
  }

  /** Takes a sequence out of its slot and its blocks. */
  #vacate(entry: Running): void {
    this.#running.splice(this.#running.indexOf(entry), 1);
    this.cache.release(entry.lease);
    this.#slots[entry.slot] = undefined;
    this.#freeSlots.push(entry.slot);
  }

  #retire(entry: Running): void {
    this.#vacate(entry);
    this.#line.turns.leave(entry.standing, entry.sequence);
  }

  /** Whether there was anybody to retire. */
  #retireEnded(): boolean {
    const ended = this.#running.filter(({ sequence }) => sequence.finished || sequence.error !== undefined);
    for (const entry of ended) this.#retire(entry);
    return ended.length > 0;
  }

  /** Makes a running sequence wait again. */
  #setBack(entry: Running): void {
    const { sequence, standing, delivered } = entry;
    const charged = Math.max(entry.charged, sequence.computed);
    this.#vacate(entry);
    const fruitless = delivered >= LEAST_DELIVERED ? 0 : entry.fruitless + 1;
    this.#line.enterAgain({ sequence, standing, since: this.steps, fruitless, charged });
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
    const passed = new Set<Waiting>();
    while (passed.size < MAX_PASSED) {
      const next = this.#line.next(passed);
      if (next === undefined) return;
      const leaving = this.#whoLeavesFor(next);
      if (leaving === undefined) return;
      if (this.#isBeingRead(next.sequence)) passed.add(next);
      else {
        for (const entry of leaving) this.#setBack(entry);
        this.#enterSlot(next);
      }
    }
  }

  /** Who has to leave so that a sequence gets a slot and its blocks: nobody, those furthest ahead, or it cannot be. */
  #whoLeavesFor({ sequence, standing }: Waiting): Running[] | undefined {
    const { ids, wantedFrom, cacheSalt } = sequence;
    const leases: BlockLease[] = [];
    const fits = () =>
      this.#freeSlots.length + leases.length > 0 &&
      this.cache.fits(ids, blocksFor(sequence), wantedFrom, cacheSalt, leases);
    if (fits()) return [];
    const safe = this.#running.filter((entry) => !mayBeSetBack(entry)).slice(0, this.#safeSlots);
    const ahead = this.#running
      .filter((entry) => owesTurn(entry.standing, standing) && !safe.includes(entry))
      .sort((a, b) => rowsAhead(b.standing, a.standing));
    for (const entry of ahead) {
      leases.push(entry.lease);
      if (fits()) return ahead.slice(0, leases.length);
    }
    return undefined;
  }

  #enterSlot(waiting: Waiting): void {
    const { sequence, standing, fruitless, charged } = waiting;
    const { ids, wantedFrom, cacheSalt } = sequence;
    const lease = this.cache.acquire(ids, blocksFor(sequence), wantedFrom, cacheSalt)!;
    this.#line.take(waiting);
    sequence.computed = lease.cachedPositions;
    if (charged === 0) sequence.cachedTokens = lease.cachedPositions;
    const slot = this.#freeSlots.pop()!;
    const state = { entered: false, delivered: 0, lookup: undefined };
    const entry = { sequence, standing, slot, lease, fruitless, charged, ...state };
    standing.request.begun = true;
    this.#slots[slot] = entry;
    this.#running.push(entry);
  }

  /** The next batch: who runs, in the order of their turns until it is full. */
  #fill(): Batch {
    const admissions: Admission[] = [];
    const rows: Row[] = [];
    const reads: Read[] = [];
    const add = (entry: Running) => {
      const { sequence, slot, lease } = entry;
      const { ids, seed, drawn = 0 } = sequence;
      for (; sequence.computed < ids.length && rows.length < this.#maxRows; sequence.computed++) {
        const position = sequence.computed;
        if (position >= sequence.wantedFrom) {
          if (reads.length >= Math.max(MAX_READS, this.#slots.length)) return;
          const task = attempt(sequence, () => sequence.read(position, NO_GUESSES));
          if (task === undefined) return;
          reads.push({ row: rows.length, slot, after: undefined, task });
        }
        if (!entry.entered) admissions.push({ slot, blocks: lease.blocks, seed, drawn });
        entry.entered = true;
        rows.push({ token: ids[position]!, position, slot });
        if (position >= entry.charged) this.#line.turns.charge(entry.standing);
      }
    };
    const generating = this.#running.filter((entry) => remaining(entry) <= 1);
    const reading = this.#running.filter((entry) => remaining(entry) > 1);
    let share = Math.ceil(generating.length / this.maxBatches);
    for (const entry of orderOfRows(generating, reading))
      if (remaining(entry) > 1 || (remaining(entry) === 1 && share-- > 0)) add(entry);
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
      const task = attempt(sequence, () => sequence.read(position, guesses.slice(0, i + 1)));
      if (task === undefined) return;
      reads.push({ row: rows.length, slot, after: token, task });
      rows.push({ token, position, slot });
    }
  }
}

function mayBeSetBack({ delivered, fruitless }: Running): boolean {
  return delivered >= LEAST_DELIVERED || fruitless < MAX_FRUITLESS;
}

/** Blocks that a sequence needs to run to its end. */
function blocksFor(sequence: Sequence): number {
  return Math.ceil(sequence.capacity / BLOCK_POSITIONS);
}

/** Tokens of a sequence that are known and not yet computed; more than one while it reads its prompt. */
function remaining({ sequence }: Running): number {
  return sequence.ids.length - sequence.computed;
}

/** What a sequence answers; if it throws, only this sequence fails. */
function attempt<T>(sequence: Sequence, call: () => T): T | undefined {
  try {
    return call();
  } catch (cause) {
    sequence.error = errorOf(cause);
    return undefined;
  }
}

/** Hands over an outcome. */
function deliver(sequence: Sequence, outcome: Outcome | undefined): void {
  if (outcome === undefined) sequence.error = new Error("the stage skipped a read whose guess was right");
  else attempt(sequence, () => sequence.accept(outcome));
}

function errorOf(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}
