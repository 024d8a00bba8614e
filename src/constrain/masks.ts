// Which tokens may come next: the walk over the vocabulary's tree, beside the states that its bytes lead to.
//
// Inside a string most tokens only go on with the string, and whether they may depends on the string alone. That part
// of a mask is a Walk, which is kept for all places with the same Inside; the rest are the tokens that hold the
// quotation mark at the string's end (a few hundred), which are followed from there on.
//
// A Walk is made from another: all of that is taken over, and only where the two states lead to different ones is the
// tree looked at. The first to start from is that of a string that may hold anything.

import { freeWalk, opensString } from "./free-walk.ts";
import { remember } from "./memory.ts";
import type { Inside, State } from "./state.ts";
import type { Vocabulary } from "./vocabulary.ts";

const QUOTE = 0x22;
/** Masks and walks that are kept: the least recently used go first. 6 KB each for 49,152 tokens. */
const MAX_MASKS = 256;
const MAX_WALKS = 64;
/** What is remembered beside a mask's words, and of an exit. */
const [MASK_BYTES, EXIT_BYTES] = [150, 80];
/** Walks that a new one is compared with, to start from the most similar. */
const MAX_COMPARED = 6;

/** The part of a mask that the inside of a string decides, and where tokens leave the string. */
interface Walk {
  inside: Inside;
  mask: Uint32Array;
  /** In the order of their nodes. */
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

export class Masks {
  readonly #vocabulary: Vocabulary;
  readonly #masks = new Map<State, Uint32Array>();
  readonly #walks = new Map<Inside, Walk>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  clear(): void {
    this.#masks.clear();
    this.#walks.clear();
  }

