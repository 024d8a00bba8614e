import bpeRanks from "gpt-tokenizer/bpeRanks/r50k_base";
import { encode } from "gpt-tokenizer/encoding/r50k_base";
import { describe, expect, test } from "vitest";
import { compileTokenizer } from "../../src/convert/tokenizers/compile.ts";
import { hasDisputedSpace, proofTexts } from "../../src/convert/tokenizers/proof-texts.ts";
import { describeTokenizerJson } from "../../src/convert/tokenizers/tokenizer-json.ts";
import { parseTokenizerTable, type Tokenizer } from "../../src/text/tokenizer.ts";
import { longTexts } from "../core/long-texts.ts";
import { uniform } from "../reference/random.ts";
import { gpt2Json } from "./gpt2-files.ts";

const encoder = new TextEncoder();

function open(json: Record<string, unknown>): Tokenizer {
  return parseTokenizerTable(compileTokenizer(describeTokenizerJson(json)));
}

const gpt2 = open(gpt2Json());

/** What gpt-tokenizer makes of a text, lone surrogates replaced as on the wire. */
function reference(text: string): number[] {
  const wellFormed = new TextDecoder("utf-8", { ignoreBOM: true }).decode(encoder.encode(text));
  return encode(wellFormed, { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() });
}

describe("GPT-2's vocabulary against gpt-tokenizer", () => {
  test("every token has its bytes, and its text is it", () => {
    const wrong = Array.from(bpeRanks).flatMap((spelling, id) => {
      const bytes = typeof spelling === "string" ? encoder.encode(spelling) : Uint8Array.from(spelling ?? []);
      const same = Buffer.compare(bytes, gpt2.bytes(id)) === 0;
      return same && (typeof spelling !== "string" || gpt2.encode(spelling).join() === String(id))
        ? []
        : [id];
    });
    expect(wrong).toEqual([]);
    expect(gpt2.vocabSize).toBe(50257);
  });

  test("hostile and ordinary texts", () => {
    // gpt-tokenizer cuts with the host's \s, which has U+FEFF and lacks U+0085.
    const texts = proofTexts(3000, 7, ["<|endoftext|>"]).filter((text) => !hasDisputedSpace(text));
    expect(texts.length).toBeGreaterThan(2000);
    for (const text of texts) {
      const ids = gpt2.encode(text);
      expect(ids, JSON.stringify(text)).toEqual(reference(text));
      expect(gpt2.decode(ids)).toBe(text);
    }
  });

  test("tokens in any order, and lone surrogates", () => {
    const draw = uniform(9);
    for (let i = 0; i < 1000; i++) {
      const some = Array.from({ length: 1 + Math.floor(draw() * 30) }, () => Math.floor(draw() * 50256));
      const text = gpt2.decode(some);
      expect(gpt2.encode(text), JSON.stringify(text)).toEqual(reference(text));
      const torn = Array.from(some, (n) => ["a", " ", "\ud83d", "\ude00", "\u00e9"][n % 5]).join("");
      expect(gpt2.encode(torn)).toEqual(reference(torn));
    }
  });

  // Expected: tiktoken 0.14 and tokenizers 0.23.
  test.each<[string, number[]]>([
    ["\n\n\ufeffOnce", [198, 198, 171, 119, 123, 7454]],
    ["Hello, \ufeffworld", [15496, 11, 27332, 119, 123, 6894]],
    ["x    \u0085y", [87, 220, 220, 220, 220, 126, 227, 88]],
    ["\n\n\u0085Once", [628, 126, 227, 7454]],
  ])("white space as the reference sees it: %j", (text, expected) => {
    expect(gpt2.encode(text)).toEqual(expected);
    expect(gpt2.decode(expected)).toBe(text);
  });

  test("pieces on either side of the longest short one", () => {
    for (const letter of ["a", "\u00e9", "\u8a9e", "\u{1d4b3}"])
      for (let length = 1; length < 120; length++) {
        const text = letter.repeat(length);
        expect(gpt2.encode(text)).toEqual(reference(text));
      }
  });
});

test("ids that are none have no bytes", () => {
  for (const id of [-1, 0.5, 50257, 1e9, Number.NaN, Number.POSITIVE_INFINITY])
    expect(gpt2.bytes(id)).toEqual(new Uint8Array(0));
});

test("what a caller does to a token's bytes changes nothing", () => {
  gpt2.bytes(262).fill(0);
  expect(gpt2.decode([262])).toBe(" the");
});

test("special tokens: text on the way in unless allowed, spelled on the way out", () => {
  const chat = open(gpt2Json([{ content: "<|user|>" }]));
  expect([...chat.specialTokens]).toEqual([
    ["<|endoftext|>", 50256],
    ["<|user|>", 50257],
  ]);
  expect(chat.decode([50257, 50256])).toBe("<|user|><|endoftext|>");
  for (const text of ["<|user|>", "a<|endoftext|>b"]) {
    const ids = chat.encode(text);
    expect(ids.every((id) => id < 50256)).toBe(true);
    expect(chat.decode(ids)).toBe(text);
  }
  expect(chat.encode("<|user|>a<|endoftext|>b", { allowSpecial: true })).toEqual([50257, 64, 50256, 65]);
});

