// tokenizer.bin: a tokenizer compiled by the converter, read in place.
//
//   byte                                                    (all numbers little-endian; n tokens, m merges)
//   0    ┌────────────────────────────────────────────┐
//        │ "EFTK"  version  flags  counts (16 words)  │  header
//   64   ├────────────────────────────────────────────┤
//        │ lengths     u16 × n                        │  bytes of each token's spelling
//        │ spellings   u8                             │  the bytes that each token stands for, one after the other
//        ├────────────────────────────────────────────┤
//        │ left        u16 × m, u32 if WIDE           │  merges in order of priority
//        │ right       the same                       │
//        │ result      the same                       │
//        │ ranks       u32 × m, if RANKED             │  priorities, where several merges share one
//        ├────────────────────────────────────────────┤
//        │ symbols     u32 × s                        │  what a text is made of before merging, ascending: bytes
//        │ symbol ids  u32 × s                        │  if BYTES, else code points
//        │ fallback    u32 × 256, if FALLBACK         │  ids of the tokens that stand for a byte
//        ├────────────────────────────────────────────┤
//        │ added       u32 × 3 × a: id, flags, bytes  │  words that are found in a text before anything else
//        │ contents    u8                             │  their spellings, UTF-8, one after the other
//        ├────────────────────────────────────────────┤
//        │ settings    JSON, UTF-8                    │  how a text is normalized, cut, and put together again
//        └────────────────────────────────────────────┘
//
// Every section begins at a multiple of 4 and is padded with zeros. Nothing of it becomes a JavaScript string but the
// added words and the settings; what opening builds besides is an index of offsets (4 bytes a token) and the hash
// table of merges (8 to 16 bytes a merge).

import { EdgeformerError } from "../errors.ts";
import type { MergeList } from "./tokenizer-merges.ts";
import { parseSettings, type TokenizerSettings } from "./tokenizer-settings.ts";

export const TABLE_MAGIC = 0x4b544645;
export const TABLE_VERSION = 1;
export const HEADER_WORDS = 16;

/** Bits of the header's flags. */
export const TABLE_FLAGS = {
  bytes: 1,
  wide: 2,
  ranked: 4,
  fallback: 8,
  fuseUnknown: 16,
  ignoreMerges: 32,
} as const;
/** Bits of an added word's flags. */
export const ADDED_FLAGS = { special: 1, lstrip: 2, rstrip: 4, singleWord: 8, normalized: 16 } as const;

/** Words of the header. */
export const HEADER = {
  magic: 0,
  version: 1,
  flags: 2,
  fileBytes: 3,
  tokens: 4,
  spellingBytes: 5,
  merges: 6,
  symbols: 7,
  added: 8,
  contentBytes: 9,
  settingsBytes: 10,
  /** Id that stands for what the vocabulary does not have; NO_ID if such text is dropped. */
  unknown: 11,
} as const;

export const NO_ID = 0xffffffff;
/** Ids that a table may have, and bytes of an added word: longer ones would make the search for them slow. */
export const MAX_TOKENS = 1 << 20;
export const MAX_ADDED_BYTES = 1024;

/** A word that is found in a text as it stands (`AddedToken` of Hugging Face's tokenizers). */
export interface AddedWord {
  id: number;
  content: string;
  /** A control token rather than a word. */
  special: boolean;
  /** Takes the white space before it along. */
  lstrip: boolean;
  /** Takes the white space behind it along. */
  rstrip: boolean;
  /** Only where no letter, digit or underscore is next to it. */
  singleWord: boolean;
  /** Looked for in the normalized text, in its own normalized form. */
  normalized: boolean;
}

export interface TokenizerTable {
  tokens: number;
  /** First byte of each token's spelling, and the end of the last. */
  offsets: Uint32Array;
  spellings: Uint8Array;
  merges: MergeList;
  /** Symbols are bytes rather than code points. */
  bytes: boolean;
  symbols: Uint32Array;
  symbolIds: Uint32Array;
  fallback: Uint32Array | undefined;
  unknown: number | undefined;
  fuseUnknown: boolean;
  /** A piece that is a token as a whole is that token, whatever the merges make of it. */
  ignoreMerges: boolean;
  added: AddedWord[];
  settings: TokenizerSettings;
}

function fail(message: string): never {
  throw new EdgeformerError("invalid_model", `tokenizer.bin: ${message}; convert the model again`);
}

function checkIds(ids: Uint16Array | Uint32Array, tokens: number, what: string): void {
  for (let i = 0; i < ids.length; i++)
    if (ids[i]! >= tokens) fail(`${what} ${i} names token ${ids[i]}, but there are ${tokens}`);
}

