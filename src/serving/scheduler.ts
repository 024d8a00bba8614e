import { BLOCK_POSITIONS } from "../../assembly/abi.ts";
import type { Engine } from "../engine/engine.ts";
import { EdgeformerError } from "../errors.ts";
import { seedHalves } from "../options.ts";
import { type BlockLease, KvCache } from "./kvcache.ts";
import { PromptLookup } from "./prompt-lookup.ts";
import type { Sequence } from "./sequence.ts";

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
  lookup?: PromptLookup;
}

/** Logits of a position that somebody reads. */
interface Wanted {
  entry: Running;
  position: number;
  /** The token that was assumed at this position: if another came, nobody reads the logits. */
  guess?: number;
}

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
 * Decides which rows the next forward pass computes (iteration-level batching, Orca, Yu et al. 2022): one for
 * each sequence that is generating, and what is left of the batch for prompts, first come, first served.
 *
 * A sequence is admitted when a slot and all blocks that it can ever need are free, so that it can always
 * finish. Nothing here waits or calls back: whoever wants a result calls step() until it is there. That is what
 * Cloudflare's rule asks for, by which one request must not touch another's I/O.
 */
export class Scheduler {
  readonly cache: KvCache;
  /** Forward passes so far. */
  steps = 0;
  private readonly waiting: Waiting[] = [];
  private readonly running: Running[] = [];
  private readonly freeSlots: number[];
  private readonly maxQueue: number;
  private readonly maxWaitSteps: number;
  private readonly maxGuesses: number;

  constructor(
    private readonly engine: Engine,
    options: SchedulerOptions = {},
  ) {
    const { kvBlocks, maxSequences, logitsSlots } = engine.plan;
    this.cache = new KvCache(kvBlocks);
    this.freeSlots = Array.from({ length: maxSequences }, (_, i) => maxSequences - 1 - i);
    this.maxQueue = options.maxQueue ?? 64;
    this.maxWaitSteps = options.maxWaitSteps ?? 4096;
    this.maxGuesses = Math.min(options.promptLookup ?? 1, logitsSlots - 1);
  }

  /** Blocks that a sequence needs to run to its end. */
  private blocksFor(sequence: Sequence): number {
    return Math.ceil(sequence.capacity / BLOCK_POSITIONS);
  }

  /**
   * Takes a sequence in.
   *
   * @throws EdgeformerError `context_length_exceeded` when the whole cache could not hold it, `overloaded` when
   *   too many wait already
   */
  add(sequence: Sequence): void {
    if (this.blocksFor(sequence) > this.cache.blocks)
      throw new EdgeformerError(
        "context_length_exceeded",
        `the request needs ${sequence.capacity} positions, but the cache holds ${this.cache.blocks * BLOCK_POSITIONS}: shorten the prompt, lower maxTokens, or load the model with more kvBlocks`,
      );
    if (sequence.finished) return;
    if (this.waiting.length >= this.maxQueue) throw overloaded(`${this.waiting.length} requests are waiting`);
    this.waiting.push({ sequence, since: this.steps });
  }

  /** Forgets a sequence, finished or not, and frees what it held. */
  remove(sequence: Sequence): void {
    const waiting = this.waiting.findIndex((entry) => entry.sequence === sequence);
    if (waiting !== -1) this.waiting.splice(waiting, 1);
    const running = this.running.findIndex((entry) => entry.sequence === sequence);
    if (running !== -1) this.retire(running);
  }

  private retire(index: number): void {
    const [entry] = this.running.splice(index, 1);
    this.cache.release(entry!.lease);
    this.freeSlots.push(entry!.slot);
  }

  /** Whether somebody is just computing blocks that this sequence begins with: soon they can be shared. */
  private isBeingRead({ ids, wantedFrom }: Sequence): boolean {
    const cached = this.cache.cachedPositions(ids, wantedFrom);
    return this.running.some(({ sequence: other }) => {
      if (other.computed >= other.ids.length - 1) return false;
      const common = commonPrefix(other.ids, ids, wantedFrom);
      const shareable = common - (common % BLOCK_POSITIONS);
      return shareable > cached && shareable > other.computed;
    });
  }

