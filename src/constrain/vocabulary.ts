// The bytes of a vocabulary's tokens as a tree: what begins alike is walked once. Nodes stand in the order in which a
// walk meets them, so that a node's subtree is a range:
//
//   bytes   a   b   b   c            tokens "a", "ab", "abb", "ac"
//   ends    4   3   3   4            index behind the subtree
//   tokens  0   1   2   3            id of the token that ends here, or -1
//
// 9 bytes a node: 0.9 MB for SmolLM2's 49,152 tokens.

import type { Tokenizer } from "../text/tokenizer.ts";

/** Paths that are remembered: some 100 bytes each. */
const MAX_PATHS = 8192;

interface Path {
  nodes: readonly number[];
  exit: number;
}

export class Vocabulary {
  /** Token ids are below this. */
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
  readonly tokens: Int32Array;
  /** Further tokens with the same bytes as a token. */
  readonly twins: ReadonlyMap<number, number[]>;
  readonly #paths = new Map<string, Path>();
  readonly #tokenizer: Tokenizer;
  readonly #special: ReadonlySet<number>;
  readonly #holding = new Map<number, Uint8Array>();
  #full: Uint32Array | undefined;
  /** The token at the end of a text, where the tokenizer names one. */
  readonly endToken: number | undefined;

  constructor(tokenizer: Tokenizer) {
    this.size = tokenizer.vocabSize;
    this.#tokenizer = tokenizer;
    const special = new Set(tokenizer.specialTokens.values());
    this.#special = special;
    this.endToken = tokenizer.specialTokens.get(tokenizer.namedTokens.get("eos_token") ?? "");
    const spellings: [spelling: string, id: number][] = [];
    for (let id = 0; id < this.size; id++) {
      if (special.has(id)) continue;
      const bytes = tokenizer.bytes(id);
      if (bytes.length > 0) spellings.push([String.fromCharCode(...bytes), id]);
    }
    spellings.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    let nodes = 0;
    let before = "";
    for (const [spelling] of spellings) {
      nodes += spelling.length - sharedLength(before, spelling);
      before = spelling;
    }
    this.bytes = new Uint8Array(nodes);
    this.ends = new Uint32Array(nodes);
    this.tokens = new Int32Array(nodes).fill(-1);
    const twins = new Map<number, number[]>();
    const path: number[] = [];
    let node = 0;
    before = "";
    for (const [spelling, id] of spellings) {
      const shared = sharedLength(before, spelling);
      while (path.length > shared) this.ends[path.pop()!] = node;
      for (let i = shared; i < spelling.length; i++) {
        this.bytes[node] = spelling.charCodeAt(i);
        path.push(node++);
      }
      const last = path.at(-1)!;
      if (this.tokens[last] === -1) this.tokens[last] = id;
      else twins.set(this.tokens[last]!, [...(twins.get(this.tokens[last]!) ?? []), id]);
      before = spelling;
    }
    for (const open of path) this.ends[open] = node;
    this.twins = twins;
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

  /** Of each node, 1 if it or one below it is this byte. */
  holding(byte: number): Uint8Array {
    let holds = this.#holding.get(byte);
    if (!holds) {
      holds = new Uint8Array(this.bytes.length);
      for (let node = holds.length - 1; node >= 0; node--) {
        if (this.bytes[node] === byte) holds[node] = 1;
        for (let below = node + 1; below < this.ends[node]! && holds[node] === 0; below = this.ends[below]!)
          holds[node] = holds[below]!;
      }
      this.#holding.set(byte, holds);
    }
    return holds;
  }

  /** The mask that allows all tokens of text. Must not be changed. */
  fullMask(): Uint32Array {
    if (!this.#full) {
      this.#full = this.emptyMask();
      for (let node = 0; node < this.bytes.length; node++) this.allow(this.#full, node);
    }
    return this.#full;
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
      if (this.#paths.size >= MAX_PATHS) this.#paths.clear();
      this.#paths.set(text, path);
    }
    return path;
  }

  emptyMask(): Uint32Array {
    return new Uint32Array((this.size + 31) >>> 5);
  }

  /** Sets the bits of the tokens that end at a node. */
  allow(mask: Uint32Array, node: number): void {
    const id = this.tokens[node]!;
    if (id === -1) return;
    mask[id >>> 5]! |= 1 << (id & 31);
    if (this.twins.size === 0) return;
    for (const twin of this.twins.get(id) ?? []) mask[twin >>> 5]! |= 1 << (twin & 31);
  }

  /** Clears the bits of the tokens that end at a node. */
  forbid(mask: Uint32Array, node: number): void {
    const id = this.tokens[node]!;
    if (id === -1) return;
    mask[id >>> 5]! &= ~(1 << (id & 31));
    if (this.twins.size === 0) return;
    for (const twin of this.twins.get(id) ?? []) mask[twin >>> 5]! &= ~(1 << (twin & 31));
  }
}

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

const known = new WeakMap<Tokenizer, Vocabulary>();

/** The vocabulary of a tokenizer; it is built once. */
export function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  let vocabulary = known.get(tokenizer);
  if (!vocabulary) known.set(tokenizer, (vocabulary = new Vocabulary(tokenizer)));
  return vocabulary;
}
