// Text to token ids and back, from a compiled table: the same for every vocabulary, byte-level or SentencePiece's.

import { EdgeformerError } from "../errors.ts";
import { allAtOnce, type InParts } from "../parts.ts";
import { AddedWords } from "./tokenizer-added.ts";
import { Merger, NO_PAUSES } from "./tokenizer-merges.ts";
import { normalize, preTokenize } from "./tokenizer-settings.ts";
import type { Pieces } from "./tokenizer-split.ts";
import { readTokenizerTable, type TokenizerTable } from "./tokenizer-table.ts";
import { VocabularyIndex } from "./tokenizer-vocabulary.ts";

/** How a text is read. */
export interface EncodeOptions {
  /** Put the ids around the text that its tokenizer wants there, such as BOS. [true] */
  addSpecialTokens?: boolean;
  /**
   * Take the spelling of a special token for that token: everywhere, or where this says so of the UTF-16 units from
   * `start` to before `end`. Otherwise it is text and has no power. [false]
   */
  allowSpecial?: boolean | ((start: number, end: number) => boolean);
  /** A text of more tokens is refused, and the rest of it is not read. [no limit] */
  maxTokens?: number;
}

/** Gives the bytes of one token after the other, as they follow each other in a text. */
export interface TokenDecoder {
  /** Bytes that this token adds, which may end in the middle of a character. */
  push(id: number): Uint8Array;
}

/** Text to token ids and back. */
export interface Tokenizer {
  /** Ids are below this. */
  readonly vocabSize: number;
  /** Spelling and id of each special token. */
  readonly specialTokens: ReadonlyMap<string, number>;
  /**
   * UTF-8 bytes of the longest token: a text of n bytes has at least n / this many tokens, as far as the vocabulary has
   * its characters. So a text that is far too long can be refused before it is read.
   */
  readonly longestToken: number;
  /** What `bos_token`, `eos_token`, `pad_token` and the like are spelled as, under these names. */
  readonly namedTokens: ReadonlyMap<string, string>;
  /**
   * Token ids of a text; lone surrogates count as U+FFFD.
   *
   * @throws EdgeformerError `context_length_exceeded` for more than `maxTokens`
   */
  encode(text: string, options?: EncodeOptions): number[];
  /** The same part by part: whoever goes through it can let others go on in between. */
  encodeInParts(text: string, options?: EncodeOptions): InParts<number[]>;
  /** Text of token ids, special ones spelled out; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>): string;
  /**
   * Bytes of one token wherever it stands, which may end in the middle of a character; empty for an id without a
   * spelling. At the beginning of a text a tokenizer may leave out a space of them: see `decoder`.
   */
  bytes(id: number): Uint8Array;
  /** Decodes a text token by token, from its beginning on. The bytes together are those of `decode`. */
  decoder(): TokenDecoder;
}

const SPACE = 0x20;
/** UTF-16 units of a text that are encoded in one go. */
const PART_UNITS = 8192;
const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** A character that a normalizer composes (NFC) may have three times as many bytes before, as a Hangul syllable has. */
const COMPOSED = 3;

function longestToken({ tokens, offsets, settings }: TokenizerTable): number {
  let longest = 1;
  for (let id = 0; id < tokens; id++) longest = Math.max(longest, offsets[id + 1]! - offsets[id]!);
  return settings.normalizer.some(({ kind }) => kind === "unicode") ? longest * COMPOSED : longest;
}

