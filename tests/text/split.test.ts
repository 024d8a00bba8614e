import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { proofTexts } from "../../src/convert/tokenizers/proof-texts.ts";
import {
  type Behavior,
  type Emit,
  splitDigits,
  splitGpt2,
  splitLiteral,
  splitLlama3,
} from "../../src/text/tokenizer-split.ts";

const pieces = (split: (emit: Emit) => void) => {
  const found: string[] = [];
  split((piece) => found.push(piece));
  return found;
};

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
  test.each<[string, (text: string, emit: Emit) => void, RegExp]>([
    ["GPT-2", splitGpt2, GPT2],
    ["Llama 3", (text, emit) => splitLlama3(text, 3, emit), llama3("{1,3}")],
    ["Qwen 2", (text, emit) => splitLlama3(text, 1, emit), llama3("")],
    ["digits one by one", (text, emit) => splitDigits(text, true, emit), /\p{N}|\P{N}+/gu],
    ["digits together", (text, emit) => splitDigits(text, false, emit), /\p{N}+|\P{N}+/gu],
  ])("%s", (_, split, pattern) => {
    const expected = (text: string) => text.match(pattern) ?? [];
    for (const text of texts)
      expect(
        pieces((emit) => split(text, emit)),
        JSON.stringify(text),
      ).toEqual(expected(text));
    fc.assert(
      fc.property(spaces, (text) => {
        expect(pieces((emit) => split(text, emit))).toEqual(expected(text));
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
    expect(pieces((emit) => splitLiteral("the-final--countdown", "-", behavior, emit))).toEqual(expected);
  });

  test("a megabyte of anything takes no time that grows with its square", () => {
    for (const text of [" ", "\n", "a", "1", ".", "'", " \n", "\r\n ", "\u{1f642}"]) {
      const long = text.repeat(2 ** 20 / text.length);
      for (const split of [splitGpt2, (t: string, emit: Emit) => splitLlama3(t, 3, emit)]) {
        let length = 0;
        split(long, (piece) => {
          length += piece.length;
        });
        expect(length).toBe(long.length);
      }
    }
  });
});
