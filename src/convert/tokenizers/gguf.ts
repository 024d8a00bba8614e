// The vocabulary inside a GGUF file, as the tokenizer.json that says the same.

import type { TokenizerDescription } from "./description.ts";
import { damaged, shown, unsupported } from "./json-value.ts";
import { describeTokenizerJson, type TokenizerJson } from "./tokenizer-json.ts";
import { scoredJson, TYPE, templateProcessing, typedVocabulary } from "./typed-vocabulary.ts";

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

const FILE = "GGUF";

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
        FILE,
        `tokenizer.ggml.${name.replace("unk", "unknown").replace("pad", "padding")}_id is ${id}, but there are ${gguf.tokens.length} tokens`,
      );
    ids[name] = id;
  }
  return ids;
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
      damaged(
        FILE,
        `tokenizer.ggml.${what} has ${list.length} entries, but there are ${tokens.length} tokens`,
      );
  const named = namedIds(gguf);
  const around = (defaults: boolean) => {
    const bos = (gguf.addBos ?? defaults) && named.bos_token !== undefined ? [named.bos_token] : [];
    const eos = gguf.addEos === true && named.eos_token !== undefined ? [named.eos_token] : [];
    return templateProcessing(bos, eos, tokens);
  };
  const names = Object.fromEntries(Object.entries(named).map(([name, id]) => [name, tokens[id]!]));
  const types = Array.from(tokens, (_, id) =>
    tokenTypes === undefined && Object.values(named).includes(id)
      ? TYPE.control
      : (tokenTypes?.[id] ?? TYPE.normal),
  );
  const vocabulary = typedVocabulary(tokens, types, FILE, "tokenizer.ggml.tokens");
  if (model === "llama") {
    if (!scores) damaged(FILE, "tokenizer.ggml.scores is missing");
    const scored = scoredJson(vocabulary, {
      scores,
      unknownId: named.unk_token,
      prefixed: gguf.addSpacePrefix ?? true,
      post_processor: around(true),
    });
    return { ...scored, names };
  }
  if (model !== "gpt2")
    unsupported(FILE, `tokenizer.ggml.model is ${shown(model)}, and only "gpt2" and "llama" are known`);
  const pre = PRE.get(gguf.pre ?? "");
  if (!pre)
    unsupported(
      FILE,
      `tokenizer.ggml.pre is ${shown(gguf.pre)}, and only ${[...PRE.keys()].join(", ")} are known`,
    );
  if (!gguf.merges) damaged(FILE, "tokenizer.ggml.merges is missing");
  const json = {
    added_tokens: vocabulary.added_tokens,
    normalizer: pre.normalizer ?? null,
    pre_tokenizer: pre.pre_tokenizer,
    post_processor: around(pre.addBos === true),
    decoder: BYTE_LEVEL,
    model: {
      type: "BPE",
      unk_token: null,
      ignore_merges: pre.ignore_merges ?? false,
      vocab: Object.fromEntries(vocabulary.ids),
      merges: gguf.merges,
    },
  };
  return { json, names };
}

/**
 * @throws EdgeformerError `invalid_model` for a damaged vocabulary, `unsupported_model` for one that is not known,
 *   naming the key and the value
 */
export function describeGgufTokenizer(gguf: GgufTokenizer): TokenizerDescription {
  const { json, names, ranks } = readGgufTokenizer(gguf);
  return { ...describeTokenizerJson(json, names, FILE), ...(ranks && { ranks }) };
}
