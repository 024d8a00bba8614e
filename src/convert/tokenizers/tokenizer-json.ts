// tokenizer.json, the format of Hugging Face's tokenizers library, as a description. Components that are not known are
// refused by name.

import { normalize, type TokenizerSettings } from "../../text/tokenizer-settings.ts";
import { type AddedWord, MAX_TOKENS } from "../../text/tokenizer-table.ts";
import { decoderOf, normalizerOf, postProcessorOf, preTokenizerOf } from "./components.ts";
import { BYTE_ALPHABET, bytesOfSpelling, type TokenizerDescription } from "./description.ts";
import { damaged, isObject, type JsonObject, shown, unsupported } from "./json-value.ts";

const encoder = new TextEncoder();
const MARK = "\u2581";

/** A tokenizer.json; what it holds is checked as it is read. */
export type TokenizerJson = JsonObject;

/** The token that stands for a byte in SentencePiece's vocabularies. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

function tokenId(value: unknown, file: string, field: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value >= MAX_TOKENS)
    damaged(file, `${field} must be a token id below ${MAX_TOKENS}, not ${shown(value)}`);
  return value;
}

function readVocabulary(model: JsonObject, file: string): Map<string, number> {
  const { type, vocab } = model;
  // Files of before version 0.10 have no type.
  if (type !== "BPE" && !(type === undefined && Array.isArray(model.merges)))
    unsupported(file, `model.type is ${shown(type)}, and only BPE is known`);
  if (!isObject(vocab)) damaged(file, `model.vocab must be an object, not ${shown(vocab)}`);
  const ids = new Map<string, number>();
  const taken = new Map<number, string>();
  for (const [token, value] of Object.entries(vocab)) {
    const id = tokenId(value, file, `model.vocab[${shown(token)}]`);
    const other = taken.get(id);
    if (other !== undefined)
      damaged(file, `model.vocab gives id ${id} to both ${shown(other)} and ${shown(token)}`);
    taken.set(id, token);
    ids.set(token, id);
  }
  return ids;
}

function readMerges(model: JsonObject, vocabulary: Map<string, number>, file: string) {
  const { merges } = model;
  if (!Array.isArray(merges)) damaged(file, `model.merges must be a list, not ${shown(merges)}`);
  const read = new Map<string, { left: number; right: number; result: number }>();
  merges.forEach((merge: unknown, i) => {
    const halves = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(halves) || halves.length !== 2 || !halves.every((half) => typeof half === "string"))
      damaged(file, `model.merges[${i}] must be two tokens, not ${shown(merge)}`);
    const [first, second] = halves as [string, string];
    const [left, right, result] = [first, second, first + second].map((token) => {
      const id = vocabulary.get(token);
      if (id === undefined)
        damaged(file, `model.merges[${i}] names ${shown(token)}, which is not in model.vocab`);
      return id;
    }) as [number, number, number];
    // Of two merges of one pair the later one counts.
    const pair = `${left} ${right}`;
    read.delete(pair);
    read.set(pair, { left, right, result });
  });
  return [...read.values()];
}

function readAdded(json: TokenizerJson, vocabulary: Map<string, number>, file: string): AddedWord[] {
  const entries = json.added_tokens ?? [];
  if (!Array.isArray(entries)) damaged(file, `added_tokens must be a list, not ${shown(entries)}`);
  const spelled = new Map([...vocabulary].map(([token, id]) => [id, token]));
  const words = new Map<string, AddedWord>();
  entries.forEach((entry: unknown, i) => {
    const field = `added_tokens[${i}]`;
    if (!isObject(entry) || typeof entry.content !== "string")
      damaged(file, `${field} must be a token, not ${shown(entry)}`);
    const { content } = entry;
    if (content === "") return;
    const id = tokenId(entry.id, file, `${field}.id`);
    const known = vocabulary.get(content) ?? words.get(content)?.id;
    if (known !== undefined && known !== id)
      damaged(file, `${field} gives ${shown(content)} the id ${id}, but it already has the id ${known}`);
    const other = spelled.get(id);
    if (other !== undefined && other !== content)
      damaged(file, `${field} gives id ${id} to ${shown(content)}, but ${shown(other)} already has it`);
    spelled.set(id, content);
    const special = entry.special === true;
    words.set(content, {
      id,
      content,
      special,
      lstrip: entry.lstrip === true,
      rstrip: entry.rstrip === true,
      singleWord: entry.single_word === true,
      normalized: typeof entry.normalized === "boolean" ? entry.normalized : !special,
    });
  });
  return [...words.values()];
}

function checkUnused(model: JsonObject, file: string): void {
  for (const field of ["continuing_subword_prefix", "end_of_word_suffix"])
    if (model[field] !== undefined && model[field] !== null && model[field] !== "")
      unsupported(
        file,
        `model.${field} is ${shown(model[field])}, and only tokenizers without one are known`,
      );
  if (model.dropout) unsupported(file, `model.dropout is ${shown(model.dropout)}, which makes ids random`);
}

function readFallback(
  model: JsonObject,
  vocabulary: Map<string, number>,
  file: string,
): number[] | undefined {
  if (model.byte_fallback !== true) return undefined;
  return Array.from({ length: 256 }, (_, byte) => {
    const id = vocabulary.get(byteToken(byte));
    if (id === undefined)
      damaged(file, `model.byte_fallback is true, but ${byteToken(byte)} is not in model.vocab`);
    return id;
  });
}

/** The byte that a token of a SentencePiece vocabulary stands for; undefined for one that is text. */
function byteOfToken(token: string): number | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : undefined;
}

