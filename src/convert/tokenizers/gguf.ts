// The vocabulary inside a GGUF file, as the tokenizer.json that says the same.

import type { TokenizerDescription } from "./description.ts";
import type { GgufVocabulary } from "./gguf-tokenizer.ts";
import { damaged, shown, unsupported } from "./json-value.ts";
import { BYTE_LEVEL, DIGITS_THEN_BYTE_LEVEL, LLAMA3_PRE_TOKENIZER, QWEN2_PRE_TOKENIZER } from "./patterns.ts";
import { describeTokenizerJson, type TokenizerJson } from "./tokenizer-json.ts";
import { scoredJson, TYPE, templateProcessing, typedVocabulary } from "./typed-vocabulary.ts";

interface Pre {
  pre_tokenizer: unknown;
  normalizer?: unknown;
  ignore_merges?: boolean;
  /** What `add_bos_token` is where the file does not say. */
  addBos?: boolean;
}

const LLAMA3: Pre = { pre_tokenizer: LLAMA3_PRE_TOKENIZER, ignore_merges: true, addBos: true };
/** llama.cpp leaves the normalizer out; Qwen's own tokenizer has it. */
const QWEN2: Pre = { pre_tokenizer: QWEN2_PRE_TOKENIZER, normalizer: { type: "NFC" } };

/** The pre-tokenizers by llama.cpp's names for them, where we have the pattern. */
const PRE = new Map<string, Pre>([
  ...["gpt-2", "phi-2", "mpt", "olmo"].map((name): [string, Pre] => [name, { pre_tokenizer: BYTE_LEVEL }]),
  ...["smollm", "starcoder", "refact"].map((name): [string, Pre] => [
    name,
    { pre_tokenizer: DIGITS_THEN_BYTE_LEVEL },
  ]),
  ...["llama-bpe", "llama3", "llama-v3"].map((name): [string, Pre] => [name, LLAMA3]),
  ...["qwen2", "deepseek-r1-qwen"].map((name): [string, Pre] => [name, QWEN2]),
]);

/** Ids of BOS and the like, under the names that templates have for them. */
function namedIds({ bosId, eosId, unknownId, padId }: GgufVocabulary): Record<string, number> {
  const ids = { bos_token: bosId, eos_token: eosId, unk_token: unknownId, pad_token: padId };
  return Object.fromEntries(
    Object.entries(ids).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}

/** Reads the vocabulary: its tokenizer.json, names of special tokens, and priorities where merges share them. */
export function readGgufTokenizer(gguf: GgufVocabulary): {
  json: TokenizerJson;
  names: Record<string, string>;
  ranks?: number[];
} {
  const { file, model, tokens, tokenTypes, scores } = gguf;
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
  const vocabulary = typedVocabulary(tokens, types, file, "tokenizer.ggml.tokens");
  if (model === "llama") {
    if (!scores) damaged(file, "tokenizer.ggml.scores is missing");
    if (gguf.removeExtraWhitespaces)
      unsupported(file, "tokenizer.ggml.remove_extra_whitespaces is true, which is not known");
    const scored = scoredJson(vocabulary, {
      scores,
      unknownId: named.unk_token,
      prefixed: gguf.addSpacePrefix ?? true,
      post_processor: around(true),
    });
    return { ...scored, names };
  }
  if (model !== "gpt2")
    unsupported(file, `tokenizer.ggml.model is ${shown(model)}, and only "gpt2" and "llama" are known`);
  const pre = PRE.get(gguf.pre ?? "");
  if (!pre)
    unsupported(
      file,
      `tokenizer.ggml.pre is ${shown(gguf.pre)}, and only ${[...PRE.keys()].join(", ")} are known`,
    );
  if (!gguf.merges) damaged(file, "tokenizer.ggml.merges is missing");
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
export function describeGgufTokenizer(gguf: GgufVocabulary): TokenizerDescription {
  const { json, names, ranks } = readGgufTokenizer(gguf);
  return { ...describeTokenizerJson(json, names, gguf.file), ...(ranks && { ranks }) };
}
