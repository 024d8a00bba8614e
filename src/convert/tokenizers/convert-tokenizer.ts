// From a checkpoint's files to tokenizer.bin: read, amended, compiled, proven.

import { parseTokenizerTable } from "../../text/tokenizer.ts";
import { type CheckpointSource, MAX_TOKENIZER_BYTES, readFileOf, readJson } from "../inputs/files.ts";
import { readChatTemplates } from "./chat-template.ts";
import { compileTokenizer } from "./compile.ts";
import type { TokenizerDescription } from "./description.ts";
import { readGgufTokenizer } from "./gguf.ts";
import type { GgufVocabulary } from "./gguf-tokenizer.ts";
import { damaged, isObject, type JsonObject, shown, unsupported } from "./json-value.ts";
import { BYTE_LEVEL, QWEN2_PRE_TOKENIZER } from "./patterns.ts";
import { proveTokenizer } from "./prove.ts";
import { readSentencePiece } from "./sentencepiece.ts";
import { amendTokenizer, namedTokens, type TokenizerConfig, tokenizerClass } from "./tokenizer-config.ts";
import { describeTokenizerJson, type TokenizerJson } from "./tokenizer-json.ts";

export interface ConvertedTokenizer {
  /** tokenizer.bin; null for a model that takes and gives token ids only. */
  table: Uint8Array | null;
  /** Jinja template of conversations. */
  chatTemplate?: string;
  /** Other templates, by what they are for: "tool_use", "rag" … */
  namedTemplates?: Record<string, string>;
  /** Sentences for whoever converts. */
  warnings: string[];
}

export interface TokenizerNeeds {
  /** Rows of the model's embedding: there can be no more ids. */
  rows: number;
  /** What config.json names, for templates that ask where the tokenizer's own files are silent. */
  bosTokenId?: number | null;
  eosTokenId?: number | null;
  /** The table of GPT-2's own vocabulary, for checkpoints of its size that come without tokenizer files. */
  gpt2Table: () => Promise<Uint8Array>;
}

/** Vocabulary sizes that are GPT-2's when no file says otherwise: its own, and padded to a multiple of 64. */
const GPT2_SIZES = [50257, 50304];

/** A tokenizer as its main file has it. */
interface Found {
  file: string;
  json: TokenizerJson;
  names?: Record<string, string>;
  ranks?: number[];
}

async function readObject(source: CheckpointSource, name: string): Promise<JsonObject | undefined> {
  const value = await readJson(source, name);
  if (value === undefined) return undefined;
  return isObject(value) ? value : damaged(name, `it must be an object, not ${shown(value)}`);
}

/** merges.txt: a line of two tokens each, below a line with a version. */
async function readMerges(source: CheckpointSource): Promise<string[]> {
  const file = await readFileOf(source, "merges.txt", MAX_TOKENIZER_BYTES);
  if (file === undefined) damaged("merges.txt", "it is missing beside vocab.json");
  const lines = new TextDecoder().decode(file).split(/\r?\n/);
  if (lines[0]?.startsWith("#version")) lines.shift();
  return lines.filter((line) => line !== "");
}

/** What transformers makes of vocab.json and merges.txt, by class. */
const CLASSES: Record<string, Pick<JsonObject, "normalizer" | "pre_tokenizer">> = {
  GPT2Tokenizer: { normalizer: null, pre_tokenizer: BYTE_LEVEL },
  Qwen2Tokenizer: { normalizer: { type: "NFC" }, pre_tokenizer: QWEN2_PRE_TOKENIZER },
};

async function findTokenizer(source: CheckpointSource, files: TokenizerConfig): Promise<Found | undefined> {
  const json = await readObject(source, "tokenizer.json");
  if (json) return { file: "tokenizer.json", json };
  const vocab = await readObject(source, "vocab.json");
  if (vocab) {
    const name = tokenizerClass(files) ?? "GPT2Tokenizer";
    const parts = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
    if (!parts)
      unsupported(
        "tokenizer_config.json",
        `tokenizer_class is ${shown(name)}, of which a vocab.json alone does not say how texts are cut; a tokenizer.json does`,
      );
    const model = { type: "BPE", unk_token: null, vocab, merges: await readMerges(source) };
    return { file: "vocab.json", json: { ...parts, decoder: BYTE_LEVEL, model } };
  }
  const pieces = await readFileOf(source, "tokenizer.model", MAX_TOKENIZER_BYTES);
  if (pieces === undefined) return undefined;
  const { config } = files;
  const options = {
    addBos: config.add_bos_token !== false,
    addEos: config.add_eos_token === true,
    legacy: config.legacy !== false,
  };
  return { file: "tokenizer.model", ...readSentencePiece(pieces, options) };
}

