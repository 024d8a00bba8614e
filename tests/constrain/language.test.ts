// Expressions for languages: what is one object, and what outlives the table that they are in.
import { describe, expect, test } from "vitest";
import { ALL, EMPTY, Languages, NOTHING } from "../../src/constrain/language/language.ts";
import { languageOfPattern } from "../../src/constrain/language/pattern.ts";

const pattern = (languages: Languages, source: string) => languageOfPattern(languages, source, true);

describe("equal languages are one object", () => {
  test.each([
    ["a|b", "[ab]"],
    ["b|a", "a|b"],
    ["ab|ac", "a[bc]"],
    ["a|ab", "a(b|)"],
    ["a{1,3}b|a{2,5}b", "a{1,5}b"],
    ["(a{0,2}){0,3}", "a{0,6}"],
    ["(a*)*", "a*"],
    ["a?a?a?", "a{0,3}"],
    ["(ab)c", "a(bc)"],
    ["(a?)+", "a*"],
  ])("%s and %s", (a, b) => {
    const languages = new Languages();
    expect(pattern(languages, a)).toBe(pattern(languages, b));
  });

  test("what is in a language or not is all, and what is in both is nothing", () => {
    const languages = new Languages();
    const some = pattern(languages, "a+b");
    const others = languages.complement(some);
    expect(languages.union([some, others])).toBe(ALL);
    expect(languages.intersection([some, others])).toBe(NOTHING);
    expect(languages.complement(others)).toBe(some);
    expect(languages.intersection([languages.strings(["aab", "b"]), some])).toBe(languages.strings(["aab"]));
  });
});

test("a pattern in which counts are nested has a state for each count, not for each way to count", () => {
  const languages = new Languages();
  let at = pattern(languages, "((a{0,50}b{0,50}){0,50}c){0,50}");
  for (const character of "aaaaaaaaaabbbbbaaaaa".repeat(3))
    at = languages.next(at, character.codePointAt(0)!);
  const parts = (language: typeof at): number =>
    language.shape.kind === "union" ? language.shape.parts.length : 1;
  expect(at).not.toBe(NOTHING);
  expect(parts(at)).toBeLessThan(10);
});

test("a language goes on when everything else is forgotten", () => {
  const languages = new Languages();
  const before = languages.strings(["ab", "cd"]);
  languages.clear();
  const after = languages.strings(["axy", "cyz"]);
  const next = (language: typeof before, text: string) =>
    [...text].reduce((at, character) => languages.next(at, character.codePointAt(0)!), language);
  expect(next(after, "ax")).not.toBe(EMPTY);
  expect(next(before, "ab")).toBe(EMPTY);
  expect(next(after, "axy")).toBe(EMPTY);
});
