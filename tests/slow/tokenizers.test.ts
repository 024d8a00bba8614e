import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";
import { gpt2Table } from "../text/gpt2-tokenizer.ts";
import { expectSameAsReference, REAL, realTokenizer } from "../text/real-tokenizers.ts";

test.each(REAL)("%s gives the reference's ids and texts on 6,000 texts", (name) => {
  for (let seed = 31; seed < 37; seed++) expectSameAsReference(name, 1000, seed);
});

describe("a megabyte of one character is read, and comes back", () => {
  test.each(REAL)("%s", (name) => {
    const { tokenizer } = realTokenizer(name);
    for (const character of ["a", " ", "\n", "1", "\u{1f642}", "a "]) {
      const text = character.repeat(2 ** 20 / character.length);
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      expect(tokenizer.decode(ids) === text, character).toBe(true);
    }
  });
});

describe("memory at rest", () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");

  /** Bytes that an opened table keeps alive: heap and buffers. */
  const resident = (table: Uint8Array) => {
    const measure = () => {
      for (let i = 0; i < 4; i++) collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const before = measure();
    const tokenizer = parseTokenizerTable(table.slice());
    tokenizer.encode("Hello \u65e5\u672c");
    const after = measure();
    // Alive until here.
    expect(tokenizer.vocabSize).toBeGreaterThan(0);
    return after - before;
  };

  test("is 4 MB for 50,257 tokens, 12 MB for 151,669 at most", () => {
    const [gpt2, qwen] = [resident(gpt2Table()), resident(realTokenizer("qwen3").table)];
    console.log(`GPT-2 ${(gpt2 / 1e6).toFixed(2)} MB, Qwen 3 ${(qwen / 1e6).toFixed(2)} MB`);
    expect(gpt2).toBeLessThan(4e6);
    expect(qwen).toBeLessThan(12e6);
  });
});
