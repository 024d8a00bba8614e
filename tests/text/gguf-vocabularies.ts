import { readFileSync } from "node:fs";
import type { GgufVocabulary } from "../../src/convert/tokenizers/gguf-tokenizer.ts";

/** The vocabularies of two small GGUF files, and ids that llama.cpp and Hugging Face's tokenizers gave for texts. */
export function ggufVocabulary(name: "bytes" | "sentencepiece"): {
  vocabulary: GgufVocabulary;
  rows: { text: string; ids: number[] }[];
} {
  const file = new URL(`../fixtures/tokenizers/gguf-${name}.json`, import.meta.url);
  const { tokenizer, rows } = JSON.parse(readFileSync(file, "utf8"));
  return { vocabulary: { file: "tiny.gguf", ...tokenizer }, rows };
}
