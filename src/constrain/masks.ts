// Which tokens may come next: the walk over the vocabulary's tree, beside the states that its bytes lead to.
//
// Inside a string most tokens only go on with the string, and whether they may depends on the string alone. That part
// of a mask is a Walk, which is kept for all places with the same Inside; the rest are the tokens that hold the
// quotation mark at the string's end (a few hundred), which are followed from there on.
//
// Where any character may follow, a Walk is made from that of free strings: all of it is taken over, and only what
// differs is looked at.

import { type FreeWalk, freeWalk, opensString } from "./free-walk.ts";
import type { Inside, State } from "./state.ts";
import type { Vocabulary } from "./vocabulary.ts";

const QUOTE = 0x22;
/** Masks and walks that are kept: the least recently used go first. 6 KB each for 49,152 tokens. */
const MAX_MASKS = 256;
const MAX_WALKS = 64;

/** The part of a mask that the inside of a string decides, and where tokens leave the string. */
interface Walk {
  mask: Uint32Array;
  exits: readonly Exit[];
  /** Characters of the longest token in the mask, or more. */
  longest: number;
}

interface Exit {
  /** The node of the quotation mark. */
  node: number;
  inside: Inside;
  /** What the token has of the string, a character for each byte. */
  written: string;
  /** Whether a token that goes on from here may hold a further string. */
  opens: boolean;
}

/** A subtree in which any characters may follow. */
interface Region {
  node: number;
  inside: Inside;
  /** Characters of the string in front of it. */
  characters: number;
}

