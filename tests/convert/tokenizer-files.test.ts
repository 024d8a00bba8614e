import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { localSource } from "../../src/convert/inputs/files.ts";
import { compileTokenizer } from "../../src/convert/tokenizers/compile.ts";
import { convertTokenizer } from "../../src/convert/tokenizers/convert-tokenizer.ts";
import { proveTokenizer } from "../../src/convert/tokenizers/prove.ts";
import { describeTokenizerJson } from "../../src/convert/tokenizers/tokenizer-json.ts";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";
import { gpt2Files, gpt2Json } from "../text/gpt2-files.ts";
import { temporaryDirectory } from "./checkpoints.ts";

const temporary = temporaryDirectory();
const { vocab, merges } = gpt2Files();
const mergesText = `#version: 0.2\n${merges.join("\n")}\n`;
const GPT2_TABLE = Uint8Array.of(1, 2, 3);

let count = 0;

/** Converts the tokenizer of a directory with these files; objects are written as JSON. */
async function convert(files: Record<string, unknown>, rows = 50300, ids = {}) {
  const directory = join(temporary, `tokenizer-${++count}`);
  mkdirSync(directory);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(
      join(directory, name),
      typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content),
    );
  }
  const source = (await localSource(directory))!;
  return convertTokenizer(source, { rows, gpt2Table: async () => GPT2_TABLE, ...ids });
}

async function open(files: Record<string, unknown>, rows?: number, ids = {}) {
  const { table, warnings } = await convert(files, rows, ids);
  expect(warnings).toEqual([]);
  return parseTokenizerTable(table!);
}

const GPT2_CLASS = { tokenizer_class: "GPT2Tokenizer", bos_token: "<|endoftext|>" };

describe("GPT-2's own vocabulary", () => {
  test("from tokenizer.json, and from vocab.json and merges.txt, is the same", async () => {
    const config = { "tokenizer_config.json": { tokenizer_class: "GPT2Tokenizer" } };
    const one = await convert({ "tokenizer.json": gpt2Json(), ...config });
    const other = await convert({ "vocab.json": vocab, "merges.txt": mergesText, ...config });
    expect(Buffer.compare(one.table!, other.table!)).toBe(0);
    const tokenizer = parseTokenizerTable(one.table!);
    expect(tokenizer.encode("Hello world<|endoftext|>", { allowSpecial: true })).toEqual([15496, 995, 50256]);
    expect(tokenizer.namedTokens.get("bos_token")).toBe("<|endoftext|>");
  });

  test("is taken for a checkpoint of its size without files, and that is said", async () => {
    for (const rows of [50257, 50304]) {
      const { table, warnings } = await convert({}, rows);
      expect(table).toBe(GPT2_TABLE);
      expect(warnings).toEqual([expect.stringContaining("no tokenizer files")]);
    }
    for (const rows of [1003, 50256, 50258]) {
      const { table, warnings } = await convert({}, rows);
      expect(table).toBeNull();
      expect(warnings).toEqual([expect.stringContaining("token ids only")]);
    }
  });
});