/** Leaves out added words that the embedding has no row for, and refuses a vocabulary that is larger. */
function fitRows(json: TokenizerJson, rows: number, file: string, warnings: string[]): TokenizerJson {
  const vocab = isObject(json.model) && isObject(json.model.vocab) ? json.model.vocab : {};
  const [token, id] = Object.entries(vocab).find(([, value]) => Number(value) >= rows) ?? [];
  if (token !== undefined)
    damaged(
      file,
      `model.vocab gives ${shown(token)} the id ${shown(id)}, but the model's embedding has ${rows} rows`,
    );
  const added = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  const kept = added.filter((entry: unknown) => {
    if (!isObject(entry) || !(Number(entry.id) >= rows)) return true;
    warnings.push(
      `the added token ${shown(entry.content)} (${shown(entry.id)}) has no embedding and is left out`,
    );
    return false;
  });
  return { ...json, added_tokens: kept };
}

/** Spelled out, what config.json names. */
function spelling(description: TokenizerDescription, id: number | null | undefined): string | undefined {
  const bytes = typeof id === "number" ? description.spellings[id] : undefined;
  return bytes && new TextDecoder().decode(bytes);
}

async function compileAndProve(
  { json, ranks, file }: Found,
  names: Record<string, string>,
  needs: Pick<TokenizerNeeds, "bosTokenId" | "eosTokenId">,
): Promise<Uint8Array> {
  const description = describeTokenizerJson(json, names, file);
  const [bos, eos] = [spelling(description, needs.bosTokenId), spelling(description, needs.eosTokenId)];
  if (bos !== undefined) names.bos_token ??= bos;
  if (eos !== undefined) names.eos_token ??= eos;
  const complete = { ...description, ...(ranks && { ranks }) };
  const table = compileTokenizer(complete);
  await proveTokenizer(parseTokenizerTable(table), complete, json, file);
  return table;
}

/**
 * The tokenizer of a checkpoint in Hugging Face's layout.
 *
 * @throws EdgeformerError `invalid_model` for damaged files, `unsupported_model` for a tokenizer that is not known or
 *   cannot be reproduced, each naming file, field and value
 */
export async function convertTokenizer(
  source: CheckpointSource,
  needs: TokenizerNeeds,
): Promise<ConvertedTokenizer> {
  const { template, named } = await readChatTemplates(source);
  const files: TokenizerConfig = {
    config: (await readObject(source, "tokenizer_config.json")) ?? {},
    specials: (await readObject(source, "special_tokens_map.json")) ?? {},
    added: (await readObject(source, "added_tokens.json")) ?? {},
    modelType: (await readObject(source, "config.json"))?.model_type,
  };
  const warnings: string[] = [];
  const result = (table: Uint8Array | null): ConvertedTokenizer => ({
    table,
    warnings,
    ...(template === undefined ? {} : { chatTemplate: template }),
    namedTemplates: named,
  });
  const found = await findTokenizer(source, files);
  if (!found && GPT2_SIZES.includes(needs.rows)) {
    warnings.push(
      `there are no tokenizer files; the vocabulary has the size of GPT-2's (${needs.rows}), whose tokenizer is taken`,
    );
    return result(await needs.gpt2Table());
  }
  if (!found) {
    warnings.push(
      `there are no tokenizer files and ${needs.rows} is not the size of GPT-2's vocabulary: the model takes and gives token ids only`,
    );
    return result(null);
  }
  // What transformers takes a vocab.json for that nothing else explains.
  if (found.file === "vocab.json") files.config = { tokenizer_class: "GPT2Tokenizer", ...files.config };
  const names = { ...found.names, ...namedTokens(files) };
  const amended = amendTokenizer(found.json, files, names, needs.rows);
  const json = fitRows(amended, needs.rows, found.file, warnings);
  return result(await compileAndProve({ ...found, json }, names, needs));
}

/**
 * The tokenizer inside a GGUF file.
 *
 * @throws EdgeformerError as `convertTokenizer` does, naming the key
 */
export async function convertGgufTokenizer(gguf: GgufVocabulary, rows: number): Promise<Uint8Array> {
  if (gguf.tokens.length > rows)
    damaged(
      gguf.file,
      `tokenizer.ggml.tokens has ${gguf.tokens.length} entries, but the model's embedding has ${rows} rows`,
    );
  const { json, names, ranks } = readGgufTokenizer(gguf);
  return compileAndProve({ file: gguf.file, json, ...(ranks && { ranks }) }, names, {});
}
