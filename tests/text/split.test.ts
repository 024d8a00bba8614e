import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { proofTexts } from "../../src/convert/tokenizers/proof-texts.ts";
import {
  type Behavior,
  type Pieces,
  splitDigits,
  splitGpt2,
  splitLiteral,
  splitLlama3,
} from "../../src/text/tokenizer-split.ts";

/** As published, but for \s, which in JavaScript is another set. */
const expression = (source: string) =>
  new RegExp(source.replaceAll("\\S", "\\P{White_Space}").replaceAll("\\s", "\\p{White_Space}"), "gu");
const GPT2 = expression(
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
);
const llama3 = (digits: string) =>
  expression(
    String.raw`'(?:[sStTmMdD\u017f]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  );

const texts = proofTexts(3000, 3, []);
const spaces = fc.string({
  unit: fc.constantFrom(..." \n\r\t\u0085\u00a0\ufeff'sStlLreVEa1\u0663\u017f.!\u{1f642}\u{1d7d8}\u65e5"),
  maxLength: 12,
});

describe("scanners cut as the expressions do", () => {
  test.each<[string, (text: string) => Pieces, RegExp]>([
    ["GPT-2", splitGpt2, GPT2],
    ["Llama 3", (text) => splitLlama3(text, 3), llama3("{1,3}")],
    ["Qwen 2", (text) => splitLlama3(text, 1), llama3("")],
    ["digits one by one", (text) => splitDigits(text, true), /\p{N}|\P{N}+/gu],
    ["digits together", (text) => splitDigits(text, false), /\p{N}+|\P{N}+/gu],
  ])("%s", (_, split, pattern) => {
    const expected = (text: string) => text.match(pattern) ?? [];
    for (const text of texts) expect([...split(text)], JSON.stringify(text)).toEqual(expected(text));
    fc.assert(
      fc.property(spaces, (text) => {
        expect([...split(text)]).toEqual(expected(text));
      }),
      { numRuns: 5000, seed: 1 },
    );
  });

  // Hugging Face's documentation of SplitDelimiterBehavior gives these for "the-final--countdown".
  test.each<[Behavior, string[]]>([
    ["removed", ["the", "final", "countdown"]],
    ["isolated", ["the", "-", "final", "-", "-", "countdown"]],
    ["mergedWithPrevious", ["the-", "final-", "-", "countdown"]],
    ["mergedWithNext", ["the", "-final", "-", "-countdown"]],
    ["contiguous", ["the", "-", "final", "--", "countdown"]],
  ])("a separator that is %s", (behavior, expected) => {
    expect([...splitLiteral("the-final--countdown", "-", behavior)]).toEqual(expected);
  });

  test("a megabyte of anything takes no time that grows with its square", () => {
    for (const text of [" ", "\n", "a", "1", ".", "'", " \n", "\r\n ", "\u{1f642}"]) {
      const long = text.repeat(2 ** 20 / text.length);
      for (const split of [splitGpt2, (t: string) => splitLlama3(t, 3)]) {
        let length = 0;
        for (const piece of split(long)) length += piece.length;
        expect(length).toBe(long.length);
      }
    }
  });
});
