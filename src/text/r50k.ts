// GPT-2's byte-level BPE (Radford et al. 2019; encoder.py of the GPT-2 release) from a table of its merges.
//
// gpt-tokenizer, which tests/loading/tokenizer.test.ts holds this to, keeps every token as a string and each of
// them in a Map: 12.5 MB of resident memory in workerd, a tenth of an isolate. Here a token is the pair of tokens
// that it was merged from, and a merge is found by hashing that pair.

import type { TokenizerInfo } from "../format/manifest.ts";
import { R50K_MERGES } from "./r50k-merges.ts";
import type { TokenDecoder, Tokenizer } from "./tokenizer.ts";

/** The special token that GPT-2's vocabulary ends with. */
const END_OF_TEXT: [token: string, id: number] = ["<|endoftext|>", 50256];
/** Ids below are single bytes, those from here on merges. */
const FIRST_MERGE = 256;
/** Slots of the hash table, a power of two; 38 % are taken. */
const SLOTS = 1 << 17;
/** What a piece of text is, before bytes are merged within it (encoder.py's pattern). */
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const encoder = new TextEncoder();

/** The bytes in the order of their ids: first those that print, then the rest (`bytes_to_unicode`). */
function byteOrder(): Uint8Array {
  const prints = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const all = Array.from({ length: 256 }, (_, byte) => byte);
  return Uint8Array.from([...all.filter(prints), ...all.filter((byte) => !prints(byte))]);
}

/** Fibonacci hashing of a pair of ids (Knuth, TAOCP 6.4). */
function slotOf(left: number, right: number): number {
  return Math.imul((left << 16) | right, 0x9e3779b1) >>> 15;
}

/** The merges: which pair made a token, and which token a pair makes. */
class Merges {
  /** Left and right of each merge, in the order of ids. */
  readonly #pairs: Uint16Array;
  /** Ids, open addressing with linear probing; 0, which no merge makes, is free. */
  readonly #table = new Uint16Array(SLOTS);

