import { describe, expect, test } from "vitest";
import { compileTokenizer } from "../../src/convert/tokenizers/compile.ts";
import { convertGgufTokenizer } from "../../src/convert/tokenizers/convert-tokenizer.ts";
import { describeGgufTokenizer } from "../../src/convert/tokenizers/gguf.ts";
import { proofTexts } from "../../src/convert/tokenizers/proof-texts.ts";
import { readSentencePiece } from "../../src/convert/tokenizers/sentencepiece.ts";
import { describeTokenizerJson } from "../../src/convert/tokenizers/tokenizer-json.ts";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";
import { ggufVocabulary } from "../text/gguf-vocabularies.ts";
import { field, sentencePieceFile } from "./sentencepiece-file.ts";

const { vocabulary, rows } = ggufVocabulary("sentencepiece");
const tokenizer = parseTokenizerTable(compileTokenizer(describeGgufTokenizer(vocabulary)));

/** What SentencePiece does, pair by pair: the neighbours whose texts together are the token of the highest score. */
function naive(text: string): number[] {
  const idOf = new Map(vocabulary.tokens.map((token, id) => [token, id]));
  const parts = [...`\u2581${text.replaceAll(" ", "\u2581")}`];
  for (;;) {
    let [best, place] = [Number.NEGATIVE_INFINITY, -1];
    for (let i = 0; i + 1 < parts.length; i++) {
      const id = idOf.get(parts[i]! + parts[i + 1]!);
      if (id !== undefined && vocabulary.tokenTypes![id] === 1 && vocabulary.scores![id]! > best)
        [best, place] = [vocabulary.scores![id]!, i];
    }
    if (place === -1) break;
    parts.splice(place, 2, `${parts[place]}${parts[place + 1]}`);
  }
  const byteIds = (part: string) => Array.from(new TextEncoder().encode(part), (byte) => 3 + byte);
  return [1, ...parts.flatMap((part) => idOf.get(part) ?? byteIds(part))];
}

describe("a SentencePiece vocabulary from GGUF", () => {
  test("gives llama.cpp's ids", () => {
    for (const { text, ids } of rows) expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
  });

  test("merges as SentencePiece does, whatever the text", () => {
    for (const text of proofTexts(600, 5, ["</s>", "<unk>"]).filter((text) => text.length < 200))
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(naive(text));
  });

  test("decodes to the text, and token by token to the same bytes", () => {
    for (const text of proofTexts(600, 6, ["</s>"])) {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      // A mark in a text is a space afterwards.
      expect(tokenizer.decode(ids)).toBe(text.replaceAll("\u2581", " "));
      const decoder = tokenizer.decoder();
      const bytes = ids.flatMap((id) => [...decoder.push(id)]);
      expect(Buffer.from(bytes).toString()).toBe(tokenizer.decode(ids));
    }
  });

  test("keeps the space before a token that goes on with a text", () => {
    const [id] = tokenizer.encode("the", { addSpecialTokens: false });
    expect(Buffer.from(tokenizer.bytes(id!)).toString()).toBe(" the");
    expect(tokenizer.decode([id!])).toBe("the");
    expect(tokenizer.decode([1, id!])).toBe("<s> the");
  });

  test("is refused where it is damaged or unknown", async () => {
    for (const [change, message] of [
      [{ model: "bert" }, /tokenizer\.ggml\.model is "bert"/],
      [{ model: "gpt2", pre: "chameleon" }, /tokenizer\.ggml\.pre is "chameleon"/],
      [{ scores: undefined }, /tokenizer\.ggml\.scores is missing/],
      [{ model: "gpt2", pre: "gpt-2", merges: undefined }, /tokenizer\.ggml\.merges is missing/],
      [{ tokens: ["a", "b", "a"] }, /tokens has "a" twice/],
      [{ removeExtraWhitespaces: true }, /remove_extra_whitespaces/],
    ] as const)
      expect(() => describeGgufTokenizer({ ...vocabulary, ...change })).toThrow(message);
    await expect(convertGgufTokenizer(vocabulary, 500)).rejects.toThrow(/700 entries.*500 rows/);
  });

  test("proves itself against Hugging Face's library", async () => {
    for (const name of ["bytes", "sentencepiece"] as const) {
      const table = await convertGgufTokenizer(ggufVocabulary(name).vocabulary, 700);
      expect(parseTokenizerTable(table).encode("Hello").length).toBeGreaterThan(0);
    }
  });
});

const modelFile = (trainer?: Uint8Array[], normalizer?: Uint8Array[]) =>
  sentencePieceFile(vocabulary, trainer, normalizer);

describe("a vocabulary that is made to cost", () => {
  const withTokens = (more: string[]) => () =>
    describeGgufTokenizer({
      ...vocabulary,
      tokens: [...vocabulary.tokens, ...more],
      scores: [...Array.from(vocabulary.scores!), ...more.map(() => -1)],
      tokenTypes: [...Array.from(vocabulary.tokenTypes!), ...more.map(() => 1)],
    });

  test("of long tokens, or of tokens that are each made of all others, is refused", () => {
    expect(withTokens(Array.from({ length: 400 }, (_, i) => "ab".repeat(8000) + i))).toThrow(
      "too long together",
    );
    expect(withTokens(Array.from({ length: 1000 }, (_, i) => "a".repeat(i + 20)))).toThrow(
      "more than 32 ways",
    );
    expect(withTokens(Array.from({ length: 100 }, (_, i) => "a".repeat(i + 20)))).not.toThrow();
  });
});

describe("tokenizer.model", () => {
  const options = { addBos: true, addEos: false, legacy: true };
  const open = (bytes: Uint8Array, given = options) => {
    const { json, names, ranks } = readSentencePiece(bytes, given);
    return parseTokenizerTable(compileTokenizer({ ...describeTokenizerJson(json, names), ranks }));
  };

  test("is the same tokenizer", () => {
    const opened = open(modelFile());
    for (const { text, ids } of rows) expect(opened.encode(text)).toEqual(ids);
    expect(Object.fromEntries(opened.namedTokens)).toEqual({
      unk_token: "<unk>",
      bos_token: "<s>",
      eos_token: "</s>",
    });
    expect(open(modelFile(), { ...options, addBos: false, addEos: true }).encode("")).toEqual([2]);
  });

  test("puts a space behind special tokens only where transformers' legacy does", () => {
    const ids = (legacy: boolean) =>
      open(modelFile(), { ...options, legacy }).encode("the</s>the", {
        allowSpecial: true,
        addSpecialTokens: false,
      });
    const [word] = tokenizer.encode("the", { addSpecialTokens: false });
    expect(ids(true)).toEqual([word, 2, word]);
    expect(ids(false).slice(0, 2)).toEqual([word, 2]);
    expect(ids(false)).not.toEqual(ids(true));
  });

  test.each<[string, Uint8Array, RegExp]>([
    ["Unigram", modelFile([field(3, 1)]), /model_type is UNIGRAM/],
    ["a table of normalizations", modelFile([], [field(2, "abc")]), /precompiled_charsmap/],
    ["spaces removed", modelFile([], [field(4, 1)]), /remove_extra_whitespaces/],
    ["an id that is none", modelFile([field(41, 9999)]), /9999 for bos_token/],
    ["cut short", modelFile().subarray(0, 1000), /ends within a field/],
    ["text", new TextEncoder().encode("IQ== 0\nIg== 1\n"), /tokenizer\.model/],
    ["nothing", new Uint8Array(0), /no pieces/],
  ])("%s is refused", (_, bytes, message) => {
    expect(() => readSentencePiece(bytes, options)).toThrow(message);
  });
});
