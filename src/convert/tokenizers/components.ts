// The components of a tokenizer.json, each as the steps that it stands for at run time.

import {
  growthOf,
  MAX_GROWTH,
  type NormalizerStep,
  type PreTokenizerStep,
  type Strip,
} from "../../text/tokenizer-settings.ts";
import type { Behavior } from "../../text/tokenizer-split.ts";
import { damaged, flatten, isObject, type JsonObject, shown, unsupported } from "./json-value.ts";
import { PATTERNS } from "./patterns.ts";

const MARK = "\u2581";

const BEHAVIORS: Record<string, Behavior> = {
  Removed: "removed",
  Isolated: "isolated",
  MergedWithPrevious: "mergedWithPrevious",
  MergedWithNext: "mergedWithNext",
  Contiguous: "contiguous",
};

/** The text that a pattern stands for, if it is one. */
function literalOf(pattern: unknown): string | undefined {
  return isObject(pattern) && typeof pattern.String === "string" && pattern.String !== ""
    ? pattern.String
    : undefined;
}

export function normalizerOf(value: unknown, file: string): NormalizerStep[] {
  const steps = flatten(value, "normalizers").map((step): NormalizerStep => {
    const { type } = step;
    switch (type) {
      case "Prepend":
        if (typeof step.prepend !== "string") damaged(file, `normalizer.prepend is ${shown(step.prepend)}`);
        return { kind: "prepend", text: step.prepend };
      case "Replace": {
        const from = literalOf(step.pattern);
        if (from === undefined || typeof step.content !== "string")
          unsupported(file, `normalizer replaces ${shown(step.pattern)}, and only plain texts are known`);
        return { kind: "replace", from, to: step.content };
      }
      case "NFC":
      case "NFD":
      case "NFKC":
      case "NFKD":
        return { kind: "unicode", form: type };
      case "Lowercase":
        return { kind: "lowercase" };
      case "Strip":
        return { kind: "strip", left: step.strip_left !== false, right: step.strip_right !== false };
      default:
        return unsupported(file, `normalizer has the type ${shown(type)}, which is not known`);
    }
  });
  const growth = growthOf(steps);
  if (growth > MAX_GROWTH)
    unsupported(file, `normalizer can make a text ${growth} times as long, more than ${MAX_GROWTH} times`);
  return steps;
}

/** How a Metaspace goes before a text. */
function prependOf(step: JsonObject, file: string): "always" | "first" | "never" {
  const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
  if (scheme !== "always" && scheme !== "first" && scheme !== "never")
    damaged(file, `Metaspace.prepend_scheme is ${shown(scheme)}`);
  if (step.replacement !== undefined && step.replacement !== MARK)
    unsupported(file, `Metaspace.replacement is ${shown(step.replacement)}, and only ${MARK} is known`);
  return scheme;
}

function splitOf(step: JsonObject, file: string): PreTokenizerStep {
  const { pattern, behavior, invert } = step;
  const separator = literalOf(pattern);
  if (separator !== undefined && invert !== true && Object.hasOwn(BEHAVIORS, String(behavior)))
    return { kind: "literal", separator, behavior: BEHAVIORS[String(behavior)]! };
  const regex = isObject(pattern) ? pattern.Regex : undefined;
  const known = typeof regex === "string" ? PATTERNS.get(regex) : undefined;
  // These patterns match everything, so that removing what they do not match changes nothing.
  const everyMatch =
    (behavior === "Isolated" && invert !== true) || (behavior === "Removed" && invert === true);
  if (!known || !everyMatch)
    unsupported(
      file,
      `pre_tokenizer splits at ${shown(pattern)} (${shown(behavior)}), which is not a known pattern`,
    );
  return known;
}

/** Steps, and whether they end in ByteLevel, which makes the symbols bytes. */
export function preTokenizerOf(value: unknown, file: string): { steps: PreTokenizerStep[]; bytes: boolean } {
  const steps: PreTokenizerStep[] = [];
  let bytes = false;
  for (const step of flatten(value, "pretokenizers")) {
    if (bytes)
      unsupported(file, `pre_tokenizer has a ${shown(step.type)} behind ByteLevel, which is not known`);
    switch (step.type) {
      case "ByteLevel":
        bytes = true;
        if (step.add_prefix_space === true) steps.push({ kind: "space" });
        if (step.use_regex !== false) steps.push({ kind: "gpt2" });
        break;
      case "Split":
        steps.push(splitOf(step, file));
        break;
      case "Digits":
        steps.push({ kind: "digits", individual: step.individual_digits === true });
        break;
      case "Metaspace":
        steps.push({
          kind: "metaspace",
          mark: MARK,
          prepend: prependOf(step, file),
          split: step.split !== false,
        });
        break;
      default:
        unsupported(file, `pre_tokenizer has the type ${shown(step.type)}, which is not known`);
    }
  }
  return { steps, bytes };
}

