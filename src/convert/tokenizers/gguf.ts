// The vocabulary inside a GGUF file, as the tokenizer.json that says the same.

import { EdgeformerError } from "../../errors.ts";
import type { TokenizerDescription } from "./description.ts";
import { type ScoredPiece, scoredMerges, sharedRanks } from "./scores.ts";
import { describeTokenizerJson, type TokenizerJson } from "./tokenizer-json.ts";

/** What a GGUF file's `tokenizer.ggml.*` keys say. */
export interface GgufTokenizer {
  /** `model`: "gpt2" is byte-level BPE, "llama" is SentencePiece's. */
  model: string;
  /** `pre`: how a byte-level vocabulary cuts texts. */
  pre?: string | undefined;
  tokens: readonly string[];
  /** `token_type`: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. [all normal] */
  tokenTypes?: ArrayLike<number> | undefined;
  /** `scores`, of "llama": the higher, the earlier a token is merged. */
  scores?: ArrayLike<number> | undefined;
  /** `merges`, of "gpt2": "left right". */
  merges?: readonly string[] | undefined;
  bosId?: number | undefined;
  eosId?: number | undefined;
  unknownId?: number | undefined;
  padId?: number | undefined;
  addBos?: boolean | undefined;
  addEos?: boolean | undefined;
  addSpacePrefix?: boolean | undefined;
}

const FILE = "GGUF";
const TYPE = { unknown: 2, control: 3, userDefined: 4, byte: 6 };

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const split = (digits: string) => ({
  type: "Sequence",
  pretokenizers: [
    {
      type: "Split",
      behavior: "Isolated",
      invert: false,
      pattern: {
        Regex: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
      },
    },
    { ...BYTE_LEVEL, use_regex: false },
  ],
});
const DIGITS = { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, BYTE_LEVEL] };
const LLAMA3 = { pre_tokenizer: split("{1,3}"), ignore_merges: true, addBos: true };

interface Pre {
  pre_tokenizer: unknown;
  normalizer?: unknown;
  ignore_merges?: boolean;
  /** What `add_bos_token` is where the file does not say. */
  addBos?: boolean;
}

/** The pre-tokenizers that llama.cpp names, where we have the pattern. */
const PRE = new Map<string, Pre>([
  ...["gpt-2", "phi-2", "mpt", "olmo"].map((name): [string, Pre] => [name, { pre_tokenizer: BYTE_LEVEL }]),
  ...["smollm", "starcoder", "refact"].map((name): [string, Pre] => [name, { pre_tokenizer: DIGITS }]),
  ...["llama-bpe", "llama3", "llama-v3"].map((name): [string, Pre] => [name, LLAMA3]),
  // llama.cpp leaves the normalizer out; Qwen's own tokenizer has it.
  ...["qwen2", "deepseek-r1-qwen"].map((name): [string, Pre] => [
    name,
    { pre_tokenizer: split(""), normalizer: { type: "NFC" } },
  ]),
]);

function damaged(message: string): never {
  throw new EdgeformerError("invalid_model", `${FILE}: ${message}`);
}

function unsupported(message: string): never {
  throw new EdgeformerError("unsupported_model", `${FILE}: ${message}`);
}

/** Names and ids of BOS and the like, each checked. */
function namedIds(gguf: GgufTokenizer): Record<string, number> {
  const keys = {
    bos_token: "bosId",
    eos_token: "eosId",
    unk_token: "unknownId",
    pad_token: "padId",
  } as const;
  const ids: Record<string, number> = {};
  for (const [name, key] of Object.entries(keys)) {
    const id = gguf[key];
    if (id === undefined) continue;
    if (!Number.isInteger(id) || id < 0 || id >= gguf.tokens.length)
      damaged(
        `tokenizer.ggml.${name.replace("unk", "unknown").replace("pad", "padding")}_id is ${id}, but there are ${gguf.tokens.length} tokens`,
      );
    ids[name] = id;
  }
  return ids;
}