  /** Bit i: token i may come next. End tokens are not in it. Must not be changed. */
  of(given: State): Uint32Array {
    let state = given;
    const wide = given.unbounded;
    if (wide?.inside && wide !== given && given.inside!.isFar(this.#walk(wide.inside).longest)) state = wide;
    const known = recall(this.#masks, state);
    if (known) return known;
    const { inside } = state;
    let mask: Uint32Array;
    if (state.close && (inside || state.listed)) {
      const walk = inside && this.#walk(inside);
      mask = walk ? walk.mask.slice() : this.#vocabulary.emptyMask();
      for (const { node, inside: end, written, opens } of walk?.exits ?? []) {
        const behind = state.close(end, written, opens);
        if (behind) this.#descend(mask, node, behind);
      }
      for (const rest of state.listed ?? []) this.#allowText(mask, state, rest);
    } else {
      mask = this.#vocabulary.emptyMask();
      this.#children(mask, 0, this.#vocabulary.bytes.length, state);
    }
    keep(this.#masks, state, mask, MAX_MASKS);
    remember(this, MASK_BYTES + mask.byteLength);
    return mask;
  }

  /** Allows the tokens that write a part of a text, and those that end the string behind it. */
  #allowText(mask: Uint32Array, state: State, text: string): void {
    const { nodes, exit } = this.#vocabulary.pathOf(text);
    for (const node of nodes) this.#vocabulary.mark(mask, node);
    if (exit === -1) return;
    let inside = state.inside;
    for (let i = 0; i < text.length && inside; i++) inside = inside.step(text.charCodeAt(i));
    const behind = state.close!(inside, text, true);
    if (behind) this.#descend(mask, exit, behind);
  }

  /** Allows the token at a node and what goes on from it. */
  #descend(mask: Uint32Array, node: number, state: State): void {
    this.#vocabulary.mark(mask, node);
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

  #walk(inside: Inside): Walk {
    const known = recall(this.#walks, inside);
    if (known) return known;
    const walk =
      inside.free === undefined
        ? new StringWalker(this.#vocabulary, inside, [...this.#walks.values()].slice(-MAX_COMPARED)).walk()
        : this.#freeWalk(inside, inside.free);
    keep(this.#walks, inside, walk, MAX_WALKS);
    remember(this, MASK_BYTES + walk.mask.byteLength + EXIT_BYTES * walk.exits.length);
    return walk;
  }

  /** Up to so many characters, whichever they are. */
  #freeWalk(inside: Inside, most: number): Walk {
    const { mask: all, nodes, lengths, exits } = freeWalk(this.#vocabulary);
    const mask = all.slice();
    let first = 0;
    for (; first < nodes.length && lengths[first]! > most; first++)
      this.#vocabulary.mark(mask, nodes[first]!, false);
    // Exits behind as many characters lead to the same place.
    const behind: (Inside | undefined)[] = [];
    const kept: Exit[] = [];
    for (const { node, characters, written, opens } of exits) {
      if (!(characters in behind)) behind[characters] = inside.behind(characters);
      const end = behind[characters];
      if (end?.mayClose) kept.push({ node, inside: end, written, opens });
    }
    return { inside, mask, exits: kept, longest: lengths[first] ?? 0 };
  }
}

/** What a walk is made from. */
interface Base {
  mask: Uint32Array;
  longest: number;
  /** Its state before the first byte; undefined for that of free strings. */
  inside: Inside | undefined;
  exits: readonly { node: number; written: string; opens: boolean; inside?: Inside; characters?: number }[];
}

class StringWalker {
  readonly #vocabulary: Vocabulary;
  readonly #inside: Inside;
  readonly #base: Base | undefined;
  readonly #mask: Uint32Array;
  readonly #exits: Exit[] = [];
  readonly #path: number[] = [];
  /** The first of the base's exits that has not been passed. */
  #passed = 0;
  #longest = 0;

  constructor(vocabulary: Vocabulary, inside: Inside, others: readonly Walk[]) {
    this.#vocabulary = vocabulary;
    this.#inside = inside;
    this.#base = this.#chooseBase(others);
    this.#mask = this.#base ? this.#base.mask.slice() : vocabulary.emptyMask();
    this.#longest = this.#base?.longest ?? 0;
  }

  /** The walk with which most of the tree is in common behind one byte, if that is most of what is not forbidden. */
  #chooseBase(others: readonly Walk[]): Base | undefined {
    const { bytes, ends } = this.#vocabulary;
    if (!this.#inside.atBoundary) return undefined;
    const { mask, exits, lengths } = freeWalk(this.#vocabulary);
    const bases: Base[] = [{ mask, exits, longest: lengths[0] ?? 0, inside: undefined }];
    for (const other of others) if (other.inside.atBoundary) bases.push(other);
    const common = bases.map(() => 0);
    let alive = 0;
    for (let node = 0; node < bytes.length; node = ends[node]!) {
      const next = this.#inside.step(bytes[node]!);
      const size = ends[node]! - node;
      if (next) alive += size;
      bases.forEach(({ inside }, i) => {
        // A subtree that only the base allows has to be cleared.
        const isSame = inside ? inside.step(bytes[node]!) === next : next?.free === Infinity;
        if (isSame) common[i]! += next ? size : 0;
        else if (!next) common[i]! -= inside && !inside.step(bytes[node]!) ? 0 : size >> 2;
      });
    }
    const best = common.indexOf(Math.max(...common));
    return common[best]! > alive / 4 ? bases[best] : undefined;
  }

  walk(): Walk {
    const base = this.#base;
    this.#visit(0, this.#vocabulary.bytes.length, this.#inside, base?.inside, base !== undefined, 0);
    return { inside: this.#inside, mask: this.#mask, exits: this.#exits, longest: this.#longest };
  }

  /**
   * @param other where the base stands; undefined behind what it forbids, and for that of free strings
   * @param isFilled whether the mask has the base's tokens below here
   */
  #visit(
    from: number,
    to: number,
    at: Inside,
    other: Inside | undefined,
    isFilled: boolean,
    characters: number,
  ): void {
    const vocabulary = this.#vocabulary;
    const { bytes, ends } = vocabulary;
    const length = characters + (at.atBoundary ? 1 : 0);
    const isFree = this.#base !== undefined && this.#base.inside === undefined;
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
      const otherNext = isFilled && !isFree ? other?.step(byte) : undefined;
      if (!next) {
        if (isFilled && (isFree || otherNext))
          for (let below = node; below < ends[node]!; below++) vocabulary.mark(this.#mask, below, false);
        continue;
      }
      if (isFilled && (isFree ? next.free === Infinity : next === otherNext)) {
        this.#takeExits(node, next, length);
        continue;
      }
      vocabulary.mark(this.#mask, node);
      if (vocabulary.tokens[node] !== -1 && length > this.#longest) this.#longest = length;
      if (ends[node]! === node + 1) continue;
      this.#path.push(byte);
      this.#visit(
        node + 1,
        ends[node]!,
        next,
        otherNext,
        isFilled && (isFree || otherNext !== undefined),
        length,
      );
      this.#path.pop();
    }
  }

  /** Takes over where the base leaves the string in a subtree. */
  #takeExits(node: number, inside: Inside, characters: number): void {
    const { exits } = this.#base!;
    const end = this.#vocabulary.ends[node]!;
    while (this.#passed < exits.length && exits[this.#passed]!.node <= node) this.#passed++;
    const behind: (Inside | undefined)[] = [];
    for (; this.#passed < exits.length && exits[this.#passed]!.node < end; this.#passed++) {
      const exit = exits[this.#passed]!;
      if (exit.inside) this.#exits.push({ ...exit, inside: exit.inside });
      else {
        const more = exit.characters! - characters;
        if (!(more in behind)) behind[more] = inside.behind(more);
        const there = behind[more];
        if (there?.mayClose)
          this.#exits.push({ node: exit.node, written: exit.written, opens: exit.opens, inside: there });
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