  constructor(base64: string) {
    const bytes = atob(base64);
    this.#pairs = new Uint16Array(bytes.length / 2);
    for (let i = 0; i < this.#pairs.length; i++)
      this.#pairs[i] = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
    for (let i = 0; i < this.#pairs.length; i += 2) {
      let slot = slotOf(this.#pairs[i]!, this.#pairs[i + 1]!);
      while (this.#table[slot] !== 0) slot = (slot + 1) % SLOTS;
      this.#table[slot] = FIRST_MERGE + i / 2;
    }
  }

  get end(): number {
    return FIRST_MERGE + this.#pairs.length / 2;
  }

  /** Bytes of the longest token. */
  longest(): number {
    const lengths = new Uint8Array(this.end).fill(1, 0, FIRST_MERGE);
    // Both halves of a merge were made before it.
    for (let id = FIRST_MERGE; id < this.end; id++)
      lengths[id] = lengths[this.left(id)]! + lengths[this.right(id)]!;
    return lengths.reduce((longest, length) => Math.max(longest, length));
  }

  left(id: number): number {
    return this.#pairs[2 * (id - FIRST_MERGE)]!;
  }

  right(id: number): number {
    return this.#pairs[2 * (id - FIRST_MERGE) + 1]!;
  }

  /** The token that two make; 0 if they make none. */
  find(left: number, right: number): number {
    for (let slot = slotOf(left, right); ; slot = (slot + 1) % SLOTS) {
      const id = this.#table[slot]!;
      if (id === 0 || (this.left(id) === left && this.right(id) === right)) return id;
    }
  }
}

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

/** Bytes of a piece up to which looking at every pair again and again is the faster way. */
const SHORT = 48;
/** Above any id. */
const NONE = 65536;
/** Above any position within a piece, so that one number orders by merge first and then by place. */
const PLACES = 2 ** 32;

/** r50k_base, built when the first model needs it. */
class R50k {
  readonly #merges = new Merges(R50K_MERGES);
  readonly longestToken = this.#merges.longest();
  readonly #byteOf = byteOrder();
  readonly #idOf = new Uint8Array(256);
  /** A short piece: its bytes, with room to see that one is longer, and its ids. */
  readonly #scratch = new Uint8Array(SHORT + 4);
  readonly #ids = new Uint16Array(SHORT);

  constructor() {
    this.#byteOf.forEach((byte, id) => {
      this.#idOf[byte] = id;
    });
  }

  encode(text: string): number[] {
    const ids: number[] = [];
    for (const [piece] of text.matchAll(PIECES)) {
      const { written } = encoder.encodeInto(piece, this.#scratch);
      // What fills the scratch may have been cut off.
      if (written <= SHORT) this.#encodeShort(written, ids);
      else this.#encodeLong(encoder.encode(piece), ids);
    }
    return ids;
  }

  /** Merges the `length` bytes in the scratch, the earliest-learnt merge first, from the left. */
  #encodeShort(length: number, out: number[]): void {
    const ids = this.#ids;
    for (let i = 0; i < length; i++) ids[i] = this.#idOf[this.#scratch[i]!]!;
    for (let count = length; ; count--) {
      let [best, place] = [NONE, 0];
      for (let i = 0; i + 1 < count; i++) {
        const merged = this.#merges.find(ids[i]!, ids[i + 1]!);
        if (merged !== 0 && merged < best) {
          best = merged;
          place = i;
        }
      }
      if (best === NONE) {
        for (let i = 0; i < count; i++) out.push(ids[i]!);
        return;
      }
      ids[place] = best;
      ids.copyWithin(place + 1, place + 2, count);
    }
  }

  /** The same with a heap, in O(n log n): a megabyte of one letter must not take a minute. */
  #encodeLong(bytes: Uint8Array, out: number[]): void {
    const { length } = bytes;
    const ids = Int32Array.from(bytes, (byte) => this.#idOf[byte]!);
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const heap = new Heap();
    const offer = (at: number) => {
      if (at < 0 || next[at]! >= length) return;
      const merged = this.#merges.find(ids[at]!, ids[next[at]!]!);
      if (merged !== 0) heap.push(merged * PLACES + at);
    };
    for (let at = 0; at < length; at++) offer(at);
    for (let item = heap.pop(); item !== undefined; item = heap.pop()) {
      const merged = Math.floor(item / PLACES);
      const at = item % PLACES;
      const other = next[at]!;
      // The pair may have been merged away since it was offered.
      if (ids[at] === -1 || other >= length || this.#merges.find(ids[at]!, ids[other]!) !== merged) continue;
      ids[at] = merged;
      ids[other] = -1;
      next[at] = next[other]!;
      if (next[at]! < length) previous[next[at]!] = at;
      offer(previous[at]!);
      offer(at);
    }
    for (let at = 0; at < length; at = next[at]!) out.push(ids[at]!);
  }

  /** Appends a token's bytes; nothing for an id that is no merge. */
  spell(id: number, out: number[]): void {
    if (id < FIRST_MERGE) out.push(this.#byteOf[id]!);
    else if (id < this.#merges.end) {
      this.spell(this.#merges.left(id), out);
      this.spell(this.#merges.right(id), out);
    }
  }
}

let shared: R50k | undefined;

/** GPT-2's vocabulary with a checkpoint's added tokens on top. */
class R50kTokenizer implements Tokenizer {
  readonly #base = (shared ??= new R50k());
  readonly specialTokens: ReadonlyMap<string, number>;
  readonly longestToken = this.#base.longestToken;
  readonly namedTokens: ReadonlyMap<string, string> = new Map();
  readonly vocabSize: number;
  readonly #special: Map<number, Uint8Array>;

  constructor(added: Record<string, number>) {
    this.vocabSize = Math.max(END_OF_TEXT[1], ...Object.values(added)) + 1;
    this.specialTokens = new Map([END_OF_TEXT, ...Object.entries(added)].filter(([token]) => token !== ""));
    this.#special = new Map(Object.entries(added).map(([token, id]) => [id, encoder.encode(token)]));
    const [token, id] = END_OF_TEXT;
    if (!this.#special.has(id)) this.#special.set(id, encoder.encode(token));
  }

  encode(text: string): number[] {
    return this.#base.encode(text);
  }

  decode(ids: Iterable<number>): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let text = "";
    for (const id of ids) text += decoder.decode(this.bytes(id), { stream: true });
    return text + decoder.decode();
  }

  decoder(): TokenDecoder {
    return { push: (id) => this.bytes(id) };
  }

  bytes(id: number): Uint8Array {
    const special = this.#special.get(id);
    if (special !== undefined) return special;
    const bytes: number[] = [];
    if (Number.isInteger(id) && id >= 0) this.#base.spell(id, bytes);
    return Uint8Array.from(bytes);
  }
}

/** The tokenizer that a manifest names; undefined for a model that only speaks token ids. */
export function createTokenizer(info: TokenizerInfo): Tokenizer | undefined {
  return info.type === "r50k_base" ? new R50kTokenizer(info.added_tokens) : undefined;
}