// Expected: transformers 5.18 with the same files.
describe("settings beside the vocabulary", () => {
  const bos = {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<|endoftext|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { "<|endoftext|>": { id: "<|endoftext|>", ids: [50256], tokens: ["<|endoftext|>"] } },
  };
  const files = { "vocab.json": vocab, "merges.txt": mergesText };
  const prefixed = { type: "ByteLevel", add_prefix_space: true, use_regex: true };
  test.each<[string, Record<string, unknown>, number[]]>([
    [
      "vocab.json, add_prefix_space",
      { ...files, "tokenizer_config.json": { ...GPT2_CLASS, add_prefix_space: true } },
      [18435],
    ],
    [
      "tokenizer.json, add_prefix_space",
      { "tokenizer.json": gpt2Json(), "tokenizer_config.json": { ...GPT2_CLASS, add_prefix_space: true } },
      [18435],
    ],
    [
      "add_prefix_space within tokenizer.json",
      { "tokenizer.json": gpt2Json([], { pre_tokenizer: prefixed }) },
      [18435],
    ],
    [
      "which GPT-2's class takes back",
      { "tokenizer.json": gpt2Json([], { pre_tokenizer: prefixed }), "tokenizer_config.json": GPT2_CLASS },
      [15496],
    ],
    [
      "vocab.json, add_bos_token",
      { ...files, "tokenizer_config.json": { ...GPT2_CLASS, add_bos_token: true } },
      [50256, 15496],
    ],
    [
      "a post-processor",
      { "tokenizer.json": gpt2Json([], { post_processor: bos }), "tokenizer_config.json": GPT2_CLASS },
      [50256, 15496],
    ],
    [
      // With a tokenizer.json, transformers 5.18 leaves add_bos_token and add_eos_token unread.
      "a post-processor, whatever add_bos_token says",
      {
        "tokenizer.json": gpt2Json([], { post_processor: bos }),
        "tokenizer_config.json": { ...GPT2_CLASS, add_bos_token: false },
      },
      [50256, 15496],
    ],
    [
      "no post-processor, whatever they say",
      {
        "tokenizer.json": gpt2Json([], { post_processor: null }),
        "tokenizer_config.json": { ...GPT2_CLASS, add_bos_token: true, add_eos_token: true },
      },
      [15496],
    ],
    [
      "add_prefix_space of a class that does not read it",
      {
        "tokenizer.json": gpt2Json(),
        "tokenizer_config.json": { tokenizer_class: "PreTrainedTokenizerFast", add_prefix_space: true },
      },
      [15496],
    ],
    [
      "add_prefix_space without a class, of a model that has one",
      {
        "tokenizer.json": gpt2Json(),
        "tokenizer_config.json": { add_prefix_space: true },
        "config.json": { model_type: "gpt2" },
      },
      [18435],
    ],
    [
      "add_eos_token",
      { ...files, "tokenizer_config.json": { ...GPT2_CLASS, add_eos_token: true } },
      [15496, 50256],
    ],
  ])("%s", async (_, given, expected) => {
    expect((await open(given)).encode("Hello")).toEqual(expected);
  });
});

describe("added tokens", () => {
  test("ordinary words are found in texts", async () => {
    const words = [
      { content: "covid", special: false, normalized: true },
      { content: "blockchain", special: false, normalized: true },
    ];
    const tokenizer = await open({ "tokenizer.json": gpt2Json(words) });
    expect(tokenizer.encode("the covid test")).toEqual([1169, 220, 50257, 1332]);
    expect(tokenizer.encode("blockchains")).toEqual([50258, 82]);
  });

  test("are read from wherever they are named, and have no power in a text unless allowed", async () => {
    const tokenizer = await open({
      "vocab.json": { ...vocab, "<|user|>": 50257 },
      "merges.txt": mergesText,
      "added_tokens.json": { word: 4775, "[PAD]": 50258 },
      "special_tokens_map.json": { pad_token: "[PAD]", additional_special_tokens: ["<|user|>"] },
      "tokenizer_config.json": {
        ...GPT2_CLASS,
        added_tokens_decoder: { 50259: { content: "<sep>", special: true }, 50260: { content: "<cls>" } },
        sep_token: { __type: "AddedToken", content: "<sep>" },
        mask_token: "<mask>",
      },
    });
    expect([...tokenizer.specialTokens].sort(([, a], [, b]) => a - b)).toEqual([
      ["<|endoftext|>", 50256],
      ["<|user|>", 50257],
      ["[PAD]", 50258],
      ["<sep>", 50259],
      ["<mask>", 50261],
    ]);
    expect(Object.fromEntries(tokenizer.namedTokens)).toEqual({
      bos_token: "<|endoftext|>",
      eos_token: "<|endoftext|>",
      unk_token: "<|endoftext|>",
      pad_token: "[PAD]",
      sep_token: "<sep>",
      mask_token: "<mask>",
    });
    expect(tokenizer.encode("<cls>word")).toEqual([50260, 4775]);
  });

  test("without a row in the embedding are left out, and that is said", async () => {
    const json = gpt2Json([{ content: "<early>" }, { content: "<late>" }]);
    const { table, warnings } = await convert({ "tokenizer.json": json }, 50258);
    expect(warnings).toEqual([expect.stringContaining('"<late>" (50258) has no embedding')]);
    expect(parseTokenizerTable(table!).vocabSize).toBe(50258);
  });

  test("BOS and EOS of config.json are what a template calls them where nothing else says", async () => {
    const tokenizer = await open({ "tokenizer.json": gpt2Json() }, 50257, {
      bosTokenId: 50256,
      eosTokenId: 0,
    });
    expect(Object.fromEntries(tokenizer.namedTokens)).toEqual({ bos_token: "<|endoftext|>", eos_token: "!" });
  });
});

