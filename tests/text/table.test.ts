import { describe, expect, test } from "vitest";
import { compileTokenizer } from "../../src/convert/tokenizers/compile.ts";
import { describeGgufTokenizer } from "../../src/convert/tokenizers/gguf.ts";
import { describeTokenizerJson } from "../../src/convert/tokenizers/tokenizer-json.ts";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";
import type { TokenizerSettings } from "../../src/text/tokenizer-settings.ts";
import { HEADER } from "../../src/text/tokenizer-table.ts";
import { uniform } from "../reference/random.ts";
import { ggufVocabulary } from "./gguf-vocabularies.ts";
import { gpt2Json } from "./gpt2-files.ts";

const tables = {
  bytes: compileTokenizer(describeGgufTokenizer(ggufVocabulary("bytes").vocabulary)),
  sentencepiece: compileTokenizer(describeGgufTokenizer(ggufVocabulary("sentencepiece").vocabulary)),
  small: compileTokenizer(
    describeTokenizerJson({
      ...gpt2Json(),
      added_tokens: [
        { id: 0, content: "!", special: true },
        { id: 3, content: "<x>", special: false, lstrip: true, normalized: true },
      ],
      normalizer: { type: "Sequence", normalizers: [{ type: "NFKC" }, { type: "Strip" }] },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [{ type: "Digits" }, { type: "ByteLevel", add_prefix_space: true }],
      },
      model: { type: "BPE", ignore_merges: true, vocab: { "!": 0, '"': 1, '!"': 2 }, merges: ['! "'] },
    }),
  ),
};
const TEXTS = ["", "Hello, world! 123 it's <x> <|im_start|>\u00e9\u{1f642}", "  a".repeat(40), '!"!!""!"'];

function damage(table: Uint8Array, change: (words: Uint32Array) => void): Uint8Array {
  const copy = table.slice();
  change(new Uint32Array(copy.buffer, 0, copy.length / 4));
  return copy;
}

const refused = (table: Uint8Array) => {
  try {
    parseTokenizerTable(table);
  } catch (error) {
    return error as Error & { code: string };
  }
  return undefined;
};

describe("a damaged table", () => {
  test.each<[string, (table: Uint8Array) => Uint8Array, RegExp]>([
    ["nothing", () => new Uint8Array(0), /0 bytes are too few/],
    [
      "another file",
      (table) => damage(table, (words) => words.fill(7, 0, 1)),
      /no tokenizer of edgeformer's/,
    ],
    ["a later version", (table) => damage(table, (words) => words.fill(9, HEADER.version, 2)), /version 9/],
    ["cut short", (table) => table.slice(0, -4), /says/],
    ["longer", (table) => Uint8Array.of(...table, 0, 0, 0, 0), /says/],
    [
      "no tokens",
      (table) => damage(table, (words) => words.fill(0, HEADER.tokens, HEADER.tokens + 1)),
      /0 tokens/,
    ],
    [
      "more merges than there are",
      (table) => damage(table, (words) => words.fill(2 ** 30, HEADER.merges, HEADER.merges + 1)),
      /ends within its merges/,
    ],
    [
      "fewer merges than there are",
      (table) => damage(table, (words) => words.fill(3, HEADER.merges, HEADER.merges + 1)),
      /./,
    ],
    [
      "an unknown token that is none",
      (table) => damage(table, (words) => words.fill(9999, HEADER.unknown, HEADER.unknown + 1)),
      /unknown token is 9999/,
    ],
  ])("%s", (_, change, message) => {
    for (const table of Object.values(tables))
      expect(refused(change(table))).toMatchObject({
        code: "invalid_model",
        message: expect.stringMatching(message),
      });
  });

  test.each<[string, Partial<TokenizerSettings>]>([
    [
      "steps that together make a text thousands of times as long",
      { normalizer: new Array(2).fill({ kind: "replace", from: "a", to: "a".repeat(64) }) },
    ],
    [
      "a mark of many characters",
      { preTokenizer: [{ kind: "metaspace", mark: " ".repeat(9), prepend: "never", split: false }] },
    ],
  ])("with %s is refused", (_, settings) => {
    const description = describeGgufTokenizer(ggufVocabulary("sentencepiece").vocabulary);
    const table = compileTokenizer({ ...description, settings: { ...description.settings, ...settings } });
    expect(refused(table)).toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/settings\.(normalizer|preTokenizer)/),
    });
  });

  test("with a thousand merges of one pair is refused, not hashed", () => {
    const { vocabulary } = ggufVocabulary("bytes");
    const description = describeGgufTokenizer(vocabulary);
    const merges = new Array(5000).fill(description.merges[0]);
    expect(refused(compileTokenizer({ ...description, merges }))).toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/collide/),
    });
  });

  test.each(Object.entries(tables))("of any kind is refused or works: %s", (_, table) => {
    const draw = uniform(11);
    const below = (limit: number) => Math.floor(draw() * limit);
    let [opened, closed] = [0, 0];
    for (let round = 0; round < 1500; round++) {
      const copy = table.slice();
      for (let changes = 1 + below(3); changes > 0; changes--) {
        // The header and the settings matter more than their size.
        const at =
          below(3) === 0 ? below(64) : below(2) === 0 ? copy.length - 1 - below(300) : below(copy.length);
        copy[at] = below(4) === 0 ? [0, 1, 0x7f, 0xff][below(4)]! : copy[at]! ^ (1 << below(8));
      }
      try {
        const tokenizer = parseTokenizerTable(copy);
        opened++;
        for (const text of TEXTS) {
          const ids = tokenizer.encode(text, { allowSpecial: round % 2 === 0 });
          expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize)).toBe(true);
          tokenizer.decode(ids);
        }
      } catch (error) {
        expect(error).toMatchObject({ name: "EdgeformerError", code: "invalid_model" });
        closed++;
      }
    }
    expect(opened).toBeGreaterThan(100);
    expect(closed).toBeGreaterThan(100);
  });
});

test("a table that lies at any address is read", () => {
  for (let offset = 0; offset < 4; offset++) {
    const buffer = new Uint8Array(tables.bytes.length + offset);
    buffer.set(tables.bytes, offset);
    const { rows } = ggufVocabulary("bytes");
    const tokenizer = parseTokenizerTable(buffer.subarray(offset));
    for (const { text, ids } of rows) expect(tokenizer.encode(text)).toEqual(ids);
  }
});
