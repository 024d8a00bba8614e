// The regular expressions that have a scanner (text/tokenizer-split.ts), as published files spell them.

import type { PreTokenizerStep } from "../../text/tokenizer-settings.ts";

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const llama3 = (digits: string) =>
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

export const PATTERNS: ReadonlyMap<string, PreTokenizerStep> = new Map<string, PreTokenizerStep>([
  [GPT2, { kind: "gpt2" }],
  [GPT2.replace("'s|'t|'re|'ve|'m|'ll|'d", "'(?:[sdmt]|ll|ve|re)"), { kind: "gpt2" }],
  [llama3("{1,3}"), { kind: "llama3", digits: 3 }],
  [llama3(""), { kind: "llama3", digits: 1 }],
]);

const sequence = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });
const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });

/** Pre-tokenizers of vocabularies on bytes, as tokenizer.json has them. */
export const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const BYTES_ONLY = { ...BYTE_LEVEL, use_regex: false };
export const DIGITS_THEN_BYTE_LEVEL = sequence({ type: "Digits", individual_digits: true }, BYTE_LEVEL);
export const LLAMA3_PRE_TOKENIZER = sequence(split(llama3("{1,3}")), BYTES_ONLY);
export const QWEN2_PRE_TOKENIZER = sequence(split(llama3("")), BYTES_ONLY);