  private admit(): void {
    while (this.waiting.length > 0 && this.freeSlots.length > 0) {
      const { sequence } = this.waiting[0]!;
      if (this.isBeingRead(sequence)) return;
      const lease = this.cache.acquire(sequence.ids, this.blocksFor(sequence), sequence.wantedFrom);
      if (lease === undefined) return;
      this.waiting.shift();
      const slot = this.freeSlots.pop()!;
      for (const [i, block] of lease.blocks.entries()) this.engine.setBlock(slot, i, block);
      this.engine.seed(slot, ...seedHalves(sequence.seed));
      sequence.computed = lease.cachedPositions;
      sequence.cachedTokens = lease.cachedPositions;
      this.running.push({ sequence, slot, lease });
    }
  }

  /** Refuses whoever has waited too long; its owner finds the error when it looks. */
  private refuse(): void {
    while (this.waiting.length > 0 && this.steps - this.waiting[0]!.since > this.maxWaitSteps) {
      const { sequence } = this.waiting.shift()!;
      sequence.error = overloaded(`there was no room for ${this.maxWaitSteps} steps`);
    }
  }

  /**
   * One forward pass for everybody.
   * @returns false when there was nothing to do
   */
  step(): boolean {
    this.admit();
    this.refuse();
    if (this.running.length === 0) return false;
    this.steps++;
    const { rows, wanted } = this.fill();
    this.engine.forward(rows, wanted.length);
    const { logitsSlots } = this.engine.plan;
    for (let first = 0; first < wanted.length; first += logitsSlots) {
      const group = wanted.slice(first, first + logitsSlots);
      this.engine.head(first, group.length);
      for (const [slot, { entry, position, guess }] of group.entries()) {
        const { sequence } = entry;
        if (guess !== undefined) {
          // Behind a wrong guess nothing came, so every later one is wrong, too. Their cells are written again.
          if (sequence.finished || sequence.ids[position] !== guess) continue;
          sequence.computed++;
        }
        sequence.consume(this.engine, slot, entry.slot, position);
      }
    }
    for (const { sequence, lease } of this.running)
      this.cache.publish(lease, sequence.ids, sequence.computed);
    for (let i = this.running.length - 1; i >= 0; i--) if (this.running[i]!.sequence.finished) this.retire(i);
    return true;
  }

  /** Writes the rows of the next pass: those who generate first, then prompts until the batch is full. */
  private fill(): { rows: number; wanted: Wanted[] } {
    const { maxRows } = this.engine.plan;
    const decoding = this.running.filter(({ sequence }) => sequence.computed === sequence.ids.length - 1);
    const reading = this.running.filter(({ sequence }) => sequence.computed < sequence.ids.length - 1);
    const wanted: Wanted[] = [];
    let rows = 0;
    for (const entry of [...decoding, ...reading]) {
      const { sequence, slot } = entry;
      for (; sequence.computed < sequence.ids.length && rows < maxRows; sequence.computed++, rows++) {
        const position = sequence.computed;
        this.engine.setRow(rows, sequence.ids[position]!, position, slot);
        if (position < sequence.wantedFrom) continue;
        this.engine.setWanted(wanted.length, rows);
        wanted.push({ entry, position });
      }
    }
    if (rows === 1 && this.running.length === 1) rows += this.guess(this.running[0]!, wanted);
    return { rows, wanted };
  }

  /**
   * Adds rows for tokens that may come next to the one row of a step. With company it would not pay: a second
   * row is cheap, further ones are not (lookup.ts).
   *
   * @returns how many rows it added, none beyond the sequence's own blocks
   */
  private guess(entry: Running, wanted: Wanted[]): number {
    const { sequence, slot } = entry;
    const first = sequence.ids.length;
    const limit = Math.min(this.maxGuesses, sequence.capacity - first);
    if (limit <= 0) return 0;
    entry.lookup ??= new PromptLookup();
    const guesses = entry.lookup.guess(sequence.ids, limit);
    for (const [i, guess] of guesses.entries()) {
      this.engine.setRow(1 + i, guess, first + i, slot);
      this.engine.setWanted(1 + i, 1 + i);
      wanted.push({ entry, position: first + i, guess });
    }
    return guesses.length;
  }
}
