// How a text is prepared before merging and put together again after it: the steps that a compiled tokenizer names, each
// of a known kind.

import {
  type Behavior,
  type Pieces,
  splitDigits,
  splitGpt2,
  splitLiteral,
  splitLlama3,
  trimWhite,
} from "./tokenizer-split.ts";

/** Changes a text before it is cut. */
export type NormalizerStep =
  | { kind: "prepend"; text: string }
  | { kind: "replace"; from: string; to: string }
  | { kind: "unicode"; form: "NFC" | "NFD" | "NFKC" | "NFKD" }
  | { kind: "lowercase" }
  | { kind: "strip"; left: boolean; right: boolean };

/** Cuts each piece of a text into smaller ones. */
export type PreTokenizerStep =
  /** GPT-2's expression. */
  | { kind: "gpt2" }
  /** Llama 3's and Qwen 2's expression, with up to so many digits a piece. */
  | { kind: "llama3"; digits: number }
  /** Numbers apart: each digit by itself, or runs. */
  | { kind: "digits"; individual: boolean }
  /** At each place where a text stands. */
  | { kind: "literal"; separator: string; behavior: Behavior }
  /** A space before each piece that has none (ByteLevel's `add_prefix_space`). */
  | { kind: "space" }
  /** Spaces become `mark`, which also goes before pieces (SentencePiece). */
  | { kind: "metaspace"; mark: string; prepend: "always" | "first" | "never"; split: boolean };

/** What is left out at the beginning of a decoded text: nothing, one space, or every space of the first token. */
export type Strip = "none" | "one" | "token";

export interface TokenizerSettings {
  normalizer: NormalizerStep[];
  preTokenizer: PreTokenizerStep[];
  strip: Strip;
  /** Ids put before and behind a text, such as BOS. */
  prefix: number[];
  suffix: number[];
  /** `bos_token`, `eos_token` and the like, spelled out: what chat templates call them. */
  names: Record<string, string>;
}

/** Longest text that a step may insert: what comes out stays in proportion to what goes in. */
const MAX_INSERTED = 64;

/** How many times as long all steps of a normalizer together may make a text. Sixteen that repeat a letter make 64^16 of it. */
export const MAX_GROWTH = 64;

/** The most UTF-16 units that each form makes of one: U+FB2C, U+1F82 and U+FDFA are such. */
const UNICODE_GROWTH = { NFC: 3, NFD: 4, NFKC: 18, NFKD: 18 };

function growthOfStep(step: NormalizerStep): number {
  switch (step.kind) {
    case "replace":
      return Math.max(1, step.to.length / step.from.length);
    case "unicode":
      return UNICODE_GROWTH[step.form];
    case "lowercase":
      // U+0130 becomes an i and a dot.
      return 2;
    default:
      return 1;
  }
}

/** How many times as long a normalizer can make a text, beside what it puts before it. */
export function growthOf(normalizer: readonly NormalizerStep[]): number {
  return normalizer.reduce((product, step) => product * growthOfStep(step), 1);
}

const BEHAVIORS: readonly Behavior[] = [
  "removed",
  "isolated",
  "mergedWithPrevious",
  "mergedWithNext",
  "contiguous",
];

type Fail = (message: string) => never;
type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value: unknown, least = 0): value is string =>
  typeof value === "string" && value.length >= least && value.length <= MAX_INSERTED;
const oneOf = (value: unknown, ...known: unknown[]) => known.includes(value);

/** Which fields each kind of step must have. */
const NORMALIZERS: Record<NormalizerStep["kind"], (step: Fields) => boolean> = {
  prepend: ({ text }) => isText(text),
  replace: ({ from, to }) => isText(from, 1) && isText(to),
  unicode: ({ form }) => oneOf(form, "NFC", "NFD", "NFKC", "NFKD"),
  lowercase: () => true,
  strip: ({ left, right }) => typeof left === "boolean" && typeof right === "boolean",
};

const PRE_TOKENIZERS: Record<PreTokenizerStep["kind"], (step: Fields) => boolean> = {
  gpt2: () => true,
  llama3: ({ digits }) => oneOf(digits, 1, 3),
  digits: ({ individual }) => typeof individual === "boolean",
  literal: ({ separator, behavior }) => isText(separator, 1) && oneOf(behavior, ...BEHAVIORS),
  space: () => true,
  metaspace: ({ mark, prepend, split }) =>
    isText(mark, 1) &&
    (mark as string).length === 1 &&
    oneOf(prepend, "always", "first", "never") &&
    typeof split === "boolean",
};

/** Most steps that a tokenizer may have; published ones have three. */
const MAX_STEPS = 16;

