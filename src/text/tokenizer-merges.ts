// Byte pair encoding (Gage 1994; Sennrich et al. 2016): two neighbours that a merge names become one, the earliest-learnt
// merge first and from the left, until no merge is left.

import { EdgeformerError } from "../errors.ts";
import type { InParts } from "../parts.ts";

/** Merges in the order of their priority; of each, the ids of its halves and of what they make. */
export interface MergeList {
  readonly left: Uint16Array | Uint32Array;
  readonly right: Uint16Array | Uint32Array;
  readonly result: Uint16Array | Uint32Array;
  /** Priority of each merge, least first, where several have the same one; undefined if it is the merge's index. */
  readonly ranks: Uint32Array | undefined;
}

/** Symbols up to which looking at every pair again and again is the faster way. */
const SHORT = 48;
/** Pairs of a long piece that are looked at in one go. */
const PART = 8192;
/** Done already. */
export const NO_PAUSES: readonly undefined[] = [];
/** Above any priority. */
const NEVER = 0xffffffff;
/** Above any position within a piece, so that one number orders by priority first and then by place. */
const PLACES = 2 ** 32;

/** A binary heap of numbers, least first. */
class Heap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const least = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return least;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= last) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return least;
  }
}

/**
 * Counts the slots that were taken while a hash table is filled. Less than one an entry is usual; a file that was made to
 * collide, or that has one pair a million times, is refused before it takes minutes.
 */
export class ProbeCount {
  #left: number;

  constructor(entries: number) {
    this.#left = 64 * entries + 1024;
  }

  add(): void {
    if (--this.#left < 0)
      throw new EdgeformerError(
        "invalid_model",
        "tokenizer.bin: too many of its entries collide; convert the model again",
      );
  }
}

/** Applies merges. A merge is found by hashing the pair of ids that it names. */
export class Merger {
  readonly #list: MergeList;
  /** Index of a merge plus one, open addressing with linear probing; 0 is free. At most half of it is taken. */
  readonly #table: Uint32Array;
  readonly #mask: number;
  readonly #ranks = new Uint32Array(SHORT);

  constructor(list: MergeList) {
    this.#list = list;
    const { left, right } = list;
    let slots = 4;
    while (slots < 2 * left.length) slots *= 2;
    this.#table = new Uint32Array(slots);
    this.#mask = slots - 1;
    const probes = new ProbeCount(left.length);
    for (let i = 0; i < left.length; i++) {
      let slot = this.#slot(left[i]!, right[i]!);
      for (; this.#table[slot] !== 0; probes.add()) slot = (slot + 1) & this.#mask;
      this.#table[slot] = i + 1;
    }
  }

  /** Fibonacci hashing of a pair of ids (Knuth, TAOCP 6.4), and the murmur finalizer's last steps. */
  #slot(left: number, right: number): number {
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
    return (hash ^ (hash >>> 13)) & this.#mask;
  }

  /** The merge of two ids; -1 if there is none. */
  #find(left: number, right: number): number {
    const { left: lefts, right: rights } = this.#list;
    for (let slot = this.#slot(left, right); ; slot = (slot + 1) & this.#mask) {
      const merge = this.#table[slot]! - 1;
      if (merge < 0 || (lefts[merge] === left && rights[merge] === right)) return merge;
    }
  }

  #rank(merge: number): number {
    return merge < 0 ? NEVER : this.#list.ranks ? this.#list.ranks[merge]! : merge;
  }

  /**
   * Merges the first `count` of `ids` and appends what is left of them to `out`. `ids` is overwritten.
   *
   * @returns pauses: a long piece is merged as they are gone through
   */
  merge(ids: Int32Array, count: number, out: number[]): Iterable<undefined> {
    if (count > SHORT) return this.#mergeLong(ids.slice(0, count), out);
    this.#mergeShort(ids, count, out);
    return NO_PAUSES;
  }

  #mergeShort(ids: Int32Array, length: number, out: number[]): void {
    const ranks = this.#ranks;
    let count = length;
    for (let i = 0; i + 1 < count; i++) ranks[i] = this.#rank(this.#find(ids[i]!, ids[i + 1]!));
    for (;;) {
      let [best, place] = [NEVER, -1];
      for (let i = 0; i + 1 < count; i++)
        if (ranks[i]! < best) {
          best = ranks[i]!;
          place = i;
        }
      if (place === -1) break;
      ids[place] = this.#list.result[this.#find(ids[place]!, ids[place + 1]!)]!;
      ids.copyWithin(place + 1, place + 2, count);
      ranks.copyWithin(place + 1, place + 2, count - 1);
      count--;
      if (place > 0) ranks[place - 1] = this.#rank(this.#find(ids[place - 1]!, ids[place]!));
      if (place + 1 < count) ranks[place] = this.#rank(this.#find(ids[place]!, ids[place + 1]!));
    }
    for (let i = 0; i < count; i++) out.push(ids[i]!);
  }

  /** The same with a heap, in O(n log n): a megabyte of one letter must not take a minute. */
  *#mergeLong(ids: Int32Array, out: number[]): InParts<void> {
    const { length } = ids;
    const next = new Int32Array(length);
    const previous = new Int32Array(length);
    for (let i = 0; i < length; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    const heap = new Heap();
    const offer = (at: number) => {
      if (at < 0 || next[at]! >= length) return;
      const merge = this.#find(ids[at]!, ids[next[at]!]!);
      if (merge >= 0) heap.push(this.#rank(merge) * PLACES + at);
    };
    for (let at = 0; at < length; at++) {
      offer(at);
      if (at % PART === PART - 1) yield undefined;
    }
    let looks = 0;
    for (let item = heap.pop(); item !== undefined; item = heap.pop()) {
      if (++looks % PART === 0) yield undefined;
      const rank = Math.floor(item / PLACES);
      const at = item % PLACES;
      const other = next[at]!;
      // The pair may have been merged away since it was offered.
      if (ids[at] === -1 || other >= length) continue;
      const merge = this.#find(ids[at]!, ids[other]!);
      if (this.#rank(merge) !== rank) continue;
      ids[at] = this.#list.result[merge]!;
      ids[other] = -1;
      next[at] = next[other]!;
      if (next[at]! < length) previous[next[at]!] = at;
      offer(previous[at]!);
      offer(at);
    }
    for (let at = 0; at < length; at = next[at]!) out.push(ids[at]!);
  }
}