// Expected: tokenizers 0.23.3.
describe("added words", () => {
  const words = open(
    gpt2Json([
      { content: "covid", special: false, normalized: true },
      { content: "blockchain", special: false },
      { content: "[L]", special: false, lstrip: true },
      { content: "[R]", special: false, rstrip: true },
      { content: "wordle", special: false, single_word: true },
      { content: "<|im|>" },
      { content: "<|im|>user" },
    ]),
  );
  test.each<[string, number[]]>([
    ["the covid test", [1169, 220, 50257, 1332]],
    ["blockchains", [50258, 82]],
    ["a \u0085[L] b", [64, 50259, 275]],
    ["a [R] \n b", [64, 220, 50260, 65]],
    ["a wordle, wordles _wordle", [64, 220, 50261, 11, 1573, 829, 4808, 4775, 293]],
  ])("%j", (text, expected) => {
    expect(words.encode(text)).toEqual(expected);
  });

  test("of which the longest at a place counts", () => {
    expect(words.encode("<|im|>user<|im|>us", { allowSpecial: true })).toEqual([50263, 50262, 385]);
  });

  // The words are white space themselves. Expected: tokenizers 0.23.
  test.each<[Record<string, boolean>, number]>([
    [{ lstrip: true }, 4],
    [{ rstrip: true }, 4],
    [{ lstrip: true, rstrip: true }, 1],
  ])("that take white space along and lie in it: %j", (strips, count) => {
    const spaces = open(gpt2Json([{ content: "  ", special: false, ...strips }]));
    expect(spaces.encode(`x${" ".repeat(8)}y`)).toEqual([87, ...new Array(count).fill(50257), 88]);
    // Each of the words looked through the whole text: an hour.
    expect(spaces.encode(" ".repeat(2 ** 20)).length).toBe(count === 1 ? 1 : 2 ** 19);
  });

  test("within the spelling of a special one that is text, too, are text", () => {
    const nested = open(gpt2Json([{ content: "covid", special: false }, { content: "<covid>" }]));
    expect(nested.encode("<covid>", { allowSpecial: true })).toEqual([50258]);
    expect(nested.encode("<covid>").every((id) => id < 50256)).toBe(true);
    expect(nested.encode("<covid >")).toContain(50257);
  });
});

test("ids around a text are put there unless told otherwise", () => {
  const post_processor = {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<|endoftext|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    special_tokens: { "<|endoftext|>": { id: "<|endoftext|>", ids: [50256], tokens: ["<|endoftext|>"] } },
  };
  const tokenizer = open(gpt2Json([], { post_processor }));
  expect(tokenizer.encode("Hello")).toEqual([50256, 15496]);
  expect(tokenizer.encode("")).toEqual([50256]);
  expect(tokenizer.encode("Hello", { addSpecialTokens: false })).toEqual([15496]);
});

test("a space goes before texts where the tokenizer wants it", () => {
  const tokenizer = open(gpt2Json([], { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } }));
  expect(tokenizer.encode("Hello")).toEqual([18435]);
  expect(tokenizer.encode(" Hello")).toEqual([18435]);
  expect(tokenizer.encode("")).toEqual([]);
});

test("a megabyte of one letter, of spaces, of emoji is no trap", () => {
  for (const character of ["a", " ", "\n", "\u{1f642}"]) {
    const text = character.repeat(2 ** 20 / character.length);
    expect(gpt2.decode(gpt2.encode(text)) === text).toBe(true);
  }
});

describe("part by part", () => {
  const UNITS = 8192;

  test.each(longTexts(64 * UNITS))("a long text pauses often, whatever it is made of: %s", (_, text) => {
    const parts = gpt2.encodeInParts(text);
    let pauses = 0;
    let result = parts.next();
    for (; !result.done; result = parts.next()) pauses++;
    expect(result.value).toEqual(gpt2.encode(text));
    expect(pauses).toBeGreaterThanOrEqual(Math.floor(text.length / UNITS) - 1);
  });

  test("texts that are read at the same time do not mix", () => {
    const texts = longTexts(4 * UNITS).map(([, text]) => text);
    const reading = texts.map((text) => ({ text, parts: gpt2.encodeInParts(text) }));
    while (reading.length > 0)
      for (const one of [...reading]) {
        const { done, value } = one.parts.next();
        if (!done) continue;
        expect(value).toEqual(gpt2.encode(one.text));
        reading.splice(reading.indexOf(one), 1);
      }
  });
});

test("a text of more tokens than allowed is refused, and not read to its end", () => {
  const text = "one two three four five ";
  const count = gpt2.encode(text).length;
  expect(gpt2.encode(text, { maxTokens: count })).toHaveLength(count);
  expect(() => gpt2.encode(text, { maxTokens: count - 1 })).toThrow(
    expect.objectContaining({
      code: "context_length_exceeded",
      message: `the text has more than ${count - 1} tokens`,
    }),
  );
});