function steps(
  value: unknown,
  known: Record<string, (step: Fields) => boolean>,
  what: string,
  fail: Fail,
): unknown[] {
  if (!Array.isArray(value) || value.length > MAX_STEPS) fail(`settings.${what} must be a list of steps`);
  for (const step of value as unknown[])
    if (!isObject(step) || !Object.hasOwn(known, String(step.kind)) || !known[String(step.kind)]!(step))
      fail(`settings.${what} has the step ${JSON.stringify(step)?.slice(0, 200)}, which is not known`);
  return value;
}

function idList(value: unknown, tokens: number, what: string, fail: Fail): number[] {
  const isId = (id: unknown) => typeof id === "number" && Number.isInteger(id) && id >= 0 && id < tokens;
  if (!Array.isArray(value) || value.length > MAX_STEPS || !value.every(isId))
    fail(`settings.${what} must be a list of token ids`);
  return value as number[];
}

/** Reads the settings of a table with so many tokens; `fail` is told what is wrong. */
export function parseSettings(json: Uint8Array, tokens: number, fail: Fail): TokenizerSettings {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch {
    fail("its settings are no JSON");
  }
  if (!isObject(value)) return fail("its settings are no object");
  const { names, strip } = value;
  if (!oneOf(strip, "none", "one", "token")) fail(`settings.strip is ${JSON.stringify(strip)}`);
  const normalizer = steps(value.normalizer, NORMALIZERS, "normalizer", fail) as NormalizerStep[];
  if (growthOf(normalizer) > MAX_GROWTH)
    fail(`settings.normalizer can make a text more than ${MAX_GROWTH} times as long`);
  if (!isObject(names) || !Object.values(names).every((name) => typeof name === "string"))
    fail("settings.names must be texts");
  return {
    normalizer,
    preTokenizer: steps(value.preTokenizer, PRE_TOKENIZERS, "preTokenizer", fail) as PreTokenizerStep[],
    strip: strip as Strip,
    prefix: idList(value.prefix, tokens, "prefix", fail),
    suffix: idList(value.suffix, tokens, "suffix", fail),
    names: names as Record<string, string>,
  };
}

function normalizeStep(text: string, step: NormalizerStep): string {
  switch (step.kind) {
    case "prepend":
      return text === "" ? "" : step.text + text;
    case "replace":
      return text.replaceAll(step.from, () => step.to);
    case "unicode":
      return text.normalize(step.form);
    case "lowercase":
      // Character by character, as Rust does: a sigma at the end of a word is one like others.
      return Array.from(text, (character) => character.toLowerCase()).join("");
    case "strip":
      return trimWhite(text, step.left, step.right);
  }
}

export function normalize(text: string, { normalizer }: TokenizerSettings): string {
  return normalizer.reduce(normalizeStep, text);
}

function* cut(piece: string, first: boolean, step: PreTokenizerStep): Pieces {
  switch (step.kind) {
    case "gpt2":
      yield* splitGpt2(piece);
      break;
    case "llama3":
      yield* splitLlama3(piece, step.digits);
      break;
    case "digits":
      yield* splitDigits(piece, step.individual);
      break;
    case "literal":
      yield* splitLiteral(piece, step.separator, step.behavior);
      break;
    case "space":
      yield piece.startsWith(" ") ? piece : ` ${piece}`;
      break;
    case "metaspace": {
      const { mark, prepend, split } = step;
      const marked = piece.replaceAll(" ", () => mark);
      const bare = marked.startsWith(mark) || prepend === "never" || (prepend === "first" && !first);
      const text = bare ? marked : mark + marked;
      if (split) yield* splitLiteral(text, mark, "mergedWithNext");
      else yield text;
    }
  }
}

function* cutBy(steps: readonly PreTokenizerStep[], piece: string, first: boolean): Pieces {
  const [step, ...further] = steps;
  if (step === undefined) yield piece;
  else if (further.length === 0) yield* cut(piece, first, step);
  else {
    let leads = first;
    for (const smaller of cut(piece, first, step)) {
      yield* cutBy(further, smaller, leads);
      leads = false;
    }
  }
}

/**
 * Cuts a normalized text that is not empty.
 *
 * @param first whether the text begins where the whole one does
 */
export function preTokenize(text: string, first: boolean, { preTokenizer }: TokenizerSettings): Pieces {
  return cutBy(preTokenizer, text, first);
}

/** Whether a word's neighbour would make it part of a longer one (`\w` of Rust's regular expressions). */
const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

export function isWordCharacter(character: string): boolean {
  return WORD.test(character);
}