/** Sections one after the other, each a multiple of 4 bytes long. */
class Sections {
  readonly #buffer: ArrayBufferLike;
  readonly #start: number;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array) {
    this.#buffer = bytes.buffer;
    this.#start = bytes.byteOffset;
    this.#end = bytes.length;
    this.#at = HEADER_WORDS * 4;
  }

  #take(bytes: number, what: string): number {
    const at = this.#at;
    this.#at += Math.ceil(bytes / 4) * 4;
    if (this.#at > this.#end) fail(`it ends within its ${what}`);
    return this.#start + at;
  }

  u8(count: number, what: string): Uint8Array {
    return new Uint8Array(this.#buffer, this.#take(count, what), count);
  }

  u16(count: number, what: string): Uint16Array {
    return new Uint16Array(this.#buffer, this.#take(count * 2, what), count);
  }

  u32(count: number, what: string): Uint32Array {
    return new Uint32Array(this.#buffer, this.#take(count * 4, what), count);
  }

  ids(wide: boolean, count: number, what: string): Uint16Array | Uint32Array {
    return wide ? this.u32(count, what) : this.u16(count, what);
  }

  close(): void {
    if (this.#at !== this.#end) fail(`it has ${this.#end - this.#at} bytes behind its last section`);
  }
}

function readAdded(records: Uint32Array, contents: Uint8Array, tokens: number): AddedWord[] {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const known = new Set<string>();
  const words: AddedWord[] = [];
  let at = 0;
  for (let i = 0; i < records.length; i += 3) {
    const [id, flags, bytes] = [records[i]!, records[i + 1]!, records[i + 2]!];
    if (id >= tokens) fail(`an added word names token ${id}, but there are ${tokens}`);
    if (bytes === 0 || bytes > MAX_ADDED_BYTES || at + bytes > contents.length)
      fail(`the added word of token ${id} cannot have ${bytes} bytes`);
    let content = "";
    try {
      content = decoder.decode(contents.subarray(at, at + bytes));
    } catch {
      fail(`the added word of token ${id} is no UTF-8`);
    }
    if (known.has(content)) fail(`the added word ${JSON.stringify(content)} is there twice`);
    known.add(content);
    at += bytes;
    words.push({
      id,
      content,
      special: (flags & ADDED_FLAGS.special) !== 0,
      lstrip: (flags & ADDED_FLAGS.lstrip) !== 0,
      rstrip: (flags & ADDED_FLAGS.rstrip) !== 0,
      singleWord: (flags & ADDED_FLAGS.singleWord) !== 0,
      normalized: (flags & ADDED_FLAGS.normalized) !== 0,
    });
  }
  if (at !== contents.length) fail("its added words do not fill their section");
  return words;
}

/**
 * Checks a table completely, so that nothing later has to. The result refers to `bytes`, which must not change any more.
 *
 * @throws EdgeformerError `invalid_model`
 */
export function readTokenizerTable(bytes: Uint8Array): TokenizerTable {
  if (bytes.length < HEADER_WORDS * 4) fail(`${bytes.length} bytes are too few`);
  // Views need an aligned beginning.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const header = new Uint32Array(aligned.buffer, aligned.byteOffset, HEADER_WORDS);
  const word = (name: keyof typeof HEADER) => header[HEADER[name]]!;
  if (word("magic") !== TABLE_MAGIC) fail("it is no tokenizer of edgeformer's");
  if (word("version") !== TABLE_VERSION)
    fail(`format version ${word("version")}, but this library reads version ${TABLE_VERSION}`);
  if (word("fileBytes") !== bytes.length) fail(`it has ${bytes.length} bytes, but says ${word("fileBytes")}`);
  const flag = (name: keyof typeof TABLE_FLAGS) => (word("flags") & TABLE_FLAGS[name]) !== 0;
  const tokens = word("tokens");
  if (tokens === 0 || tokens > MAX_TOKENS) fail(`${tokens} tokens are not from 1 to ${MAX_TOKENS}`);
  const sections = new Sections(aligned);
  const lengths = sections.u16(tokens, "lengths");
  const spellings = sections.u8(word("spellingBytes"), "spellings");
  const offsets = new Uint32Array(tokens + 1);
  for (let id = 0; id < tokens; id++) offsets[id + 1] = offsets[id]! + lengths[id]!;
  if (offsets[tokens] !== spellings.length)
    fail(`its spellings have ${spellings.length} bytes, but their lengths add up to ${offsets[tokens]}`);

  const merges: MergeList = {
    left: sections.ids(flag("wide"), word("merges"), "merges"),
    right: sections.ids(flag("wide"), word("merges"), "merges"),
    result: sections.ids(flag("wide"), word("merges"), "merges"),
    ranks: flag("ranked") ? sections.u32(word("merges"), "ranks") : undefined,
  };
  for (const side of ["left", "right", "result"] as const) checkIds(merges[side], tokens, "merge");
  if (merges.ranks?.some((rank, i) => rank > i || (i > 0 && rank < merges.ranks![i - 1]!)))
    fail("its merges are not in order");

  const symbols = sections.u32(word("symbols"), "symbols");
  const symbolIds = sections.u32(word("symbols"), "symbols");
  const limit = flag("bytes") ? 0xff : 0x10ffff;
  symbols.forEach((symbol, i) => {
    if (symbol > limit || (i > 0 && symbol <= symbols[i - 1]!)) fail(`symbol ${i} is out of order`);
  });
  checkIds(symbolIds, tokens, "symbol");
  const fallback = flag("fallback") ? sections.u32(256, "bytes") : undefined;
  if (fallback) checkIds(fallback, tokens, "byte");
  const unknown = word("unknown") === NO_ID ? undefined : word("unknown");
  if (unknown !== undefined && unknown >= tokens)
    fail(`the unknown token is ${unknown}, but there are ${tokens}`);

  const records = sections.u32(word("added") * 3, "added words");
  const added = readAdded(records, sections.u8(word("contentBytes"), "added words"), tokens);
  const settings = parseSettings(sections.u8(word("settingsBytes"), "settings"), tokens, fail);
  sections.close();
  return {
    tokens,
    offsets,
    spellings,
    merges,
    bytes: flag("bytes"),
    symbols,
    symbolIds,
    fallback,
    unknown,
    fuseUnknown: flag("fuseUnknown"),
    ignoreMerges: flag("ignoreMerges"),
    added,
    settings,
  };
}
