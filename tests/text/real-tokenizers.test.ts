import { describe, expect, test } from "vitest";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";
import { expectSameAsReference, realTokenizer } from "./real-tokenizers.ts";

// All four, on more texts, and how large and fast they are: tests/slow/tokenizers.test.ts.

describe("published tokenizers give the reference's ids and texts", () => {
  test.each(["llama2", "qwen3"] as const)("%s", (name) => {
    expectSameAsReference(name, 400, 21);
  });
});

// Expected: tokenizers 0.23.3.
describe("what the reference for JavaScript sees otherwise", () => {
  test.each<["llama2" | "qwen3", string, number[]]>([
    ["llama2", "\n\n\ufeffOnce", [1, 28705, 13, 13, 31759, 16114]],
    ["llama2", "Hello, \ufeffworld", [1, 22557, 28725, 28705, 31759, 9471]],
    ["llama2", "x    \u0085y", [1, 1318, 260, 31363, 28724]],
    ["llama2", "a\u0085\n b", [1, 264, 31363, 13, 287]],
    ["llama2", "'\u017f IT'S", [1, 464, 30515, 8862, 28742, 28735]],
    ["llama2", "\ufeff", [1, 28705, 31759]],
    ["qwen3", "\n\n\ufeffOnce", [271, 3225, 12522]],
    ["qwen3", "Hello, \ufeffworld", [9707, 11, 75780, 14615]],
    ["qwen3", "x    \u0085y", [87, 257, 126, 227, 88]],
    ["qwen3", "a\u0085\n b", [64, 126, 227, 198, 293]],
    ["qwen3", "'\u017f IT'S", [6, 144815, 8700, 13272]],
    ["qwen3", "\ufeff", [3225]],
  ])("%s: %j", (name, text, expected) => {
    const { tokenizer } = realTokenizer(name);
    expect(tokenizer.encode(text)).toEqual(expected);
  });
});

test("a special token's spelling is text unless allowed; an ordinary added word is found", () => {
  const { tokenizer } = realTokenizer("qwen3");
  expect(tokenizer.encode("<|im_end|>", { allowSpecial: true })).toEqual([151645]);
  expect(tokenizer.encode("<|im_end|>")).not.toContain(151645);
  expect(tokenizer.encode("<think>")).toEqual([151667]);
});

test("texts that come apart into bytes come together again", () => {
  const { tokenizer } = realTokenizer("llama2");
  const ids = tokenizer.encode("\u{10ffff}\ue000", { addSpecialTokens: false });
  expect(ids.length).toBeGreaterThan(6);
  expect(tokenizer.decode(ids)).toBe("\u{10ffff}\ue000");
  // Half a character is one U+FFFD, as in a stream.
  expect(tokenizer.decode(ids.slice(0, 3))).toBe("\ufffd");
});

test("a table is small, and opens fast", () => {
  const { table } = realTokenizer("llama2");
  // 32,000 tokens and 58,980 merges.
  expect(table.length).toBeLessThan(650_000);
  expect(parseTokenizerTable(table).vocabSize).toBe(32_000);
});