/** @internal parseTokenizerTable and loadTokenizer make it. */
export class CompiledTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly specialTokens: ReadonlyMap<string, number>;
  readonly longestToken: number;
  readonly namedTokens: ReadonlyMap<string, string>;
  readonly #table: TokenizerTable;
  readonly #merger: Merger;
  readonly #vocabulary: VocabularyIndex;
  /** Words that are looked for before the text is normalized, and after. */
  readonly #raw: AddedWords;
  readonly #normalized: AddedWords;
  /** A piece's bytes and symbols, for all but the longest. */
  #bytes = new Uint8Array(256);
  #ids = new Int32Array(256);

  constructor(table: TokenizerTable) {
    const { added, settings } = table;
    this.#table = table;
    this.#merger = new Merger(table.merges);
    this.#vocabulary = new VocabularyIndex(table);
    this.#raw = new AddedWords(added.filter((word) => !word.normalized).map((word) => [word.content, word]));
    this.#normalized = new AddedWords(
      added
        .filter((word) => word.normalized)
        .map((word): [string, typeof word] => [normalize(word.content, settings), word])
        .filter(([spelling]) => spelling !== ""),
    );
    this.vocabSize = table.tokens;
    this.longestToken = longestToken(table);
    this.specialTokens = new Map(
      added.filter(({ special }) => special).map(({ content, id }) => [content, id]),
    );
    this.namedTokens = new Map(Object.entries(settings.names));
  }

  encode(text: string, options?: EncodeOptions): number[] {
    return allAtOnce(this.encodeInParts(text, options));
  }

  *encodeInParts(
    text: string,
    {
      addSpecialTokens = true,
      allowSpecial = false,
      maxTokens = Number.POSITIVE_INFINITY,
    }: EncodeOptions = {},
  ): InParts<number[]> {
    const { settings } = this.#table;
    const out: number[] = addSpecialTokens ? [...settings.prefix] : [];
    const refuseMore = () => {
      if (out.length > maxTokens)
        throw new EdgeformerError("context_length_exceeded", `the text has more than ${maxTokens} tokens`);
    };
    const isAllowed = typeof allowSpecial === "function" ? allowSpecial : undefined;
    let units = 0;
    for (const section of this.#raw.split(text, isAllowed ?? allowSpecial === true)) {
      if (section === undefined || "id" in section) {
        if (section === undefined) yield;
        else out.push(section.id);
        continue;
      }
      const normalized = normalize(section.text, settings);
      // Places of a normalized text are not those of the text itself: there the whole section is asked about.
      const from = section.start;
      const isAllowedWithin =
        isAllowed &&
        ((start: number, end: number) =>
          normalized === section.text
            ? isAllowed(from + start, from + end)
            : isAllowed(from, from + section.text.length));
      for (const part of this.#normalized.split(normalized, isAllowedWithin ?? allowSpecial === true)) {
        if (part === undefined || "id" in part) {
          if (part === undefined) yield;
          else out.push(part.id);
          continue;
        }
        for (const word of this.#words(part.text, section.start === 0 && part.start === 0)) {
          yield* this.#encodeWord(word, out);
          refuseMore();
          if ((units += word.length) < PART_UNITS) continue;
          units = 0;
          yield;
        }
      }
    }
    if (addSpecialTokens) out.push(...settings.suffix);
    refuseMore();
    return out;
  }

  /** What a normalized text is cut into before anything is merged. */
  *#words(text: string, first: boolean): Pieces {
    for (const piece of preTokenize(text, first, this.#table.settings)) {
      if (this.#table.bytes) yield piece;
      else
        for (let start = 0; start < piece.length; ) {
          const end = this.#vocabulary.endOfWord(piece, start);
          yield piece.slice(start, end);
          start = end;
        }
    }
  }

  /** Room for so many symbols; a buffer for very long pieces does not stay. */
  #room(length: number): Int32Array {
    if (length <= this.#ids.length) return this.#ids;
    const ids = new Int32Array(length);
    if (length <= 4096) this.#ids = ids;
    return ids;
  }

  #encodeWord(word: string, out: number[]): Iterable<undefined> {
    return this.#table.bytes ? this.#encodeBytes(word, out) : this.#encodeCharacters(word, out);
  }

  #encodeBytes(piece: string, out: number[]): Iterable<undefined> {
    let bytes = this.#bytes;
    if (piece.length * 3 > bytes.length) {
      bytes = new Uint8Array(piece.length * 3);
      if (bytes.length <= 4096) this.#bytes = bytes;
    }
    const { written } = encoder.encodeInto(piece, bytes);
    const whole = this.#vocabulary.find(bytes, written);
    if (whole !== -1) {
      out.push(whole);
      return NO_PAUSES;
    }
    const ids = this.#room(written);
    let count = 0;
    for (let i = 0; i < written; i++) {
      const id = this.#vocabulary.symbol(bytes[i]!);
      if (id !== -1) ids[count++] = id;
      else if (this.#table.unknown !== undefined) count = this.#addUnknown(ids, count);
    }
    return this.#merger.merge(ids, count, out);
  }

  #encodeCharacters(text: string, out: number[]): Iterable<undefined> {
    const { fallback, unknown } = this.#table;
    const ids = this.#room(text.length * (fallback ? 3 : 1));
    let count = 0;
    for (let at = 0; at < text.length; ) {
      let point = text.codePointAt(at)!;
      at += point > 0xffff ? 2 : 1;
      if (point >= 0xd800 && point < 0xe000) point = 0xfffd;
      const id = this.#vocabulary.symbol(point);
      if (id !== -1) ids[count++] = id;
      else if (fallback) {
        const { written } = encoder.encodeInto(String.fromCodePoint(point), this.#bytes);
        for (let i = 0; i < written; i++) ids[count++] = fallback[this.#bytes[i]!]!;
      } else if (unknown !== undefined) count = this.#addUnknown(ids, count);
    }
    return this.#merger.merge(ids, count, out);
  }

  /** Notes a symbol that the vocabulary lacks. */
  #addUnknown(ids: Int32Array, count: number): number {
    const { unknown, fuseUnknown } = this.#table;
    if (fuseUnknown && count > 0 && ids[count - 1] === unknown) return count;
    ids[count] = unknown!;
    return count + 1;
  }

  decode(ids: Iterable<number>): string {
    const decoder = this.decoder();
    let bytes = new Uint8Array(256);
    let length = 0;
    for (const id of ids) {
      const piece = decoder.push(id);
      if (length + piece.length > bytes.length) {
        const larger = new Uint8Array(2 * (length + piece.length));
        larger.set(bytes);
        bytes = larger;
      }
      bytes.set(piece, length);
      length += piece.length;
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, length));
  }

  bytes(id: number): Uint8Array {
    return this.#spelling(id).slice();
  }

  /** A view of the table. */
  #spelling(id: number): Uint8Array {
    const { offsets, spellings, tokens } = this.#table;
    if (!Number.isInteger(id) || id < 0 || id >= tokens) return NOTHING;
    return spellings.subarray(offsets[id], offsets[id + 1]);
  }

  decoder(): TokenDecoder {
    const { strip } = this.#table.settings;
    let beginning = strip !== "none";
    return {
      push: (id) => {
        const bytes = this.#spelling(id);
        if (!beginning) return bytes.slice();
        // A token without bytes is at the beginning, and so is the one behind it.
        if (strip === "one") beginning = bytes.length === 0;
        else beginning = false;
        if (strip === "token") return bytes.filter((byte) => byte !== SPACE);
        return bytes.slice(bytes[0] === SPACE ? 1 : 0);
      },
    };
  }
}

/**
 * The tokenizer in a compiled table (`tokenizer.bin`), which must not be changed afterwards.
 *
 * @throws EdgeformerError `invalid_model` if the table is damaged
 */
export function parseTokenizerTable(bytes: Uint8Array): Tokenizer {
  return new CompiledTokenizer(readTokenizerTable(bytes));
}
