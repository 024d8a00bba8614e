import { BLOCK_POSITIONS } from "../assembly/abi.ts";
import type { Engine } from "./engine.ts";
import { KvCache } from "./kvcache.ts";
import type { Sequence } from "./sequence.ts";

interface Running {
  sequence: Sequence;
  slot: number;
  blocks: number[];
}

/**
 * Decides which rows the next forward pass computes (iteration-level batching, Orca, Yu et al. 2022): one for
 * each sequence that is generating, and what is left of the batch for prompts, first come, first served.
 *
 * A sequence is admitted when a slot and all blocks that it can ever need are free, so that it can always
 * finish. Nothing here waits or calls back: whoever wants a result calls step() until it is there.
 */
export class Scheduler {
  readonly cache: KvCache;
  private readonly waiting: Sequence[] = [];
  private readonly running: Running[] = [];
  private readonly freeSlots: number[];

  constructor(private readonly engine: Engine) {
    const { kvBlocks, maxSequences } = engine.plan;
    this.cache = new KvCache(kvBlocks);
    this.freeSlots = Array.from({ length: maxSequences }, (_, i) => maxSequences - 1 - i);
  }

  /** Blocks that a sequence needs to run to its end. */
  private blocksFor(sequence: Sequence): number {
    return Math.ceil(sequence.capacity / BLOCK_POSITIONS);
  }

  /** Whether the sequence could run if nothing else did. */
  canEverRun(sequence: Sequence): boolean {
    return this.blocksFor(sequence) <= this.cache.blocks;
  }

  add(sequence: Sequence): void {
    if (!sequence.finished) this.waiting.push(sequence);
  }

  /** Forgets a sequence, finished or not, and frees what it held. */
  remove(sequence: Sequence): void {
    const waiting = this.waiting.indexOf(sequence);
    if (waiting !== -1) this.waiting.splice(waiting, 1);
    const running = this.running.findIndex((entry) => entry.sequence === sequence);
    if (running !== -1) this.retire(running);
  }

  private retire(index: number): void {
    const [entry] = this.running.splice(index, 1);
    this.cache.release(entry!.blocks);
    this.freeSlots.push(entry!.slot);
  }

  private admit(): void {
    while (this.waiting.length > 0 && this.freeSlots.length > 0) {
      const sequence = this.waiting[0]!;
      const blocks = this.cache.allocate(this.blocksFor(sequence));
      if (blocks === undefined) return;
      this.waiting.shift();
      const slot = this.freeSlots.pop()!;
      for (const [i, block] of blocks.entries()) this.engine.setBlock(slot, i, block);
      this.engine.seed(slot, sequence.seed);
      this.running.push({ sequence, slot, blocks });
    }
  }

  /**
   * One forward pass for everybody.
   * @returns false when there was nothing to do
   */
  step(): boolean {
    this.admit();
    if (this.running.length === 0) return false;
    const { maxRows, logitsSlots } = this.engine.plan;
    // Whoever is generating has one row left to compute; whoever reads a prompt has many.
    const decoding = this.running.filter(({ sequence }) => sequence.computed === sequence.ids.length - 1);
    const reading = this.running.filter(({ sequence }) => sequence.computed < sequence.ids.length - 1);
    const wanted: { entry: Running; position: number }[] = [];
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
    this.engine.forward(rows, wanted.length);
    for (let first = 0; first < wanted.length; first += logitsSlots) {
      const group = wanted.slice(first, first + logitsSlots);
      this.engine.head(first, group.length);
      group.forEach(({ entry, position }, slot) => {
        if (!entry.sequence.finished) entry.sequence.consume(this.engine, slot, entry.slot, position);
      });
    }
    for (let i = this.running.length - 1; i >= 0; i--) if (this.running[i]!.sequence.finished) this.retire(i);
    return true;
  }
}
