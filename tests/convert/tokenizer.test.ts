import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { localSource } from "../../src/convert/inputs/files.ts";
import { detectTokenizer } from "../../src/convert/tokenizers/detect.ts";
import { gpt2Merge, gpt2Spelling, MERGES, VOCABULARY } from "../../src/convert/tokenizers/gpt2-vocabulary.ts";
import { openModel } from "../../src/node/index.ts";
import { gaussian } from "../reference/random.ts";
import { type RawTensor, safetensorsFile, temporaryDirectory } from "./checkpoints.ts";

const temporary = temporaryDirectory();
const VOCAB = Object.fromEntries(Array.from({ length: VOCABULARY }, (_, id) => [gpt2Spelling(id), id]));
const PAIRS = Array.from({ length: MERGES }, (_, i) => gpt2Merge(i));

let count = 0;

/** Detects the tokenizer of a directory with these files; objects are written as JSON. */
async function detect(files: Record<string, unknown>, vocabSize = VOCABULARY) {
  const directory = join(temporary, `tokenizer-${++count}`);
  mkdirSync(directory);
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(directory, name), typeof content === "string" ? content : JSON.stringify(content));
  return detectTokenizer((await localSource(directory))!, vocabSize);
}

const mergesText = (pairs: string[]) => `#version: 0.2\n${pairs.join("\n")}\n`;
const swapped = <T>(items: T[], a: number, b: number): T[] =>
  items.map((item, i) => (i === a ? items[b]! : i === b ? items[a]! : item));

const tokenizerJson = {
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
  model: { type: "BPE", vocab: VOCAB, merges: PAIRS.map((pair) => pair.split(" ")) },
};

test("the vocabulary is GPT-2's: its first and last entries as published", () => {
  expect(["!", "Ġthe", "Ċ", "Ġgazed", "<|endoftext|>"].map((token) => VOCAB[token])).toEqual([
    0, 262, 198, 50255, 50256,
  ]);
  expect(PAIRS.slice(0, 4)).toEqual(["Ġ t", "Ġ a", "h e", "i n"]);
  expect(PAIRS.at(-1)).toBe("Ġg azed");
  expect(new Set(PAIRS).size).toBe(MERGES);
});

test("GPT-2's own files are recognized without a word", async () => {
  const expected = { tokenizer: { type: "r50k_base", added_tokens: {} }, warnings: [] };
  expect(await detect({ "vocab.json": VOCAB, "merges.txt": mergesText(PAIRS) })).toEqual(expected);
  expect(await detect({ "tokenizer.json": tokenizerJson })).toEqual(expected);
  const joined = { ...tokenizerJson, model: { ...tokenizerJson.model, merges: PAIRS } };
  expect(await detect({ "tokenizer.json": joined })).toEqual(expected);
});

test.each<[string, Record<string, unknown>, string]>([
  ["two tokens swapped", { "vocab.json": { ...VOCAB, Ġthe: 198, Ċ: 262 } }, "token 198"],
  ["a token missing", { "vocab.json": { ...VOCAB, Ġgazed: undefined } }, "token 50255"],
  ["another end of text", { "vocab.json": { ...VOCAB, "<|endoftext|>": 0, "!": 0 } }, "another id"],
  [
    "two merges swapped",
    { "vocab.json": VOCAB, "merges.txt": mergesText(swapped(PAIRS, 10, 40_000)) },
    "merge 10",
  ],
  ["a merge missing", { "vocab.json": VOCAB, "merges.txt": mergesText(PAIRS.slice(1)) }, "49999 merges"],
  ["no bytes", { "tokenizer.json": { ...tokenizerJson, pre_tokenizer: { type: "Whitespace" } } }, "bytes"],
  [
    "a prefix",
    { "tokenizer.json": { ...tokenizerJson, pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } } },
    "adds a space",
  ],
  [
    "a normalizer",
    { "tokenizer.json": { ...tokenizerJson, normalizer: { type: "Lowercase" } } },
    "normalizes",
  ],
  [
    "another algorithm",
    { "tokenizer.json": { ...tokenizerJson, model: { ...tokenizerJson.model, type: "Unigram" } } },
    "Unigram",
  ],
])("a vocabulary with %s makes a model of token ids, and says why", async (_, files, reason) => {
  const { tokenizer, warnings } = await detect(files);
  expect(tokenizer).toEqual({ type: "none" });
  expect(warnings).toEqual([expect.stringContaining(reason)]);
  expect(warnings[0]).toContain("token ids only");
});

