import { describe, expect, test } from "vitest";
import { type Constraint, compileConstraint, prepareTokenizer } from "../../src/constrain/index.ts";
import { reads } from "./fuzz.ts";
import { tiny } from "./tiny-tokenizer.ts";
import { accepts, allowed, END, random, tokenizer, wander, write } from "./tokens.ts";

describe("choice", () => {
  const constraint = compileConstraint({ choice: ["positive", "negative", "neutral", "né 🎉"] });

  test("allows each choice and nothing else", () => {
    for (const text of ["positive", "negative", "neutral", "né 🎉"])
      expect(accepts(constraint, text)).toBe(true);
    for (const text of ["", "pos", "positively", "Positive", " neutral"])
      expect(accepts(constraint, text), text).toBe(false);
  });

  test("a matcher that refuses a token has not moved", () => {
    const matcher = constraint.matcher(tokenizer);
    expect(write(matcher, "pos")).toBe(true);
    const before = matcher.mask();
    expect(matcher.accept(END)).toBe(false);
    expect(matcher.accept(-1)).toBe(false);
    expect(matcher.accept(1e9)).toBe(false);
    expect(write(matcher, "x")).toBe(false);
    expect(matcher.mask()).toEqual(before);
    expect(write(matcher, "itive")).toBe(true);
    expect(matcher.mayEnd).toBe(true);
    expect(allowed(matcher.mask())).toEqual([END]);
    expect(matcher.accept(END)).toBe(true);
    expect(matcher.mayEnd).toBe(false);
    expect(allowed(matcher.mask())).toEqual([]);
  });

  test("a clone goes its own way", () => {
    const matcher = constraint.matcher(tokenizer);
    write(matcher, "ne");
    const clone = matcher.clone();
    expect(write(clone, "utral")).toBe(true);
    expect(clone.mayEnd).toBe(true);
    expect(matcher.mayEnd).toBe(false);
    expect(write(matcher, "gative")).toBe(true);
  });

  test("forced tokens are those without an alternative", () => {
    const matcher = compileConstraint({ choice: ["\u{10fffd}a", "\u{10fffd}b"] }).matcher(tokenizer);
    // The last two bytes are one token as well as two.
    const ids = matcher.forced();
    expect(ids.map((id) => [...tokenizer.bytes(id)])).toEqual([[0xf4], [0x8f]]);
    for (const id of ids) expect(matcher.accept(id)).toBe(true);
    expect(matcher.forced()).toEqual([]);
    expect(allowed(matcher.mask()).map((id) => [...tokenizer.bytes(id)])).toEqual([[0xbf], [0xbf, 0xbd]]);
  });

  test("ten thousand choices are taken, and each can be told from the others", () => {
    const choice = Array.from({ length: 10_000 }, (_, i) => `item ${i}`);
    const many = compileConstraint({ choice });
    expect(accepts(many, "item 9999")).toBe(true);
    expect(accepts(many, "item 10000")).toBe(false);
  });

  test.each([[[]], [[1]], ["a"], [null], [[""]], [Array(10_001).fill("a")]])("%j is refused", (choice) => {
    expect(() => compileConstraint({ choice: choice as string[] })).toThrow(
      expect.objectContaining({ code: "invalid_option", param: "choice" }),
    );
  });
});

/** Patterns and the characters that texts for them are drawn from. */
const PATTERNS: [pattern: string, characters: string][] = [
  ["[a-c]+x?", "abcx"],
  ["(ab|a)(bc)?", "abc"],
  ["(a|b)*abb", "ab"],
  ["a{2,4}b{0,2}", "ab"],
  ["(a{1,2}b){2,3}", "ab"],
  [".*a.{3}", "ab"],
  ["\\d{2,}\\.\\d+", "12."],
  ["^a|b$", "ab"],
  ["(^a|b)c|(^b|c)?a", "abc"],
  ["(?!ab)[ab]{2}c?", "abc"],
  ["(?=a)[ab]+", "ab"],
  ["(?:a|(?=b)b)c", "abc"],
  ["[^a]é\\u00e9?", "abé"],
  ["\\s[\\w-]", " a-_\t"],
  ["🎉{2}|.", "🎉a"],
  ["a$|ab", "ab"],
  ["()a?|b+?", "ab"],
  ["[a-]b", "a-b"],
  // What may be empty stands before what depends on whether the text has begun.
  ["(?:.a)?(?!^|c).?", "abc"],
];

