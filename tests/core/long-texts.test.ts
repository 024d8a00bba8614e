import { describe, expect, test } from "vitest";
import { gpt2Tokenizer } from "../text/gpt2-tokenizer.ts";
import { cpuSeconds, LONG, longTexts } from "./long-texts.ts";

const tokenizer = gpt2Tokenizer();
const bytesOf = (text: string) => new TextEncoder().encode(text).length;

// A tokenizer whose time grows with the square of a run took 5.7 s for 64 KiB of letters: minutes for a megabyte.
describe("a megabyte is tokenized in less than two seconds", () => {
  test.each(longTexts(LONG))("%s", (_, text) => {
    let ids: number[] = [];
    expect(cpuSeconds(() => (ids = tokenizer.encode(text)))).toBeLessThan(2);
    expect(tokenizer.decode(ids) === text).toBe(true);
    expect(ids.length).toBeGreaterThanOrEqual(bytesOf(text) / tokenizer.longestToken);
  });
});

test("the longest token is as long as it says, and no other is longer", () => {
  const lengths = Array.from({ length: 50256 }, (_, id) => tokenizer.bytes(id).length);
  expect(Math.max(...lengths)).toBe(tokenizer.longestToken);
});

test("special tokens are known by their spelling", () => {
  expect([...tokenizer.specialTokens]).toEqual([["<|endoftext|>", 50256]]);
  const chat = gpt2Tokenizer({ "<|user|>": 50257 });
  expect(Object.fromEntries(chat.specialTokens)).toEqual({ "<|user|>": 50257, "<|endoftext|>": 50256 });
});
