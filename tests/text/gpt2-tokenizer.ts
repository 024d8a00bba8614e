import { compileTokenizer } from "../../src/convert/tokenizers/compile.ts";
import { describeTokenizerJson } from "../../src/convert/tokenizers/tokenizer-json.ts";
import { parseTokenizerTable, type Tokenizer } from "../../src/text/tokenizer.ts";
import { gpt2Json } from "./gpt2-files.ts";

/** GPT-2's tokenizer as a table, with special tokens on top of its own, or in place of its last merges. */
export function gpt2Table(added: Record<string, number> = {}): Uint8Array {
  const words = Object.entries(added).map(([content, id]) => ({ content, id }));
  const names = { bos_token: "<|endoftext|>", eos_token: "<|endoftext|>" };
  const json = gpt2Json(words) as { model: { vocab: Record<string, number>; merges: unknown[] } };
  const taken = new Set(Object.values(added));
  const vocab = Object.fromEntries(Object.entries(json.model.vocab).filter(([, id]) => !taken.has(id)));
  const kept = json.model.merges.filter((_, i) => !taken.has(256 + i));
  return compileTokenizer(
    describeTokenizerJson({ ...json, model: { ...json.model, vocab, merges: kept } }, names),
  );
}

/** The same, opened. */
export function gpt2Tokenizer(added: Record<string, number> = {}): Tokenizer {
  return parseTokenizerTable(gpt2Table(added));
}
