// Which tokens may come next: the walk over the vocabulary's tree, beside the states that its bytes lead to.

import type { Inside, State } from "./state.ts";
import type { Vocabulary } from "./vocabulary.ts";

const QUOTE = 0x22;
/** Masks and walks that are kept: the least recently used go first. 6 KB each for 49,152 tokens. */
const MAX_MASKS = 256;
const MAX_WALKS = 64;

/** The part of a mask that the inside of a string decides, and where tokens leave the string. */
interface Walk {
  mask: Uint32Array;
  exits: Exit[];
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

  /** Bytes of memory that is held, roughly. */
  get memory(): number {
    const words = (this.#vocabulary.size + 31) >>> 5;
    let bytes = (this.#masks.size + this.#walks.size) * words * 4;
    for (const { exits } of this.#walks.values()) bytes += exits.length * 96;
    return bytes;
  }

  /** Bit i: token i may come next. End tokens are not in it. Must not be changed. */
  of(given: State): Uint32Array {
    const state = given.relaxed?.(this.#vocabulary.reach) ?? given;
    const known = this.#masks.get(state);
    if (known) {
      this.#masks.delete(state);
      this.#masks.set(state, known);
      return known;
    }
    const { inside } = state;
    let mask: Uint32Array;
    if (inside) {
      const walk = this.#walk(inside);
      mask = walk.mask.slice();
      for (const { node, inside: end, written, opens } of walk.exits) {
        const behind = state.close?.(end, written, opens);
        if (behind) this.#descend(mask, node, behind);
      }
    } else {
      mask = this.#empty();
      this.#children(mask, 0, this.#vocabulary.bytes.length, state);
    }
    keep(this.#masks, state, mask, MAX_MASKS);
    return mask;
  }

  #empty(): Uint32Array {
    return new Uint32Array((this.#vocabulary.size + 31) >>> 5);
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

  #walk(inside: Inside): Walk {
    const known = this.#walks.get(inside);
    if (known) {
      this.#walks.delete(inside);
      this.#walks.set(inside, known);
      return known;
    }
    const walk: Walk = { mask: this.#empty(), exits: [] };
    const { bytes, ends } = this.#vocabulary;
    const path: number[] = [];
    const children = (from: number, to: number, at: Inside): void => {
      for (let node = from; node < to; node = ends[node]!) {
        const byte = bytes[node]!;
        if (byte === QUOTE && at.mayClose) {
          const written = String.fromCharCode(...path);
          walk.exits.push({ node, inside: at, written, opens: this.#opensString(node) });
          continue;
        }
        const next = at.step(byte);
        if (!next) continue;
        this.#vocabulary.allow(walk.mask, node);
        if (ends[node]! === node + 1) continue;
        path.push(byte);
        children(node + 1, ends[node]!, next);
        path.pop();
      }
    };
    children(0, bytes.length, inside);
    keep(this.#walks, inside, walk, MAX_WALKS);
    return walk;
  }

  /** Whether two quotation marks follow each other somewhere below a node. */
  #opensString(node: number): boolean {
    const { bytes, ends } = this.#vocabulary;
    const below = (from: number, to: number, seen: number): boolean => {
      for (let at = from; at < to; at = ends[at]!) {
        const count = seen + (bytes[at] === QUOTE ? 1 : 0);
        if (count === 2 || below(at + 1, ends[at]!, count)) return true;
      }
      return false;
    };
    return below(node + 1, ends[node]!, 0);
  }
}

function keep<K, V>(map: Map<K, V>, key: K, value: V, most: number): void {
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value as K);
}