function template(prefix: number[], suffix: number[], tokens: readonly string[]) {
  const special = (id: number) => ({ SpecialToken: { id: tokens[id], type_id: 0 } });
  return {
    type: "TemplateProcessing",
    single: [...prefix.map(special), { Sequence: { id: "A", type_id: 0 } }, ...suffix.map(special)],
    pair: [],
    special_tokens: Object.fromEntries(
      [...prefix, ...suffix].map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}

/** Reads the vocabulary: its tokenizer.json, names of special tokens, and priorities where merges share them. */
export function readGgufTokenizer(gguf: GgufTokenizer): {
  json: TokenizerJson;
  names: Record<string, string>;
  ranks?: number[];
} {
  const { model, tokens, tokenTypes, scores } = gguf;
  for (const [what, list] of [
    ["token_type", tokenTypes],
    ["scores", scores],
  ] as const)
    if (list && list.length !== tokens.length)
      damaged(`tokenizer.ggml.${what} has ${list.length} entries, but there are ${tokens.length} tokens`);
  const vocab = new Map<string, number>();
  tokens.forEach((token, id) => {
    const other = vocab.get(token);
    if (other !== undefined)
      damaged(`tokenizer.ggml.tokens has ${JSON.stringify(token)} twice, as ${other} and ${id}`);
    vocab.set(token, id);
  });
  const named = namedIds(gguf);
  const type = (id: number) => tokenTypes?.[id] ?? 1;
  const isControl = (id: number) => type(id) === TYPE.control || type(id) === TYPE.unknown;
  const added_tokens = tokens.flatMap((content, id) => {
    const special = isControl(id) || (tokenTypes === undefined && Object.values(named).includes(id));
    if (content === "" || (!special && type(id) !== TYPE.userDefined)) return [];
    return [{ id, content, special, normalized: false, lstrip: false, rstrip: false, single_word: false }];
  });
  const around = (defaults: boolean) => {
    const bos = (gguf.addBos ?? defaults) && named.bos_token !== undefined ? [named.bos_token] : [];
    const eos = gguf.addEos === true && named.eos_token !== undefined ? [named.eos_token] : [];
    return bos.length + eos.length > 0 ? template(bos, eos, tokens) : null;
  };
  const names = Object.fromEntries(Object.entries(named).map(([name, id]) => [name, tokens[id]!]));
  const common = { type: "BPE", dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null };

  if (model === "gpt2") {
    const pre = PRE.get(gguf.pre ?? "");
    if (!pre)
      unsupported(
        `tokenizer.ggml.pre is ${JSON.stringify(gguf.pre)}, and only ${[...PRE.keys()].join(", ")} are known`,
      );
    if (!gguf.merges) damaged("tokenizer.ggml.merges is missing");
    const json = {
      added_tokens,
      normalizer: pre.normalizer ?? null,
      pre_tokenizer: pre.pre_tokenizer,
      post_processor: around(pre.addBos === true),
      decoder: BYTE_LEVEL,
      model: {
        ...common,
        unk_token: null,
        ignore_merges: pre.ignore_merges ?? false,
        vocab: Object.fromEntries(vocab),
        merges: gguf.merges,
      },
    };
    return { json, names };
  }
  if (model !== "llama")
    unsupported(`tokenizer.ggml.model is ${JSON.stringify(model)}, and only "gpt2" and "llama" are known`);
  if (!scores) damaged("tokenizer.ggml.scores is missing");
  const pieces = tokens.map(
    (text, id): ScoredPiece => ({
      text,
      score: scores[id]!,
      merges: !isControl(id) && type(id) !== TYPE.byte,
    }),
  );
  const merges = scoredMerges(pieces, vocab);
  const prefixed = gguf.addSpacePrefix ?? true;
  return {
    json: sentencePieceJson({
      vocab,
      merges: merges.map(({ left, right }) => [left, right]),
      unknown: named.unk_token === undefined ? null : tokens[named.unk_token]!,
      fallback: tokenTypes !== undefined && Array.from(tokenTypes).includes(TYPE.byte),
      prefixed,
      added_tokens,
      post_processor: around(true),
    }),
    names,
    ranks: sharedRanks(merges),
  };
}

/** The tokenizer.json of a SentencePiece vocabulary, as transformers writes it for Llama 2. */
export function sentencePieceJson(parts: {
  vocab: Map<string, number>;
  merges: [string, string][];
  unknown: string | null;
  fallback: boolean;
  prefixed: boolean;
  added_tokens: unknown[];
  post_processor: unknown;
}): TokenizerJson {
  const { vocab, merges, unknown, fallback, prefixed, added_tokens, post_processor } = parts;
  const replace = (from: string, content: string) => ({
    type: "Replace",
    pattern: { String: from },
    content,
  });
  const prepend = { type: "Prepend", prepend: "\u2581" };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    added_tokens,
    normalizer: { type: "Sequence", normalizers: [...(prefixed ? [prepend] : []), replace(" ", "\u2581")] },
    pre_tokenizer: null,
    post_processor,
    decoder: {
      type: "Sequence",
      decoders: [
        replace("\u2581", " "),
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefixed ? [strip] : []),
      ],
    },
    model: {
      type: "BPE",
      unk_token: unknown,
      fuse_unk: true,
      byte_fallback: fallback,
      vocab: Object.fromEntries(vocab),
      merges,
    },
  };
}

/**
 * @throws EdgeformerError `invalid_model` for a damaged vocabulary, `unsupported_model` for one that is not known,
 *   naming the key and the value
 */
export function describeGgufTokenizer(gguf: GgufTokenizer): TokenizerDescription {
  const { json, names, ranks } = readGgufTokenizer(gguf);
  return { ...describeTokenizerJson(json, names, FILE), ...(ranks && { ranks }) };
}
