// A tokenizer as the converter understands it, whatever file it came from; compile.ts makes the table of it.

import type { TokenizerSettings } from "../../text/tokenizer-settings.ts";
import type { AddedWord } from "../../text/tokenizer-table.ts";

export interface TokenizerDescription {
  /** The bytes that each id stands for. */
  spellings: Uint8Array[];
  /** What a text is made of before merging: bytes, or code points. */
  symbols: "bytes" | "codePoints";
  /** Id of each symbol that the vocabulary has. */
  symbolIds: Map<number, number>;
  /** In order of priority. */
  merges: { left: number; right: number; result: number }[];
  /** Priorities of the merges, where several share one; without them it is their order. */
  ranks?: number[];
  /** Ids of the tokens that stand for a byte each, where a code point without an id is spelled in bytes. */
  fallback?: number[];
  /** Id that stands for what has none; without one it is dropped. */
  unknown?: number;
  /** One unknown token for several in a row. */
  fuseUnknown: boolean;
  /** A piece that is a token as a whole is that token. */
  ignoreMerges: boolean;
  added: AddedWord[];
  settings: TokenizerSettings;
}

/** The character that stands for each byte in GPT-2's vocabularies (`bytes_to_unicode` of its encoder.py). */
export const BYTE_ALPHABET: readonly string[] = (() => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

const BYTE_OF = new Map(BYTE_ALPHABET.map((character, byte) => [character, byte]));

/** The bytes that a token of such a vocabulary stands for: those of its characters, or its own if it has others. */
export function bytesOfSpelling(spelling: string): Uint8Array {
  const bytes = Uint8Array.from(spelling, (character) => BYTE_OF.get(character) ?? 0);
  return [...spelling].every((character) => BYTE_OF.has(character))
    ? bytes
    : new TextEncoder().encode(spelling);
}