test("without files only the size can tell, and that is said", async () => {
  for (const size of [50257, 50304]) {
    const { tokenizer, warnings } = await detect({}, size);
    expect(tokenizer.type).toBe("r50k_base");
    expect(warnings[0]).toContain("no tokenizer files");
  }
  for (const size of [1003, 50256, 50258, 32000]) {
    const { tokenizer, warnings } = await detect({}, size);
    expect(tokenizer).toEqual({ type: "none" });
    expect(warnings[0]).toContain("token ids only");
  }
});

test("added tokens are kept from wherever they are named", async () => {
  const files = {
    "vocab.json": { ...VOCAB, "<|user|>": 50257 },
    "added_tokens.json": { "[PAD]": 50258 },
    "tokenizer_config.json": {
      added_tokens_decoder: { 50259: { content: "<sep>" }, 50256: { content: "<|endoftext|>" } },
    },
    "tokenizer.json": {
      ...tokenizerJson,
      added_tokens: [
        { id: 50260, content: "<cls>" },
        { id: 50261, content: "<late>" },
      ],
    },
  };
  const { tokenizer, warnings } = await detect(files, 50261);
  const added_tokens = { "<|user|>": 50257, "[PAD]": 50258, "<sep>": 50259, "<cls>": 50260 };
  expect(tokenizer).toEqual({ type: "r50k_base", added_tokens });
  expect(warnings).toEqual([expect.stringContaining('"<late>" (50261) has no embedding')]);
});

test("the chat template is kept", async () => {
  expect((await detect({ "chat_template.jinja": "{{ a }}" })).chatTemplate).toBe("{{ a }}");
  expect((await detect({ "tokenizer_config.json": { chat_template: "{{ b }}" } })).chatTemplate).toBe(
    "{{ b }}",
  );
  const named = [
    { name: "tools", template: "x" },
    { name: "default", template: "{{ c }}" },
  ];
  expect((await detect({ "tokenizer_config.json": { chat_template: named } })).chatTemplate).toBe("{{ c }}");
  expect((await detect({})).chatTemplate).toBeUndefined();
});

test.each(["vocab.json", "tokenizer.json"])("a damaged %s is an error", async (name) => {
  await expect(detect({ [name]: "{" })).rejects.toMatchObject({ code: "invalid_model" });
  await expect(detect({ [name]: "[]" })).rejects.toMatchObject({ code: "invalid_model" });
});

test("a model with an added token and a chat template converts, reads and writes them", async () => {
  const config = { model_type: "gpt2", n_embd: 16, n_head: 1, n_layer: 1, n_positions: 8, vocab_size: 50258 };
  const shapes: [string, number[]][] = [
    ["wte.weight", [50258, 16]],
    ["wpe.weight", [8, 16]],
    ["h.0.attn.c_attn.weight", [16, 48]],
    ["h.0.attn.c_attn.bias", [48]],
    ["h.0.attn.c_proj.weight", [16, 16]],
    ["h.0.mlp.c_fc.weight", [16, 64]],
    ["h.0.mlp.c_fc.bias", [64]],
    ["h.0.mlp.c_proj.weight", [64, 16]],
    ...[
      "h.0.ln_1.weight",
      "h.0.ln_1.bias",
      "h.0.attn.c_proj.bias",
      "h.0.ln_2.weight",
      "h.0.ln_2.bias",
      "h.0.mlp.c_proj.bias",
      "ln_f.weight",
      "ln_f.bias",
    ].map((name): [string, number[]] => [name, [16]]),
  ];
  const tensors = shapes.map(([name, shape], i): [string, RawTensor] => {
    const values = gaussian(
      shape.reduce((a, b) => a * b),
      i,
    );
    return [name, { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) }];
  });
  const source = join(temporary, "added");
  mkdirSync(source);
  writeFileSync(join(source, "config.json"), JSON.stringify(config));
  writeFileSync(join(source, "vocab.json"), JSON.stringify(VOCAB));
  writeFileSync(join(source, "added_tokens.json"), JSON.stringify({ "<|user|>": 50257 }));
  writeFileSync(join(source, "chat_template.jinja"), "{{ messages }}");
  writeFileSync(join(source, "model.safetensors"), safetensorsFile(Object.fromEntries(tensors)));
  const out = join(temporary, "added-model");
  const manifest = await convert({ source, out });
  expect(manifest.tokenizer).toEqual({ type: "r50k_base", added_tokens: { "<|user|>": 50257 } });
  const model = await openModel(out);
  expect(model.manifest.chat_template).toBe("{{ messages }}");
  expect(model.tokenizer?.decode([15496, 50257])).toBe("Hello<|user|>");
  const { ids } = await model.complete([50257], { maxTokens: 2, temperature: 0, ignoreEos: true });
  expect(ids).toHaveLength(2);
  model.dispose();
});
