import { readFile } from "node:fs/promises";
import { EdgeformerError } from "../../errors.ts";
import type { TokenizerInfo } from "../../format/manifest.ts";
import { type CheckpointSource, readJson } from "../inputs/files.ts";
import { gpt2Merge, gpt2Spelling, MERGES, VOCABULARY } from "./gpt2-vocabulary.ts";

const END_OF_TEXT = "<|endoftext|>";
/** Vocabulary sizes that are GPT-2's when no tokenizer file says otherwise: its own, and padded to a multiple of 64. */
const ASSUMED_SIZES = [VOCABULARY, 50304];

export interface DetectedTokenizer {
  tokenizer: TokenizerInfo;
  /** Jinja template of conversations. */
  chatTemplate?: string;
  /** Sentences for whoever converts. */
  warnings: string[];
}

/** What the tokenizer files say, in the spelling of vocab.json. */
interface TokenizerFiles {
  /** Which files, for messages. */
  from: string;
  vocabulary: Record<string, unknown>;
  /** "left right" in order of priority; undefined if there is no such file. */
  merges: string[] | undefined;
  /** Why texts would be cut differently, if they would. */
  difference: string | undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** tokenizer.json, the format of Hugging Face's tokenizers library. */
function fromTokenizerJson(value: unknown): TokenizerFiles {
  const { model, normalizer, pre_tokenizer } = isObject(value) ? value : {};
  if (!isObject(model) || !isObject(model.vocab))
    throw new EdgeformerError("invalid_model", "tokenizer.json has no model with a vocabulary");
  const merges = Array.isArray(model.merges)
    ? model.merges.map((pair) => (Array.isArray(pair) ? pair.join(" ") : String(pair)))
    : undefined;
  const steps = isObject(pre_tokenizer) ? [pre_tokenizer, ...[pre_tokenizer.pretokenizers].flat()] : [];
  const byteLevel = steps.filter(isObject).find(({ type }) => type === "ByteLevel");
  const difference =
    model.type !== "BPE" && model.type !== undefined
      ? `it is ${String(model.type)}`
      : normalizer
        ? "it normalizes texts"
        : byteLevel === undefined
          ? "it does not work on bytes"
          : byteLevel.add_prefix_space === true
            ? "it adds a space before texts"
            : undefined;
  return { from: "tokenizer.json", vocabulary: model.vocab, merges, difference };
}

async function readMerges(source: CheckpointSource): Promise<string[] | undefined> {
  const path = await source.file("merges.txt");
  if (path === undefined) return undefined;
  const lines = (await readFile(path, "utf8")).split(/\r?\n/);
  if (lines[0]?.startsWith("#version")) lines.shift();
  return lines.filter((line) => line !== "");
}

async function readTokenizerFiles(source: CheckpointSource): Promise<TokenizerFiles | undefined> {
  const vocabulary = await readJson(source, "vocab.json");
  if (vocabulary !== undefined) {
    if (!isObject(vocabulary)) throw new EdgeformerError("invalid_model", "vocab.json is not an object");
    return { from: "vocab.json", vocabulary, merges: await readMerges(source), difference: undefined };
  }
  const tokenizer = await readJson(source, "tokenizer.json");
  return tokenizer === undefined ? undefined : fromTokenizerJson(tokenizer);
}

/** Why a tokenizer is not GPT-2's; undefined if it is. */
function differenceFromGpt2({ vocabulary, merges, difference }: TokenizerFiles): string | undefined {
  if (difference !== undefined) return difference;
  for (let id = 0; id < VOCABULARY - 1; id++)
    if (vocabulary[gpt2Spelling(id)] !== id) return `token ${id} is another one`;
  if ((vocabulary[END_OF_TEXT] ?? VOCABULARY - 1) !== VOCABULARY - 1) return `${END_OF_TEXT} has another id`;
  if (merges === undefined) return undefined;
  if (merges.length !== MERGES) return `it has ${merges.length} merges instead of ${MERGES}`;
  for (const [i, merge] of merges.entries()) if (merge !== gpt2Merge(i)) return `merge ${i} is another one`;
  return undefined;
}

/** Tokens on top of GPT-2's, from every file that may name them. */
async function readAddedTokens(
  source: CheckpointSource,
  files: TokenizerFiles | undefined,
): Promise<Map<string, number>> {
  const added = new Map<string, number>();
  const add = (token: unknown, id: unknown) => {
    if (typeof token !== "string" || typeof id !== "number" || !Number.isInteger(id)) return;
    if (id >= VOCABULARY) added.set(token, id);
  };
  for (const [token, id] of Object.entries(files?.vocabulary ?? {})) add(token, id);
  const json = await readJson(source, "added_tokens.json");
  for (const [token, id] of Object.entries(isObject(json) ? json : {})) add(token, id);
  const config = await readJson(source, "tokenizer_config.json");
  const decoder = isObject(config) ? config.added_tokens_decoder : undefined;
  for (const [id, entry] of Object.entries(isObject(decoder) ? decoder : {}))
    if (isObject(entry)) add(entry.content, Number(id));
  const tokenizer = await readJson(source, "tokenizer.json");
  for (const entry of isObject(tokenizer) ? [tokenizer.added_tokens].flat() : [])
    if (isObject(entry)) add(entry.content, entry.id);
  return added;
}

/** chat_template.jinja, or the template in tokenizer_config.json: one text, or a list of which one is "default". */
async function readChatTemplate(source: CheckpointSource): Promise<string | undefined> {
  const path = await source.file("chat_template.jinja");
  if (path !== undefined) return readFile(path, "utf8");
  const config = await readJson(source, "tokenizer_config.json");
  const template = isObject(config) ? config.chat_template : undefined;
  if (typeof template === "string") return template;
  const named = Array.isArray(template)
    ? template.filter(isObject).find(({ name }) => name === "default")
    : undefined;
  return typeof named?.template === "string" ? named.template : undefined;
}

/**
 * Which tokenizer the checkpoint was trained with: GPT-2's if its files say so token by token, or none.
 *
 * @param vocabSize rows of the model's embedding
 */
export async function detectTokenizer(
  source: CheckpointSource,
  vocabSize: number,
): Promise<DetectedTokenizer> {
  const chatTemplate = await readChatTemplate(source);
  const result = (tokenizer: TokenizerInfo, warnings: string[]): DetectedTokenizer => ({
    tokenizer,
    warnings,
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
  });
  const idsOnly = (why: string) =>
    result({ type: "none" }, [`${why}: the model takes and gives token ids only`]);
  if (vocabSize < VOCABULARY) return idsOnly(`the vocabulary (${vocabSize} tokens) is not GPT-2's`);
  const files = await readTokenizerFiles(source);
  if (files === undefined && !ASSUMED_SIZES.includes(vocabSize))
    return idsOnly(`there are no tokenizer files and ${vocabSize} is not the size of GPT-2's vocabulary`);
  const difference = files && differenceFromGpt2(files);
  if (files && difference !== undefined)
    return idsOnly(`the tokenizer in ${files.from} is not GPT-2's (${difference})`);
  const warnings =
    files === undefined
      ? [
          `there are no tokenizer files; the vocabulary has the size of GPT-2's (${vocabSize}), whose tokenizer is taken`,
        ]
      : [];
  const added: Record<string, number> = {};
  for (const [token, id] of await readAddedTokens(source, files))
    if (id < vocabSize) added[token] = id;
    else warnings.push(`the added token ${JSON.stringify(token)} (${id}) has no embedding and is left out`);
  return result({ type: "r50k_base", added_tokens: added }, warnings);
}
