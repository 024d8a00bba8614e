// The bytes of a vocabulary's tokens as a tree: what begins alike is walked once. Nodes stand in the order in which a
// walk meets them, so that a node's subtree is a range:
//
//   bytes   a   b   b   c            tokens "a", "ab", "abb", "ac"
//   ends    4   3   3   4            index behind the subtree
//   tokens  0   1   2   3            id of the token that ends here, or -1
//
// 9 bytes a node: 0.9 MB for SmolLM2's 49,152 tokens.

import type { Tokenizer } from "../text/tokenizer.ts";
import { remember } from "./memory.ts";

/** What is remembered of a text's path. */
const PATH_BYTES = 150;

interface Path {
  nodes: readonly number[];
  exit: number;
}

/** The tree while it grows: each node's children are a list in the order of their bytes. Node 0 is the root. */
class Tree {
  nodes = 0;
  readonly bytes = [0];
  readonly tokens = [-1];
  /** The first of a node's children, and the next one of its parent's; 0 if there is none. */
  readonly children = [0];
  readonly siblings = [0];
  /** The nodes behind two bytes: the lists above them are long. */
  readonly #pairs = new Int32Array(0x10000);

  /** Adds a token; the one that was there before, or -1. */
  add(spelling: Uint8Array, id: number): number {
    const pair = (spelling[0]! << 8) | (spelling[1] ?? 0);
    let node = spelling.length > 1 ? this.#pairs[pair]! : 0;
    for (let i = node === 0 ? 0 : 2; i < spelling.length; i++) {
      const byte = spelling[i]!;
      let [list, place] = [this.children, node];
      let next = list[place]!;
      while (next !== 0 && this.bytes[next]! < byte) {
        [list, place] = [this.siblings, next];
        next = list[place]!;
      }
      if (next === 0 || this.bytes[next] !== byte) {
        const made = ++this.nodes;
        list[place] = made;
        this.bytes.push(byte);
        this.tokens.push(-1);
        this.children.push(0);
        this.siblings.push(next);
        next = made;
      }
      node = next;
      if (i === 1) this.#pairs[pair] = node;
    }
    const before = this.tokens[node]!;
    this.tokens[node] = id;
    return before;
  }
}

export class Vocabulary {
  /** Token ids are below this. */
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
  readonly tokens: Int32Array;
  /** Of a token, another one with the same bytes, if there is one more. */
  readonly #twins = new Map<number, number>();
  /** Bytes that are tokens by themselves. */
  readonly #alone = new Set<number>();
  readonly #paths = new Map<string, Path>();
  readonly #tokenizer: Tokenizer;
  readonly #special: ReadonlySet<number>;
  /** The token at the end of a text, where the tokenizer names one. */
  readonly endToken: number | undefined;

  constructor(tokenizer: Tokenizer) {
    this.size = tokenizer.vocabSize;
    this.#tokenizer = tokenizer;
    const special = new Set(tokenizer.specialTokens.values());
    this.#special = special;
    this.endToken = tokenizer.specialTokens.get(tokenizer.namedTokens.get("eos_token") ?? "");
    const tree = new Tree();
    for (let id = 0; id < this.size; id++) {
      const spelling = this.spelling(id);
      if (spelling.length === 0) continue;
      if (spelling.length === 1) this.#alone.add(spelling[0]!);
      const twin = tree.add(spelling, id);
      if (twin !== -1) this.#twins.set(id, twin);
    }
    this.bytes = new Uint8Array(tree.nodes);
    this.ends = new Uint32Array(tree.nodes);
    this.tokens = new Int32Array(tree.nodes);
    let at = 0;
    const flatten = (first: number): void => {
      for (let node = first; node !== 0; node = tree.siblings[node]!) {
        const place = at++;
        this.bytes[place] = tree.bytes[node]!;
        this.tokens[place] = tree.tokens[node]!;
        flatten(tree.children[node]!);
        this.ends[place] = at;
      }
    };
    flatten(tree.children[0]!);
  }

  /** Bytes of memory. */
  get memory(): number {
    return this.bytes.byteLength + this.ends.byteLength + this.tokens.byteLength;
  }

  /** Bytes of a token; none for a special one. */
  spelling(id: number): Uint8Array {
    return this.#special.has(id) ? new Uint8Array(0) : this.#tokenizer.bytes(id);
  }

  /** Whether some tokens together spell a text. */
  spells(text: string): boolean {
    const bytes = new TextEncoder().encode(text);
    if (bytes.every((byte) => this.#alone.has(byte))) return true;
    const reached = new Uint8Array(bytes.length + 1);
    reached[0] = 1;
    for (let start = 0; start < bytes.length; start++) {
      if (reached[start] === 0) continue;
      let [from, to] = [0, this.bytes.length];
      for (let at = start; at < bytes.length; at++) {
        let node = from;
        while (node < to && this.bytes[node] !== bytes[at]) node = this.ends[node]!;
        if (node >= to) break;
        if (this.tokens[node] !== -1) reached[at + 1] = 1;
        [from, to] = [node + 1, this.ends[node]!];
      }
    }
    return reached[bytes.length] === 1;
  }

  /** The nodes on the way of an ASCII text, as far as it goes, and that of a quotation mark behind it, or -1. */
  pathOf(text: string): Path {
    let path = this.#paths.get(text);
    if (!path) {
      const nodes: number[] = [];
      const child = (unit: number): number => {
        const last = nodes.at(-1);
        const end = last === undefined ? this.bytes.length : this.ends[last]!;
        let node = last === undefined ? 0 : last + 1;
        while (node < end && this.bytes[node] !== unit) node = this.ends[node]!;
        return node < end ? node : -1;
      };
      let at = 0;
      for (let node = 0; at < text.length && (node = child(text.charCodeAt(at))) !== -1; at++)
        nodes.push(node);
      path = { nodes, exit: at === text.length ? child(0x22) : -1 };
      this.#paths.set(text, path);
      // A text may be a part of a longer one, which then stays as well.
      remember(this.#paths, PATH_BYTES + 8 * nodes.length + 2 * text.length);
    }
    return path;
  }

  emptyMask(): Uint32Array {
    return new Uint32Array((this.size + 31) >>> 5);
  }

  /** Sets or clears the bits of the tokens that end at a node. */
  mark(mask: Uint32Array, node: number, isAllowed = true): void {
    const token = this.tokens[node]!;
    if (token === -1) return;
    for (let id: number | undefined = token; id !== undefined; id = this.#twins.get(id)) {
      if (isAllowed) mask[id >>> 5]! |= 1 << (id & 31);
      else mask[id >>> 5]! &= ~(1 << (id & 31));
    }
  }
}

const known = new WeakMap<Tokenizer, Vocabulary>();

/** The vocabulary of a tokenizer; it is built once. */
export function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  let vocabulary = known.get(tokenizer);
  if (!vocabulary) known.set(tokenizer, (vocabulary = new Vocabulary(tokenizer)));
  return vocabulary;
}