export interface DecoderDescription {
  /** Tokens are spelled in the alphabet of bytes. */
  bytes: boolean;
  /** Tokens such as <0x0A> stand for a byte. */
  byteTokens: boolean;
  strip: Strip;
}

/** @param bytes whether the pre-tokenizer works on bytes */
export function decoderOf(value: unknown, bytes: boolean, file: string): DecoderDescription {
  const steps = flatten(value, "decoders");
  const types = steps.map(({ type }) => String(type));
  const unknown = (): never =>
    unsupported(
      file,
      `decoder is ${shown(types.join(" + ") || null)}, which is not known for such a tokenizer`,
    );
  // Without a decoder Hugging Face's library puts spaces between tokens; what is meant is known all the same.
  if (bytes)
    return types.join() === "ByteLevel" || steps.length === 0
      ? { bytes, byteTokens: false, strip: "none" }
      : unknown();
  const described: DecoderDescription = { bytes, byteTokens: false, strip: "none" };
  let [marks, fused] = [false, false];
  for (const step of steps) {
    if (step.type === "Replace" && literalOf(step.pattern) === MARK && step.content === " " && !fused)
      marks = true;
    else if (step.type === "Metaspace" && !fused) {
      marks = true;
      if (prependOf(step, file) !== "never") described.strip = "token";
    } else if (step.type === "ByteFallback" && !fused) described.byteTokens = true;
    else if (step.type === "Fuse") fused = true;
    else if (step.type === "Strip" && fused && step.content === " " && step.start === 1 && step.stop === 0)
      described.strip = "one";
    else unknown();
  }
  return marks ? described : unknown();
}

function tokenIdsOf(list: unknown, file: string): number[] {
  if (!Array.isArray(list) || !list.every((id) => typeof id === "number" && Number.isInteger(id) && id >= 0))
    damaged(file, `post_processor has the token ids ${shown(list)}`);
  return list as number[];
}

/** The ids that TemplateProcessing puts before and behind a single text. */
function templateOf(step: JsonObject, file: string): { prefix: number[]; suffix: number[] } {
  const [prefix, suffix]: [number[], number[]] = [[], []];
  let texts = 0;
  if (!Array.isArray(step.single))
    damaged(file, `post_processor.single must be a list, not ${shown(step.single)}`);
  for (const entry of step.single as unknown[]) {
    const special = isObject(entry) ? entry.SpecialToken : undefined;
    const sequence = isObject(entry) ? entry.Sequence : undefined;
    if (isObject(sequence) && sequence.id === "A") texts++;
    else if (isObject(special)) {
      const known = isObject(step.special_tokens) ? step.special_tokens[String(special.id)] : undefined;
      const ids = tokenIdsOf(isObject(known) ? known.ids : undefined, file);
      (texts === 0 ? prefix : suffix).push(...ids);
    } else damaged(file, `post_processor.single has the entry ${shown(entry)}`);
  }
  if (texts !== 1) unsupported(file, `post_processor.single puts the text in ${texts} times`);
  return { prefix, suffix };
}

/** The ids that go around a text. */
export function postProcessorOf(value: unknown, file: string): { prefix: number[]; suffix: number[] } {
  let [prefix, suffix]: [number[], number[]] = [[], []];
  for (const step of flatten(value, "processors")) {
    if (step.type === "ByteLevel") continue;
    const around =
      step.type === "TemplateProcessing"
        ? templateOf(step, file)
        : step.type === "RobertaProcessing" || step.type === "BertProcessing"
          ? {
              prefix: tokenIdsOf([Array.isArray(step.cls) ? step.cls[1] : undefined], file),
              suffix: tokenIdsOf([Array.isArray(step.sep) ? step.sep[1] : undefined], file),
            }
          : unsupported(file, `post_processor has the type ${shown(step.type)}, which is not known`);
    prefix = [...around.prefix, ...prefix];
    suffix = [...suffix, ...around.suffix];
  }
  return { prefix, suffix };
}
