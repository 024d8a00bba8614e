import { BLOCK_POSITIONS } from "../../assembly/abi.ts";

/** A full block whose tokens, and all before them, are known. */
interface CachedBlock {
  block: number;
  /** Names this block's content as a parent; never used twice. */
  id: number;
  key: string;
}

/** The blocks of one sequence, in the order of its positions. */
export interface BlockLease {
  readonly blocks: number[];
  /** Positions at the front whose keys and values were in the cache already. */
  readonly cachedPositions: number;
  /** Blocks at the front that are published, by this lease or before it. */
  published: number;
  /** `id` of the last published block, or the root of its salt. */
  parent: Parent;
  readonly salt: string;
}

/** What a key begins with: the block before, or the salt where there is none. */
type Parent = number | string;

/** What the first block of a sequence has for a parent. No number begins with a zero, so no block is called so. */
function rootOf(salt: string): Parent {
  return `0${salt}`;
}

function keyOf(parent: Parent, ids: readonly number[], index: number): string {
  return `${parent}:${ids.slice(index * BLOCK_POSITIONS, (index + 1) * BLOCK_POSITIONS).join(",")}`;
}

/**
 * Who holds which KV block (PagedAttention's block manager, Kwon et al. 2023).
 *
 * A block is free, held by one or more sequences, or cached: held by nobody, but its content can still be found
 * by its token ids. Only full blocks are published, and nobody writes to a full block again, so a shared block
 * never has to be copied. A key names the block before it, so equal keys mean equal tokens from the first
 * position on, and since a row's bits do not depend on its batch, equal bytes. The first block's key names the
 * sequence's salt instead, so sequences with different salts never share a block.
 */
export class KvCache {
  /** Blocks that there are. */
  readonly blocks: number;
  readonly #free: number[];
  readonly #holders: Int32Array;
  readonly #byKey = new Map<string, CachedBlock>();
  readonly #byBlock = new Map<number, CachedBlock>();
  /** Cached blocks that nobody holds, least recently used first: a Set keeps the order of insertion. */
  readonly #idle = new Set<number>();
  #nextId = 1;

  constructor(blocks: number) {
    this.blocks = blocks;
    this.#free = Array.from({ length: blocks }, (_, i) => blocks - 1 - i);
    this.#holders = new Int32Array(blocks);
  }

  /** Blocks that a new sequence could get. */
  get available(): number {
    return this.#free.length + this.#idle.size;
  }

  /** Published blocks that lie whole within the first `limit` of `ids`. */
  #lookup(ids: readonly number[], limit: number, salt: string): CachedBlock[] {
    const found: CachedBlock[] = [];
    const usable = Math.floor(limit / BLOCK_POSITIONS);
    for (let parent = rootOf(salt); found.length < usable; ) {
      const hit = this.#byKey.get(keyOf(parent, ids, found.length));
      if (hit === undefined) break;
      found.push(hit);
      parent = hit.id;
    }
    return found;
  }

  /** How many of the first `limit` positions of `ids` are in the cache. */
  cachedPositions(ids: readonly number[], limit: number, salt = ""): number {
    return this.#lookup(ids, limit, salt).length * BLOCK_POSITIONS;
  }

  /** Whether acquire() would give blocks, once these leases were released. */
  fits(
    ids: readonly number[],
    count: number,
    limit: number,
    salt = "",
    released: readonly BlockLease[] = [],
  ): boolean {
    const left = new Map<number, number>();
    for (const { blocks } of released)
      for (const block of blocks) left.set(block, (left.get(block) ?? this.#holders[block]!) - 1);
    const shared = this.#lookup(ids, limit, salt);
    // Shared blocks that nobody else holds can be taken over, but not given away as well.
    const idle = shared.filter(({ block }) => this.#idle.has(block) || left.get(block) === 0).length;
    const freed = [...left.values()].filter((holders) => holders === 0).length;
    return count - shared.length <= this.available + freed - idle;
  }

  /**
   * Takes `count` blocks for a sequence that begins with `ids`, shared ones first; undefined, and nothing is
   * taken, when there are not enough.
   *
   * @param limit how many of the first positions may be shared: the logits of those behind are wanted
   * @param salt blocks are shared only with sequences that have the same one
   */
  acquire(ids: readonly number[], count: number, limit: number, salt = ""): BlockLease | undefined {
    if (!this.fits(ids, count, limit, salt)) return undefined;
    const shared = this.#lookup(ids, limit, salt);
    const blocks = shared.map(({ block }) => block);
    for (const block of blocks) this.#hold(block);
    while (blocks.length < count) {
      const block = this.#free.pop() ?? this.#evict();
      this.#hold(block);
      blocks.push(block);
    }
    return {
      blocks,
      cachedPositions: shared.length * BLOCK_POSITIONS,
      published: shared.length,
      parent: shared.at(-1)?.id ?? rootOf(salt),
      salt,
    };
  }

  /** Makes the lease's full blocks among the first `computed` positions findable. */
  publish(lease: BlockLease, ids: readonly number[], computed: number): void {
    for (; (lease.published + 1) * BLOCK_POSITIONS <= computed; lease.published++) {
      const key = keyOf(lease.parent, ids, lease.published);
      let entry = this.#byKey.get(key);
      if (entry === undefined) {
        entry = { block: lease.blocks[lease.published]!, id: this.#nextId++, key };
        this.#byKey.set(key, entry);
        this.#byBlock.set(entry.block, entry);
      }
      lease.parent = entry.id;
    }
  }

  /** Gives the blocks back; published ones stay findable until their space is needed. */
  release(lease: BlockLease): void {
    // The last block first, so that no block is evicted before those that can only be found through it.
    for (const block of [...lease.blocks].reverse()) {
      if (--this.#holders[block]! > 0) continue;
      if (this.#byBlock.has(block)) this.#idle.add(block);
      else this.#free.push(block);
    }
  }

  /**
   * What the blocks held is lost: nothing can be found any more until it is published again.
   *
   * @param leases all that there are; they keep their blocks
   */
  forget(leases: readonly BlockLease[]): void {
    this.#free.push(...this.#idle);
    this.#idle.clear();
    this.#byKey.clear();
    this.#byBlock.clear();
    for (const lease of leases) {
      lease.published = 0;
      lease.parent = rootOf(lease.salt);
    }
  }

  #hold(block: number): void {
    this.#holders[block]!++;
    this.#idle.delete(block);
  }

  #evict(): number {
    const [block] = this.#idle;
    const entry = this.#byBlock.get(block!)!;
    this.#idle.delete(entry.block);
    this.#byBlock.delete(entry.block);
    this.#byKey.delete(entry.key);
    return entry.block;
  }
}