describe("chat templates", () => {
  test("are kept from each place that has one", async () => {
    const named = [
      { name: "tool_use", template: "x" },
      { name: "default", template: "{{ c }}" },
    ];
    for (const [files, expected] of [
      [{ "chat_template.jinja": "{{ a }}" }, "{{ a }}"],
      [{ "chat_template.json": { chat_template: "{{ b }}" } }, "{{ b }}"],
      [{ "tokenizer_config.json": { chat_template: named } }, "{{ c }}"],
      [{}, undefined],
    ] as const)
      expect((await convert(files)).chatTemplate).toBe(expected);
  });

  test("for tools are kept beside the default one", async () => {
    const json = {
      "tokenizer_config.json": {
        chat_template: [
          { name: "default", template: "a" },
          { name: "tool_use", template: "b" },
        ],
      },
    };
    expect(await convert(json)).toMatchObject({ chatTemplate: "a", namedTemplates: { tool_use: "b" } });
    const files = { "chat_template.jinja": "c", "additional_chat_templates/tool_use.jinja": "d", ...json };
    expect(await convert(files)).toMatchObject({ chatTemplate: "c", namedTemplates: { tool_use: "d" } });
  });
});

/** GPT-2's tokenizer.json with fields of its model replaced. */
const withModel = (fields: Record<string, unknown>) => {
  const json = gpt2Json();
  return { ...json, model: { ...(json.model as object), ...fields } };
};

