// What stands beside a tokenizer: tokenizer_config.json, special_tokens_map.json and added_tokens.json name further tokens
// and change how texts are cut. They are put into the tokenizer.json here, as transformers does when it loads them.

import { damaged, flatten, isObject, type JsonObject, shown } from "./json-value.ts";
import type { TokenizerJson } from "./tokenizer-json.ts";
import { templateProcessing } from "./typed-vocabulary.ts";

export interface TokenizerConfig {
  /** tokenizer_config.json. */
  config: JsonObject;
  /** special_tokens_map.json. */
  specials: JsonObject;
  /** added_tokens.json: spellings and ids. */
  added: JsonObject;
  /** `model_type` of config.json: where no class is named, transformers takes the one of the model. */
  modelType?: unknown;
}

/** In transformers' order, in which they get their ids where no file gives them one. */
const NAMED = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/** The spelling of a token: a text, or an object that has one as `content`. */
function spellingOf(value: unknown): string | undefined {
  const content = isObject(value) ? value.content : value;
  return typeof content === "string" && content !== "" ? content : undefined;
}

/** The class that transformers makes of a tokenizer, without the ending that tells two implementations apart. */
export function tokenizerClass({ config }: TokenizerConfig): string | undefined {
  return typeof config.tokenizer_class === "string" ? config.tokenizer_class.replace(/Fast$/, "") : undefined;
}

/** What `bos_token` and the like are spelled as; templates know them under these names. */
export function namedTokens(files: TokenizerConfig): Record<string, string> {
  const names: Record<string, string> = {};
  if (tokenizerClass(files) === "GPT2Tokenizer")
    for (const name of NAMED.slice(0, 3)) names[name] = "<|endoftext|>";
  for (const from of [files.specials, files.config.extra_special_tokens, files.config])
    for (const [name, value] of Object.entries(isObject(from) ? from : {})) {
      const spelling = spellingOf(value);
      if (!name.endsWith("_token") || name.startsWith("add_")) continue;
      if (spelling !== undefined) names[name] = spelling;
      // A name that is there without a token takes the default away.
      else if (value === null) delete names[name];
    }
  return names;
}

interface Token extends JsonObject {
  id?: number;
  content: string;
}

/** Tokens that the files name, each with what they say of it. */
function tokensOf(files: TokenizerConfig, names: Record<string, string>): Token[] {
  const { config, specials, added } = files;
  const tokens: Token[] = [];
  for (const [content, id] of Object.entries(added)) {
    if (typeof id !== "number") damaged("added_tokens.json", `${shown(content)} has the id ${shown(id)}`);
    tokens.push({ content, id });
  }
  for (const [id, entry] of Object.entries(
    isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {},
  )) {
    if (!isObject(entry) || typeof entry.content !== "string" || !/^\d+$/.test(id))
      damaged("tokenizer_config.json", `added_tokens_decoder[${shown(id)}] is ${shown(entry)}`);
    tokens.push({ ...entry, content: entry.content, id: Number(id) });
  }
  const lists = [
    specials.additional_special_tokens,
    config.additional_special_tokens,
    config.extra_special_tokens,
  ];
  const { length } = NAMED;
  const place = (name: string) => (NAMED.includes(name) ? NAMED.indexOf(name) : length);
  for (const value of [
    ...Object.keys(names)
      .sort((a, b) => place(a) - place(b))
      .map((name) => names[name]),
    ...lists.flatMap((list) => (Array.isArray(list) ? list : [])),
  ]) {
    const content = spellingOf(value);
    if (content !== undefined) tokens.push({ content, special: true });
  }
  return tokens;
}

/**
 * A tokenizer.json with what the other files say put into it.
 *
 * @param rows ids that the model's embedding has: a token without an id gets the next one, if there is one
 */
export function amendTokenizer(
  json: TokenizerJson,
  files: TokenizerConfig,
  names: Record<string, string>,
  rows: number,
): TokenizerJson {
  const vocab = isObject(json.model) && isObject(json.model.vocab) ? json.model.vocab : {};
  const listed = Array.isArray(json.added_tokens) ? (json.added_tokens as unknown[]).filter(isObject) : [];
  const tokens = new Map<unknown, JsonObject>(listed.map((token) => [token.content, token]));
  let next = 0;
  for (const id of [...Object.values(vocab), ...listed.map(({ id }) => id)])
    if (typeof id === "number" && id >= next) next = id + 1;
  for (const token of tokensOf(files, names)) {
    const known = tokens.get(token.content);
    const given = known?.id ?? vocab[token.content];
    if (given !== undefined && token.id !== undefined && token.id !== given)
      damaged(
        "tokenizer_config.json",
        `${shown(token.content)} has the id ${token.id}, but the tokenizer gives it the id ${shown(given)}`,
      );
    const id = given ?? token.id ?? (next < rows ? next : undefined);
    if (id === undefined) continue;
    if (typeof id === "number" && id >= next) next = id + 1;
    const { special = known?.special ?? false } = token;
    tokens.set(token.content, { normalized: special !== true, ...known, ...token, special, id });
  }
  return {
    ...json,
    added_tokens: [...tokens.values()],
    pre_tokenizer: withPrefixSpace(json.pre_tokenizer, files),
    // A tokenizer.json says itself what goes around a text: `add_bos_token` is not looked at beside one.
    post_processor:
      json.post_processor !== undefined
        ? json.post_processor
        : postProcessor(files, names, (spelling) => {
            const id = tokens.get(spelling)?.id ?? vocab[spelling];
            return typeof id === "number" ? id : undefined;
          }),
  };
}

/** The classes that read `add_prefix_space`, and cut texts anew by it. */
const WITH_PREFIX_SPACE = ["GPT2Tokenizer", "Qwen2Tokenizer"];

/** ByteLevel steps with the `add_prefix_space` of tokenizer_config.json, for the classes that read it. */
function withPrefixSpace(preTokenizer: unknown, files: TokenizerConfig): unknown {
  const { modelType } = files;
  const byModel = modelType === "gpt2" ? "GPT2Tokenizer" : undefined;
  const name = modelType === "qwen2" ? "Qwen2Tokenizer" : (tokenizerClass(files) ?? byModel);
  const steps = flatten(preTokenizer, "pretokenizers");
  if (name === undefined || !WITH_PREFIX_SPACE.includes(name) || steps.length === 0) return preTokenizer;
  const add_prefix_space = files.config.add_prefix_space === true;
  const pretokenizers = steps.map((step) =>
    step.type === "ByteLevel" ? { ...step, add_prefix_space } : step,
  );
  return pretokenizers.length === 1 ? pretokenizers[0] : { type: "Sequence", pretokenizers };
}

/** What `add_bos_token` and `add_eos_token` put around a text. */
function postProcessor(
  { config }: TokenizerConfig,
  names: Record<string, string>,
  idOf: (spelling: string) => number | undefined,
): unknown {
  const spelled: string[] = [];
  const ids = (put: unknown, name: string) => {
    const spelling = names[name];
    const id = put === true && spelling !== undefined ? idOf(spelling) : undefined;
    if (id === undefined) return [];
    spelled[id] = spelling!;
    return [id];
  };
  const [prefix, suffix] = [ids(config.add_bos_token, "bos_token"), ids(config.add_eos_token, "eos_token")];
  return templateProcessing(prefix, suffix, spelled);
}
