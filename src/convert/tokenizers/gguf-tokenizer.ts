import { EdgeformerError } from "../../errors.ts";
import type { GgufMetadata } from "../formats/gguf-metadata.ts";
import type { ChatTemplates } from "./chat-template.ts";

/** ggml's kinds of token (`enum llama_token_type`). */
export const GGUF_TOKEN = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The tokenizer inside a GGUF file, as the file has it (`tokenizer.ggml.…`). */
export interface GgufVocabulary {
  /** What to call the file in errors. */
  file: string;
  /** "gpt2" (byte-level BPE), "llama" (SentencePiece), "bert", … */
  model: string;
  /** How texts are cut before merging, by llama.cpp's name: "smollm", "llama-bpe", "qwen2", … */
  pre: string | undefined;
  /** As many as the embedding's rows. */
  tokens: readonly string[];
  /** A kind of GGUF_TOKEN for each token; undefined if all are normal. */
  tokenTypes: ArrayLike<number> | undefined;
  scores: ArrayLike<number> | undefined;
  /** "left right" in order of priority. */
  merges: readonly string[] | undefined;
  bosId: number | undefined;
  eosId: number | undefined;
  unknownId: number | undefined;
  padId: number | undefined;
  /** Every token that ends an answer, `eosId` first. */
  eosTokenIds: number[];
  /** Undefined where the file leaves it to the model's kind. */
  addBos: boolean | undefined;
  addEos: boolean | undefined;
  addSpacePrefix: boolean | undefined;
  removeExtraWhitespaces: boolean | undefined;
}

/**
 * @throws EdgeformerError `invalid_model` if a key is missing or of the wrong type, lists differ in length, or an id
 *   is none of the vocabulary's
 */
export function ggufTokenizer(metadata: GgufMetadata): GgufVocabulary {
  const key = (name: string) => `tokenizer.ggml.${name}`;
  const tokens = metadata.required(key("tokens"), metadata.strings);
  const perToken = (name: string) => {
    const values = metadata.numbers(key(name));
    if (values !== undefined && values.length !== tokens.length)
      throw new EdgeformerError(
        "invalid_model",
        `${metadata.file}: ${key(name)} has ${values.length} elements for ${tokens.length} tokens`,
      );
    return values;
  };
  return {
    file: metadata.file,
    model: metadata.required(key("model"), metadata.string),
    pre: metadata.string(key("pre")),
    tokens,
    tokenTypes: perToken("token_type"),
    scores: perToken("scores"),
    merges: metadata.strings(key("merges")),
    bosId: tokenId(metadata, "bos_token_id"),
    eosId: tokenId(metadata, "eos_token_id"),
    unknownId: tokenId(metadata, "unknown_token_id"),
    padId: tokenId(metadata, "padding_token_id"),
    eosTokenIds: endTokenIds(metadata),
    addBos: metadata.boolean(key("add_bos_token")),
    addEos: metadata.boolean(key("add_eos_token")),
    addSpacePrefix: metadata.boolean(key("add_space_prefix")),
    removeExtraWhitespaces: metadata.boolean(key("remove_extra_whitespaces")),
  };
}

function tokenId(metadata: GgufMetadata, name: string): number | undefined {
  const id = metadata.integer(`tokenizer.ggml.${name}`);
  const count = metadata.strings("tokenizer.ggml.tokens")?.length ?? 0;
  if (id !== undefined && id >= count)
    throw new EdgeformerError(
      "invalid_model",
      `${metadata.file}: tokenizer.ggml.${name} is ${id}, but there are ${count} tokens`,
    );
  return id;
}

/** Special tokens that end a turn or a text in the models that have them; a file names only one or two of them. */
const END_TOKENS = new Set([
  "<|im_end|>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end|>",
  "<end_of_turn>",
]);

/**
 * Every token that ends an answer: those that the file names, then those that do by their spelling, as llama.cpp
 * finds them.
 *
 * @throws EdgeformerError `invalid_model` if an id is none of the vocabulary's
 */
export function endTokenIds(metadata: GgufMetadata): number[] {
  const named = ["eos_token_id", "eot_token_id", "eom_token_id"].flatMap(
    (name) => tokenId(metadata, name) ?? [],
  );
  const types = metadata.numbers("tokenizer.ggml.token_type");
  const spelled = (metadata.strings("tokenizer.ggml.tokens") ?? []).flatMap((token, id) =>
    END_TOKENS.has(token) && types?.[id] === GGUF_TOKEN.control ? [id] : [],
  );
  return [...new Set([...named, ...spelled])];
}

export function ggufChatTemplates(metadata: GgufMetadata): ChatTemplates {
  const prefix = "tokenizer.chat_template.";
  const names = [...metadata.keys()].filter((key) => key.startsWith(prefix));
  return {
    template: metadata.string("tokenizer.chat_template"),
    named: Object.fromEntries(
      names.map((key) => [key.slice(prefix.length), metadata.required(key, metadata.string)]),
    ),
  };
}
