import bpeRanks from "gpt-tokenizer/bpeRanks/r50k_base";
import { encode } from "gpt-tokenizer/encoding/r50k_base";
import { describe, expect, test } from "vitest";
import { createTokenizer } from "../../src/text/r50k.ts";
import { R50K_MERGES } from "../../src/text/r50k-merges.ts";
import { uniform } from "../reference/random.ts";
import { mergesTable } from "./r50k-table.ts";

const tokenizer = createTokenizer({ type: "r50k_base", added_tokens: {} })!;
const encoder = new TextEncoder();
const NOTHING_SPECIAL = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };

/** What gpt-tokenizer makes of a text, lone surrogates replaced as on the wire. */
function reference(text: string): number[] {
  const wellFormed = new TextDecoder("utf-8", { ignoreBOM: true }).decode(encoder.encode(text));
  return encode(wellFormed, NOTHING_SPECIAL);
}

describe("against gpt-tokenizer", () => {
  test("the table is the one that its vocabulary implies", () => {
    expect(R50K_MERGES).toBe(mergesTable());
  });

  test("every token has its bytes, and its text is it", () => {
    const wrong = Array.from(bpeRanks).flatMap((spelling, id) => {
      const bytes = typeof spelling === "string" ? encoder.encode(spelling) : Uint8Array.from(spelling ?? []);
      const same = Buffer.compare(bytes, tokenizer.bytes(id)) === 0;
      return same && (typeof spelling !== "string" || tokenizer.encode(spelling).join() === String(id))
        ? []
        : [id];
    });
    expect(wrong).toEqual([]);
  });

  const alphabets: Record<string, (random: (below: number) => number) => string> = {
    ASCII: (random) => String.fromCharCode(random(128)),
    "any code point": (random) =>
      String.fromCodePoint(
        [random(0x80), random(0x800), random(0xd800), 0x10000 + random(0xffff)][random(4)]!,
      ),
    "lone surrogates": (random) => ["a", " ", "\ud83d", "\ude00", "é"][random(5)]!,
    "few letters": (random) => "abcdeést"[random(8)]!,
    tokens: (random) => tokenizer.decode([random(50256)]),
    "white space and contractions": (random) => " \n\t'sre1a\u00a0\u2028"[random(11)]!,
  };
  test.each(Object.entries(alphabets))("random texts: %s", (_, character) => {
    const draw = uniform(7);
    const random = (below: number) => Math.floor(draw() * below);
    for (let i = 0; i < 2000; i++) {
      // Now and then a piece too long for the short way.
      const length = 1 + random(i % 10 === 0 ? 300 : 40);
      const text = Array.from({ length }, () => character(random)).join("");
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(reference(text));
    }
  });

  test("pieces on either side of the longest short one", () => {
    for (const letter of ["a", "é", "語", "𝒳"])
      for (let length = 1; length < 120; length++) {
        const text = letter.repeat(length);
        expect(tokenizer.encode(text)).toEqual(reference(text));
      }
  });
});

test("a megabyte of one letter is no trap", () => {
  const ids = tokenizer.encode("a".repeat(1 << 20));
  expect(tokenizer.decode(ids)).toBe("a".repeat(1 << 20));
});

test("ids that are none have no bytes", () => {
  for (const id of [-1, 0.5, 50257, 1e9, Number.NaN, Number.POSITIVE_INFINITY])
    expect(tokenizer.bytes(id)).toEqual(new Uint8Array(0));
});

test("special tokens: spelled on the way out, text on the way in", () => {
  const chat = createTokenizer({ type: "r50k_base", added_tokens: { "<|user|>": 50257 } })!;
  expect(chat.decode([50257, 50256])).toBe("<|user|><|endoftext|>");
  for (const text of ["<|user|>", "<|endoftext|>"]) {
    const ids = chat.encode(text);
    expect(ids.every((id) => id < 50256)).toBe(true);
    expect(chat.decode(ids)).toBe(text);
  }
});

test("a model without a known vocabulary has no tokenizer", () => {
  expect(createTokenizer({ type: "none" })).toBeUndefined();
});