describe("what is damaged or not known is refused in one line that names file, field and value", () => {
  const without = (token: string) =>
    Object.fromEntries(Object.entries(vocab).filter(([other]) => other !== token));
  const regex = { type: "Split", pattern: { Regex: "\\w+" }, behavior: "Isolated", invert: false };
  test.each<[string, Record<string, unknown>, string[]]>([
    ["no JSON", { "tokenizer.json": "{" }, ["tokenizer.json"]],
    ["a list", { "tokenizer.json": "[]" }, ["tokenizer.json", "object"]],
    ["no model", { "tokenizer.json": {} }, ["tokenizer.json", "model"]],
    ["vocab.json without merges", { "vocab.json": vocab }, ["merges.txt", "missing"]],
    [
      "a vocab.json of another class",
      {
        "vocab.json": vocab,
        "merges.txt": mergesText,
        "tokenizer_config.json": { tokenizer_class: "BertTokenizer" },
      },
      ["tokenizer_class", "BertTokenizer"],
    ],
    [
      "a duplicate id",
      { "tokenizer.json": withModel({ vocab: { ...vocab, "\u0120the": 0 } }) },
      ["model.vocab", "id 0", '"!"', '"\u0120the"'],
    ],
    [
      "an id that is none",
      { "tokenizer.json": withModel({ vocab: { ...vocab, x: -1 } }) },
      ["model.vocab", '"x"', "-1"],
    ],
    [
      "a hole",
      { "tokenizer.json": withModel({ vocab: without("\u0120gazed"), merges: merges.slice(0, -1) }) },
      ["no token", "50255"],
    ],
    [
      "a merge of an unknown token",
      { "tokenizer.json": withModel({ merges: [...merges, "zqzq a"] }) },
      ["model.merges[50000]", '"zqzq"'],
    ],
    [
      "a merge to an unknown token",
      { "tokenizer.json": withModel({ merges: [...merges, "\u0120gazed he"] }) },
      ["model.merges[50000]", '"\u0120gazedhe"'],
    ],
    [
      "a merge of three",
      { "tokenizer.json": withModel({ merges: ["a b c"] }) },
      ["model.merges[0]", "a b c"],
    ],
    ["Unigram", { "tokenizer.json": withModel({ type: "Unigram" }) }, ["model.type", "Unigram"]],
    ["WordPiece", { "tokenizer.json": withModel({ type: "WordPiece" }) }, ["model.type", "WordPiece"]],
    ["dropout", { "tokenizer.json": withModel({ dropout: 0.1 }) }, ["model.dropout", "0.1"]],
    [
      "a suffix",
      { "tokenizer.json": withModel({ end_of_word_suffix: "</w>" }) },
      ["model.end_of_word_suffix", "</w>"],
    ],
    [
      "an unknown token that is none",
      { "tokenizer.json": withModel({ unk_token: "<nope>" }) },
      ["model.unk_token", "<nope>"],
    ],
    ["a regex", { "tokenizer.json": gpt2Json([], { pre_tokenizer: regex }) }, ["pre_tokenizer", "\\\\w+"]],
    [
      "a pre-tokenizer",
      { "tokenizer.json": gpt2Json([], { pre_tokenizer: { type: "Whitespace" } }) },
      ["pre_tokenizer", "Whitespace"],
    ],
    [
      "a normalizer",
      { "tokenizer.json": gpt2Json([], { normalizer: { type: "Precompiled" } }) },
      ["normalizer", "Precompiled"],
    ],
    [
      "a decoder",
      { "tokenizer.json": gpt2Json([], { decoder: { type: "WordPiece" } }) },
      ["decoder", "WordPiece"],
    ],
    [
      "a post-processor",
      { "tokenizer.json": gpt2Json([], { post_processor: { type: "Odd" } }) },
      ["post_processor", "Odd"],
    ],
    [
      "normalizers that each double what the one before has made",
      {
        "tokenizer.json": gpt2Json([], {
          normalizer: {
            type: "Sequence",
            normalizers: new Array(12).fill({ type: "Replace", pattern: { String: "a" }, content: "aa" }),
          },
        }),
      },
      ["normalizer", "4096 times as long"],
    ],
    [
      "an added token with another's id",
      { "tokenizer.json": gpt2Json([{ content: "<x>", id: 5 }]) },
      ["added_tokens[1]", "id 5", '"<x>"', '"&"'],
    ],
    [
      "an added token with another id",
      { "tokenizer.json": gpt2Json([{ content: "\u0120the", id: 50257 }]) },
      ["added_tokens[1]", "50257", "262"],
    ],
    [
      "an added token far off",
      { "tokenizer.json": gpt2Json([{ content: "<x>", id: 50290 }]) },
      ["no token", "50257"],
    ],
    [
      "a config that contradicts",
      {
        "tokenizer.json": gpt2Json(),
        "tokenizer_config.json": { added_tokens_decoder: { 7: { content: "<|endoftext|>" } } },
      },
      ["tokenizer_config.json", "7", "50256"],
    ],
  ])("%s", async (_, files, parts) => {
    const error: Error = await convert(files).then(
      () => expect.unreachable(),
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ name: "EdgeformerError" });
    for (const part of parts) expect(error.message).toContain(part);
    expect(error.message).not.toContain("\n");
    expect(error.message.length).toBeLessThan(400);
  });

  test("an embedding that is smaller than the vocabulary", async () => {
    await expect(convert({ "tokenizer.json": gpt2Json() }, 1000)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/tokenizer\.json: model\.vocab .*1000 rows/),
    });
  });
});

test("a table that cuts otherwise than the reference is refused with the first text on which they differ", async () => {
  const json = gpt2Json();
  const description = describeTokenizerJson(json);
  const [first, second, ...rest] = description.merges;
  const swapped = { ...description, merges: [...rest, second!, first!] };
  const tokenizer = parseTokenizerTable(compileTokenizer(swapped));
  await expect(proveTokenizer(tokenizer, swapped, json, "tokenizer.json")).rejects.toMatchObject({
    code: "unsupported_model",
    message: expect.stringMatching(
      /^tokenizer\.json: the tokenizer cannot be reproduced: of ".+" it makes \[/,
    ),
  });
});

test("a step that JavaScript's reference is known to get wrong is no reason to refuse", async () => {
  // It takes only ASCII digits for digits; tokenizers 0.23.3 gives these ids.
  const digits = { type: "Digits", individual_digits: true };
  const pretokenizers = [digits, { type: "ByteLevel", add_prefix_space: false, use_regex: true }];
  const tokenizer = await open({
    "tokenizer.json": gpt2Json([], { pre_tokenizer: { type: "Sequence", pretokenizers } }),
  });
  expect(tokenizer.encode("12\u0663\u0664")).toEqual([16, 17, 149, 96, 149, 97]);
});
