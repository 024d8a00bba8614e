// Looking things up in a compiled vocabulary: the id of a symbol, of a whole piece, and where a piece may be cut.

import { ProbeCount } from "./tokenizer-merges.ts";
import type { TokenizerTable } from "./tokenizer-table.ts";

/** Code points below are looked up directly: all but the marks for spaces (U+2581) is rarer above. */
const DIRECT = 0x2600;
const SPACE = 0x20;
const MARK = 0x2581;

/** FNV-1a. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash ^ (hash >>> 15);
}

export class VocabularyIndex {
  readonly #table: TokenizerTable;
  /** Id of each symbol below DIRECT plus one, 0 for none. */
  readonly #direct: Uint32Array;
  /** Id plus one by the hash of a token's bytes, where whole pieces are looked up. */
  readonly #pieces: Uint32Array | undefined;
  readonly #wordsApart: boolean;

  constructor(table: TokenizerTable) {
    this.#table = table;
    const { symbols, symbolIds } = table;
    this.#direct = new Uint32Array(table.bytes ? 256 : DIRECT);
    for (let i = 0; i < symbols.length && symbols[i]! < this.#direct.length; i++)
      this.#direct[symbols[i]!] = symbolIds[i]! + 1;
    this.#pieces = table.ignoreMerges ? this.#indexPieces() : undefined;
    this.#wordsApart = !table.bytes && this.#areWordsApart();
  }

  /** Id of a byte or code point; -1 if it is none. */
  symbol(symbol: number): number {
    if (symbol < this.#direct.length) return this.#direct[symbol]! - 1;
    const { symbols, symbolIds } = this.#table;
    let [low, high] = [0, symbols.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (symbols[middle]! < symbol) low = middle + 1;
      else high = middle;
    }
    return symbols[low] === symbol ? symbolIds[low]! : -1;
  }

  #indexPieces(): Uint32Array {
    const { tokens, offsets, spellings, added } = this.#table;
    let slots = 4;
    while (slots < 2 * tokens) slots *= 2;
    const table = new Uint32Array(slots);
    const probes = new ProbeCount(tokens);
    const special = new Set(added.filter((word) => word.special).map(({ id }) => id));
    for (let id = 0; id < tokens; id++) {
      // The spelling of a special token is text, also where it makes a whole piece.
      if (offsets[id] === offsets[id + 1] || special.has(id)) continue;
      let slot = hashOf(spellings, offsets[id]!, offsets[id + 1]!) & (slots - 1);
      for (; table[slot] !== 0; probes.add()) slot = (slot + 1) & (slots - 1);
      table[slot] = id + 1;
    }
    return table;
  }

  /** Id of the token that the first `length` bytes are, where pieces are looked up whole; -1 if there is none. */
  find(bytes: Uint8Array, length: number): number {
    const pieces = this.#pieces;
    if (!pieces) return -1;
    const { offsets, spellings } = this.#table;
    const mask = pieces.length - 1;
    for (let slot = hashOf(bytes, 0, length) & mask; pieces[slot] !== 0; slot = (slot + 1) & mask) {
      const id = pieces[slot]! - 1;
      const start = offsets[id]!;
      if (offsets[id + 1]! - start !== length) continue;
      let same = 0;
      while (same < length && spellings[start + same] === bytes[same]) same++;
      if (same === length) return id;
    }
    return -1;
  }

  /**
   * Whether no merge reaches from the end of a word over the mark that begins the next: then words may be merged one
   * at a time, with the same result. So it is in all vocabularies that SentencePiece learns word by word.
   */
  #areWordsApart(): boolean {
    const { merges, offsets, spellings } = this.#table;
    if (this.symbol(MARK) === -1 || this.symbol(SPACE) !== -1) return false;
    for (let i = 0; i < merges.left.length; i++) {
      const [left, right] = [merges.left[i]!, merges.right[i]!];
      // In spellings a mark is a space.
      if (spellings[offsets[right]!] === SPACE && spellings[offsets[left + 1]! - 1] !== SPACE) return false;
    }
    return true;
  }

  /** Index behind the part of a piece, from `start` on, that can be merged without what follows. */
  endOfWord(piece: string, start: number): number {
    if (!this.#wordsApart) return piece.length;
    let at = start;
    while (at < piece.length && piece.charCodeAt(at) === MARK) at++;
    const end = piece.indexOf("\u2581", at);
    return end === -1 ? piece.length : end;
  }
}