/** Bytes of tokens, undefined where an id has none. */
function spell(
  vocabulary: Map<string, number>,
  added: AddedWord[],
  settings: TokenizerSettings,
  decoder: ReturnType<typeof decoderOf>,
): (Uint8Array | undefined)[] {
  const spellings: (Uint8Array | undefined)[] = [];
  const text = (token: string) => {
    const byte = decoder.byteTokens ? byteOfToken(token) : undefined;
    return byte === undefined ? encoder.encode(token.replaceAll(MARK, " ")) : Uint8Array.of(byte);
  };
  for (const [token, id] of vocabulary) spellings[id] = decoder.bytes ? bytesOfSpelling(token) : text(token);
  for (const { id, content, normalized } of added)
    spellings[id] = decoder.bytes
      ? encoder.encode(content)
      : text(normalized ? normalize(content, settings) : content);
  return spellings;
}

/**
 * @param names what `bos_token` and the like are spelled as
 * @param file the name of the file, for messages
 */
export function describeTokenizerJson(
  json: TokenizerJson,
  names: Record<string, string> = {},
  file = "tokenizer.json",
): TokenizerDescription {
  const { model } = json;
  if (!isObject(model)) damaged(file, `model must be an object, not ${shown(model)}`);
  const vocabulary = readVocabulary(model, file);
  checkUnused(model, file);
  const added = readAdded(json, vocabulary, file);
  const preTokenizer = preTokenizerOf(json.pre_tokenizer, file);
  const decoder = decoderOf(json.decoder, preTokenizer.bytes, file);
  const settings: TokenizerSettings = {
    normalizer: normalizerOf(json.normalizer, file),
    preTokenizer: preTokenizer.steps,
    strip: decoder.strip,
    ...postProcessorOf(json.post_processor, file),
    names,
  };
  const spellings = spell(vocabulary, added, settings, decoder);
  if (spellings.length === 0) damaged(file, "model.vocab is empty");
  const hole = Array.from(spellings).indexOf(undefined);
  if (hole !== -1)
    damaged(file, `no token has the id ${hole}, but there is one with the id ${spellings.length - 1}`);
  for (const id of [...settings.prefix, ...settings.suffix])
    if (id >= spellings.length)
      damaged(file, `post_processor names token ${id}, which is not in the vocabulary`);

  const symbolIds = new Map<number, number>();
  if (preTokenizer.bytes)
    BYTE_ALPHABET.forEach((character, byte) => {
      const id = vocabulary.get(character);
      if (id !== undefined) symbolIds.set(byte, id);
    });
  else
    for (const [token, id] of vocabulary) {
      const point = token.codePointAt(0);
      if (point !== undefined && String.fromCodePoint(point) === token) symbolIds.set(point, id);
    }
  const fallback = readFallback(model, vocabulary, file);
  if (fallback && preTokenizer.bytes)
    unsupported(file, "model.byte_fallback is true beside a ByteLevel pre-tokenizer");
  const ignoreMerges = model.ignore_merges === true;
  if (ignoreMerges && !preTokenizer.bytes)
    unsupported(file, "model.ignore_merges is true without a ByteLevel pre-tokenizer");
  const { unk_token } = model;
  const unknown = typeof unk_token === "string" ? vocabulary.get(unk_token) : undefined;
  if (typeof unk_token === "string" && unknown === undefined)
    damaged(file, `model.unk_token is ${shown(unk_token)}, which is not in model.vocab`);
  return {
    spellings: spellings as Uint8Array[],
    symbols: preTokenizer.bytes ? "bytes" : "codePoints",
    symbolIds,
    merges: readMerges(model, vocabulary, file),
    ...(fallback && { fallback }),
    ...(unknown !== undefined && { unknown }),
    fuseUnknown: model.fuse_unk === true,
    ignoreMerges,
    added,
    settings,
  };
}