describe("regex", () => {
  test.each(PATTERNS)("%s allows what ECMA-262 says", (pattern, characters) => {
    const constraint = compileConstraint({ regex: pattern });
    const expected = new RegExp(`^(?:${pattern})$`, "u");
    const next = random(7);
    const letters = [...characters];
    for (let i = 0; i < 300; i++) {
      let text = "";
      for (let length = Math.floor(next() * 8); length > 0; length--)
        text += letters[Math.floor(next() * letters.length)];
      expect(accepts(constraint, text), text).toBe(expected.test(text));
    }
  });

  test("random patterns allow what ECMA-262 says", () => {
    const next = random(5);
    const pick = (from: readonly string[]) => from[Math.floor(next() * from.length)]!;
    const pattern = (depth: number): string => {
      const kind = depth === 0 ? 0 : next();
      if (kind < 0.3) return pick(["a", "b", "[ab]", "[^a]", ".", "é", "\\d", "\\w", "", "^", "$"]);
      if (kind < 0.55) return pattern(depth - 1) + pattern(depth - 1);
      if (kind < 0.7) return `(${pattern(depth - 1)}|${pattern(depth - 1)})`;
      if (kind < 0.9)
        return `(?:${pattern(depth - 1)})${pick(["*", "+", "?", "{2}", "{0,2}", "{1,3}", "{2,}"])}`;
      return `(?${pick(["=", "!"])}${pattern(depth - 1)})`;
    };
    let [taken, matched] = [0, 0];
    for (let i = 0; i < 600; i++) {
      const regex = pattern(5);
      const expected = new RegExp(`^(?:${regex})$`, "u");
      const texts = Array.from({ length: 20 }, () =>
        Array.from({ length: Math.floor(next() * 7) }, () => pick(["a", "b", "c", "é", "1"])).join(""),
      );
      let constraint: Constraint;
      try {
        constraint = compileConstraint({ regex });
      } catch (error) {
        expect((error as Error).message, regex).toMatch(/repeats an assertion|allows no text/);
        if ((error as Error).message.includes("allows no text"))
          for (const text of texts) expect(expected.test(text), `${regex} on ${text}`).toBe(false);
        continue;
      }
      taken++;
      for (const text of texts) {
        const isMatch = reads(constraint, text);
        expect(isMatch, `${regex} on ${text}`).toBe(expected.test(text));
        if (isMatch) matched++;
      }
    }
    expect(taken).toBeGreaterThan(300);
    expect(matched).toBeGreaterThan(500);
  });

  test.each(PATTERNS)("whatever %s allows leads to an end", (pattern) => {
    const constraint = compileConstraint({ regex: pattern });
    const expected = new RegExp(`^(?:${pattern})$`, "su");
    const next = random(11);
    for (let i = 0; i < 5; i++) {
      const text = wander(constraint, next, tiny, 300);
      if (text !== undefined) expect(text).toMatch(expected);
    }
  });

  test.each([
    ["(", "without its )"],
    ["a)", "without its ("],
    ["[a", "without its ]"],
    ["*", "repeats nothing"],
    ["a{3,2}", "downwards"],
    ["[b-a]", "downwards"],
    ["(a)\\1", "refers back"],
    ["\\bword", "boundary"],
    ["(?<=a)b", "looks behind"],
    ["\\p{L}", "property of Unicode"],
    ["(^a)*", "repeats an assertion"],
    ["a\\", "backslash"],
    ["\\u{110000}", "code point"],
    ["a^b", "allows no text"],
    ["(?!a)a", "allows no text"],
    ["(".repeat(5000), "deep"],
    ["a".repeat(20_000), "characters"],
  ])("%s is refused: it %s", (regex, message) => {
    expect(() => compileConstraint({ regex })).toThrow(
      expect.objectContaining({ code: "invalid_option", message: expect.stringContaining(message) }),
    );
  });
});

describe("a vocabulary", () => {
  /** A tokenizer that counts how often it is asked how a token is spelled. */
  const counting = () => {
    const counted = { ...tiny, asked: 0 };
    counted.bytes = (id) => {
      counted.asked++;
      return tiny.bytes(id);
    };
    return counted;
  };

  test("is read once, by whoever comes first or when it is asked for", async () => {
    const tokens = counting();
    await prepareTokenizer(tokens);
    expect(tokens.asked).toBeGreaterThan(256);
    tokens.asked = 0;
    for (const regex of ["a*", "b*"]) compileConstraint({ regex }).matcher(tokens).mask();
    expect(tokens.asked).toBe(0);
  });

  test("may have several tokens with the same bytes: what one may do, all may", () => {
    const twins = { ...tiny, vocabSize: tiny.vocabSize + 2 };
    twins.bytes = (id) => (id >= tiny.vocabSize ? Uint8Array.of(0x61) : tiny.bytes(id));
    const first = "a".charCodeAt(0);
    const both = [first, tiny.vocabSize, tiny.vocabSize + 1];
    const matcher = compileConstraint({ regex: "a[bc]" }).matcher(twins);
    expect(allowed(matcher.mask()).filter((id) => both.includes(id))).toEqual(both);
    expect(matcher.accept(both[2]!)).toBe(true);
    expect(allowed(matcher.mask()).filter((id) => both.includes(id))).toEqual([]);
  });
});

test("a source is one of four kinds, and options have known values", () => {
  for (const source of [null, {}, { regex: "a", choice: ["a"] }, { grammar: "a" }, "a"])
    expect(() => compileConstraint(source as never)).toThrow(/must be one of/);
  expect(() => compileConstraint({ regex: "a" }, { whitespace: "all" as never })).toThrow(
    expect.objectContaining({ param: "whitespace" }),
  );
});