export class Masks {
  readonly #vocabulary: Vocabulary;
  readonly #masks = new Map<State, Uint32Array>();
  readonly #walks = new Map<Inside, Walk>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** Bytes of memory that is held, roughly. */
  get memory(): number {
    let bytes = (this.#masks.size + this.#walks.size) * this.#vocabulary.emptyMask().byteLength;
    for (const { exits } of this.#walks.values()) bytes += exits.length * 64;
    return bytes;
  }

  /** Bit i: token i may come next. End tokens are not in it. Must not be changed. */
  of(given: State): Uint32Array {
    let state = given;
    const wide = given.unbounded;
    if (wide?.inside && wide !== given && given.inside!.isFar(this.#walk(wide.inside).longest)) state = wide;
    const known = recall(this.#masks, state);
    if (known) return known;
    const { inside, until } = state;
    let mask: Uint32Array;
    if (until !== undefined) {
      mask = this.#vocabulary.fullMask().slice();
      this.#correct(mask, 0, this.#vocabulary.bytes.length, state, until);
    } else if (inside && state.close) {
      const walk = this.#walk(inside);
      mask = walk.mask.slice();
      for (const { node, inside: end, written, opens } of walk.exits) {
        const behind = state.close(end, written, opens);
        if (behind) this.#descend(mask, node, behind);
      }
    } else {
      mask = this.#vocabulary.emptyMask();
      this.#children(mask, 0, this.#vocabulary.bytes.length, state);
    }
    keep(this.#masks, state, mask, MAX_MASKS);
    return mask;
  }

  /** Allows the token at a node and what goes on from it. */
  #descend(mask: Uint32Array, node: number, state: State): void {
    this.#vocabulary.allow(mask, node);
    const end = this.#vocabulary.ends[node]!;
    if (end > node + 1) this.#children(mask, node + 1, end, state);
  }

  #children(mask: Uint32Array, from: number, to: number, state: State): void {
    const { bytes, ends } = this.#vocabulary;
    for (let node = from; node < to; node = ends[node]!) {
      const next = state.step(bytes[node]!);
      if (next) this.#descend(mask, node, next);
    }
  }

  /** Looks again at the tokens of some subtrees, all of them allowed, that have the byte on which they depend. */
  #correct(mask: Uint32Array, from: number, to: number, state: State, until: number): void {
    const vocabulary = this.#vocabulary;
    const holds = vocabulary.holding(until);
    for (let node = from; node < to; node = vocabulary.ends[node]!) {
      if (holds[node] === 0) continue;
      const next = state.step(vocabulary.bytes[node]!);
      if (next?.until === until) this.#correct(mask, node + 1, vocabulary.ends[node]!, next, until);
      else {
        for (let below = node; below < vocabulary.ends[node]!; below++) vocabulary.forbid(mask, below);
        if (next) this.#descend(mask, node, next);
      }
    }
  }

  #walk(inside: Inside): Walk {
    const known = recall(this.#walks, inside);
    if (known) return known;
    const free = freeWalk(this.#vocabulary);
    const walk =
      inside.free === undefined
        ? new StringWalker(this.#vocabulary, free, inside).walk()
        : this.#freeWalk(free, inside, inside.free);
    keep(this.#walks, inside, walk, MAX_WALKS);
    return walk;
  }

  /** Up to so many characters, whichever they are. */
  #freeWalk({ mask: all, nodes, lengths, exits }: FreeWalk, inside: Inside, most: number): Walk {
    const mask = all.slice();
    let first = 0;
    for (; first < nodes.length && lengths[first]! > most; first++)
      this.#vocabulary.forbid(mask, nodes[first]!);
    // A twin of a token that is forbidden has as many characters.
    const kept: Exit[] = [];
    for (const { node, characters, written, opens } of exits) {
      const end = inside.behind(characters);
      if (end?.mayClose) kept.push({ node, inside: end, written, opens });
    }
    return { mask, exits: kept, longest: lengths[first] ?? 0 };
  }
}

class StringWalker {
  readonly #vocabulary: Vocabulary;
  readonly #free: FreeWalk;
  readonly #inside: Inside;
  readonly #mask: Uint32Array;
  /** Whether the mask began as that of free strings. */
  readonly #corrects: boolean;
  readonly #exits: Exit[] = [];
  readonly #regions: Region[] = [];
  readonly #path: number[] = [];
  #longest = 0;

  constructor(vocabulary: Vocabulary, free: FreeWalk, inside: Inside) {
    this.#vocabulary = vocabulary;
    this.#free = free;
    this.#inside = inside;
    this.#corrects = inside.atBoundary && this.#isMostlyFree(inside);
    this.#mask = this.#corrects ? free.mask.slice() : vocabulary.emptyMask();
  }

  /** Whether most of the tree is free behind one byte. */
  #isMostlyFree(inside: Inside): boolean {
    const { bytes, ends } = this.#vocabulary;
    let [free, forbidden] = [0, 0];
    for (let node = 0; node < bytes.length; node = ends[node]!) {
      const next = inside.step(bytes[node]!);
      if (!next) forbidden += ends[node]! - node;
      else if (next.free === Infinity) free += ends[node]! - node;
    }
    return free > forbidden;
  }

  walk(): Walk {
    this.#visit(0, this.#vocabulary.bytes.length, this.#inside, 0);
    if (this.#regions.length > 0) {
      this.#longest = this.#free.lengths[0] ?? 0;
      this.#leaveRegions();
    }
    return { mask: this.#mask, exits: this.#exits, longest: this.#longest };
  }

  #visit(from: number, to: number, at: Inside, characters: number): void {
    const vocabulary = this.#vocabulary;
    const { bytes, ends } = vocabulary;
    const length = characters + (at.atBoundary ? 1 : 0);
    for (let node = from; node < to; node = ends[node]!) {
      const byte = bytes[node]!;
      if (byte === QUOTE && at.atBoundary) {
        if (at.mayClose)
          this.#exits.push({
            node,
            inside: at,
            written: String.fromCharCode(...this.#path),
            opens: opensString(vocabulary, node),
          });
        continue;
      }
      const next = at.step(byte);
      if (!next) {
        if (this.#corrects)
          for (let below = node; below < ends[node]!; below++) vocabulary.forbid(this.#mask, below);
        continue;
      }
      if (this.#corrects && next.free === Infinity) {
        this.#regions.push({ node, inside: next, characters: length });
        continue;
      }
      vocabulary.allow(this.#mask, node);
      if (vocabulary.tokens[node] !== -1 && length > this.#longest) this.#longest = length;
      if (ends[node]! === node + 1) continue;
      this.#path.push(byte);
      this.#visit(node + 1, ends[node]!, next, length);
      this.#path.pop();
    }
  }

  /** Finds where tokens leave the string in subtrees that are free: as free strings do. */
  #leaveRegions(): void {
    const { ends } = this.#vocabulary;
    let at = 0;
    for (const { node, inside, characters } of this.#regions) {
      for (; at < this.#free.exits.length; at++) {
        const exit = this.#free.exits[at]!;
        if (exit.node >= ends[node]!) break;
        if (exit.node <= node) continue;
        const end = inside.behind(exit.characters - characters);
        if (end?.mayClose) this.#exits.push({ ...exit, inside: end });
      }
    }
  }
}

function recall<K, V>(map: Map<K, V>, key: K): V | undefined {
  const known = map.get(key);
  if (known === undefined) return undefined;
  map.delete(key);
  map.set(key, known);
  return known;
}

function keep<K, V>(map: Map<K, V>, key: K, value: V, most: number): void {
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value as K);
}
