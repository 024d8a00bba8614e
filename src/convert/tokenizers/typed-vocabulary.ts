// Vocabularies whose tokens have types and scores, as SentencePiece's model files and GGUF keep them, as tokenizer.json.

import { damaged, shown, unsupported } from "./json-value.ts";
import type { TokenizerJson } from "./tokenizer-json.ts";

/** Types of tokens (`SentencePiece.Type` in sentencepiece_model.proto, `LLAMA_TOKEN_TYPE` in llama.h). */
export const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const MARK = "\u2581";

/**
 * Every token is looked at in all pairs of parts: the squares of the lengths of all together. Gemma's 262,144 tokens have
 * 30 million.
 */
const MAX_SQUARES = 2 ** 29;
/** Pairs of which a token can be made, in the mean; published vocabularies have two to five. */
const MAX_PAIRS = 32;

export interface TypedVocabulary {
  tokens: readonly string[];
  types: readonly number[];
  ids: Map<string, number>;
  file: string;
  /** Control tokens and those that the user defined, as tokenizer.json lists them. */
  added_tokens: { id: number; content: string; special: boolean }[];
}

/** @param field where `file` has the tokens, for messages */
export function typedVocabulary(
  tokens: readonly string[],
  types: readonly number[],
  file: string,
  field: string,
): TypedVocabulary {
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    const other = ids.get(token);
    if (other !== undefined)
      damaged(file, `${field} has ${shown(token)} twice, with the ids ${other} and ${id}`);
    ids.set(token, id);
  });
  const added_tokens = tokens.flatMap((content, id) => {
    const special = types[id] === TYPE.control || types[id] === TYPE.unknown;
    if (content === "" || (!special && types[id] !== TYPE.userDefined)) return [];
    return [{ id, content, special, normalized: false, lstrip: false, rstrip: false, single_word: false }];
  });
  return { tokens, types, ids, file, added_tokens };
}

/** The post-processor that puts ids before and behind a text; null for none. */
export function templateProcessing(
  prefix: number[],
  suffix: number[],
  tokens: readonly (string | undefined)[],
): unknown {
  if (prefix.length + suffix.length === 0) return null;
  const special = (id: number) => ({ SpecialToken: { id: tokens[id], type_id: 0 } });
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  return {
    type: "TemplateProcessing",
    single: [...prefix.map(special), text("A"), ...suffix.map(special)],
    pair: [text("A"), text("B")],
    special_tokens: Object.fromEntries(
      [...prefix, ...suffix].map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}

interface Merge {
  left: string;
  right: string;
  score: number;
}

/**
 * SentencePiece has no list of merges: two neighbours become one where their texts together are a token, the token of
 * the highest score first. So a merge is every way to make a token of two others. Control tokens and bytes are no text.
 */
function scoredMerges({ tokens, types, ids, file }: TypedVocabulary, scores: ArrayLike<number>): Merge[] {
  if (tokens.reduce((sum, { length }) => sum + length ** 2, 0) > MAX_SQUARES)
    unsupported(file, "its tokens are too long together to be looked at in all their parts");
  const isText = (id: number | undefined) =>
    id !== undefined && types[id] !== TYPE.control && types[id] !== TYPE.unknown && types[id] !== TYPE.byte;
  const merges: Merge[] = [];
  tokens.forEach((text, id) => {
    if (!isText(id)) return;
    if (merges.length > MAX_PAIRS * tokens.length)
      unsupported(file, `its tokens can be made of others in more than ${MAX_PAIRS} ways each`);
    let at = 0;
    for (const character of text) {
      at += character.length;
      const [left, right] = [text.slice(0, at), text.slice(at)];
      if (right !== "" && isText(ids.get(left)) && isText(ids.get(right)))
        merges.push({ left, right, score: scores[id]! });
    }
  });
  return merges.sort((a, b) => b.score - a.score || b.left.length - a.left.length);
}

export interface ScoredOptions {
  /** The higher, the earlier a token is merged. */
  scores: ArrayLike<number>;
  unknownId: number | undefined;
  /** A text begins with a space. */
  prefixed: boolean;
  /** What follows a special token does not (transformers' `legacy: false`). */
  firstOnly?: boolean;
  post_processor: unknown;
}

/** The tokenizer.json, as transformers writes it for Llama 2, and the priorities of its merges. */
export function scoredJson(
  vocabulary: TypedVocabulary,
  options: ScoredOptions,
): { json: TokenizerJson; ranks: number[] } {
  const { prefixed, firstOnly = false } = options;
  const merges = scoredMerges(vocabulary, options.scores);
  // Merges of one score have one priority, so that the leftmost comes first.
  const ranks: number[] = [];
  merges.forEach(({ score }, i) => {
    ranks.push(i > 0 && merges[i - 1]!.score === score ? ranks[i - 1]! : i);
  });
  const replace = (from: string, content: string) => ({
    type: "Replace",
    pattern: { String: from },
    content,
  });
  const normalizers = [...(prefixed ? [{ type: "Prepend", prepend: MARK }] : []), replace(" ", MARK)];
  const metaspace = {
    type: "Metaspace",
    replacement: MARK,
    prepend_scheme: prefixed ? "first" : "never",
    split: false,
  };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  const json = {
    added_tokens: vocabulary.added_tokens,
    normalizer: firstOnly ? null : { type: "Sequence", normalizers },
    pre_tokenizer: firstOnly ? metaspace : null,
    post_processor: options.post_processor,
    decoder: {
      type: "Sequence",
      decoders: [
        replace(MARK, " "),
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefixed ? [strip] : []),
      ],
    },
    model: {
      type: "BPE",
      unk_token: options.unknownId === undefined ? null : vocabulary.tokens[options.unknownId]!,
      fuse_unk: true,
      byte_fallback: vocabulary.types.includes(TYPE.byte),
      vocab: Object.fromEntries(vocabulary.ids),
      merges: merges.map(({ left, right }) => [left, right]),
    },
  };
  return { json, ranks };
}
