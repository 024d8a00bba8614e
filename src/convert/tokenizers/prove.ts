// The proof of a compiled tokenizer: it is held against Hugging Face's own library before anything is written.

import { EdgeformerError } from "../../errors.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { normalize } from "../../text/tokenizer-settings.ts";
import type { AddedWord } from "../../text/tokenizer-table.ts";
import type { TokenizerDescription } from "./description.ts";
import { shown } from "./json-value.ts";
import { hasDisputedSpace, proofTexts } from "./proof-texts.ts";
import type { TokenizerJson } from "./tokenizer-json.ts";

const encoder = new TextEncoder();

/** How many texts; SmolLM2's vocabulary takes about a second. */
const TEXTS = 600;
/** Spellings of added words that are put into texts, from either end of the list. */
const WORDS = 40;

/** The library does not know `single_word`, nor all of the white space that a word may take along. */
function needsRust({ singleWord, lstrip, rstrip }: AddedWord): boolean {
  return singleWord || lstrip || rstrip;
}

/** Whether a text has something that no token stands for, and that therefore vanishes. */
function dropsSymbols(text: string, description: TokenizerDescription): boolean {
  const { symbols, symbolIds, unknown, fallback, settings } = description;
  if (unknown !== undefined || fallback) return false;
  const normalized = normalize(text, settings);
  const needed =
    symbols === "bytes"
      ? [...encoder.encode(normalized)]
      : Array.from(normalized.replaceAll(" ", "\u2581"), (character) => character.codePointAt(0)!);
  return needed.some((symbol) => !symbolIds.has(symbol));
}

/**
 * Where the JavaScript library is known to differ from the one in Rust, which transformers uses and which we follow
 * (both versions as of the tests): its expressions use JavaScript's white space, its `Digits` knows only ASCII, its
 * `Lowercase` minds the end of a word, it drops a byte order mark that is spelled in bytes, and what no token stands for
 * it leaves out after merging rather than before.
 */
function isDisputed(text: string, description: TokenizerDescription): boolean {
  const { settings, added } = description;
  return (
    dropsSymbols(text, description) ||
    added.some((word) => needsRust(word) && text.includes(word.content)) ||
    hasDisputedSpace(text) ||
    (settings.preTokenizer.some(({ kind }) => kind === "digits") && /[^\P{N}0-9]/u.test(text)) ||
    (settings.normalizer.some(({ kind }) => kind === "lowercase") && /[\u03a3\u0130]/.test(text))
  );
}

function differs(name: string, text: string, ours: unknown, theirs: unknown): never {
  throw new EdgeformerError(
    "unsupported_model",
    `${name}: the tokenizer cannot be reproduced: of ${shown(text)} it makes ${shown(theirs)}, but compiled it makes ${shown(ours)}`,
  );
}

/** What the library gives; an error of its own is a reason not to trust the tokenizer. */
function attempt<T>(name: string, what: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw new EdgeformerError(
      "unsupported_model",
      `${name}: Hugging Face's tokenizers cannot ${what}: ${String((cause as Error).message).split("\n")[0]}`,
      { cause },
    );
  }
}

/**
 * @param name the file, for messages
 * @throws EdgeformerError `unsupported_model` that names the first text on which the two differ
 */
export async function proveTokenizer(
  tokenizer: Tokenizer,
  description: TokenizerDescription,
  json: TokenizerJson,
  name: string,
): Promise<void> {
  const { Tokenizer: Reference } = await import("@huggingface/tokenizers");
  const reference = attempt(name, "read it", () => new Reference(json, {}));
  const words = description.added.filter((word) => !needsRust(word));
  const spelled = words
    .slice(0, WORDS / 2)
    .concat(words.slice(-WORDS / 2))
    .map(({ content }) => content);
  const texts = proofTexts(TEXTS, 1, spelled).filter((text) => !isDisputed(text, description));
  const { unknown } = description;
  /** Ids as they are compared: the library does not fuse unknown tokens. */
  const fused = (ids: number[]) => ids.filter((id, i) => id !== unknown || id !== ids[i - 1]).join();
  /** Texts as they are compared: it leaves out one space where Rust leaves out all of the first token's. */
  const trimmed = (text: string) => (description.settings.strip === "token" ? text.replace(/^ +/, "") : text);
  /** Words whose normalized form is decoded, as Rust does: the library takes the plain one. */
  const unspelled = new Set(
    description.symbols === "bytes" ? [] : words.filter(({ normalized }) => normalized).map(({ id }) => id),
  );
  for (const text of texts) {
    const ids = tokenizer.encode(text, { allowSpecial: true });
    const expected: number[] = attempt(name, `encode ${shown(text)}`, () => reference.encode(text).ids);
    if (fused(ids) !== fused(expected)) differs(name, text, ids, expected);
    if (expected.length === 0 || expected.some((id) => unspelled.has(id))) continue;
    const decoded = attempt(name, `decode ${shown(expected)}`, () =>
      reference.decode(expected, { clean_up_tokenization_spaces: false }),
    );
    const ours = tokenizer.decode(expected);
    if (trimmed(ours) !== trimmed(decoded)) differs(name, text, ours, decoded);
  }
}
