// The token ids of a conversation. What the template writes may become special tokens; what a message spells that way stays
// text, so that nobody can end their own turn and speak for another.
//
// The template sees exactly the text: it is rendered without any marks, and that text is what is encoded. Which of its
// characters came from the messages is found out on the side, and only where it matters: the conversation is
// rendered a second time with private-use characters in place of those with which a special token could begin or end. If
// the second text is the first one but for these, they tell what came from a message. If it is not, because the
// template looks for such characters itself (`content.split('</think>')`), fewer are replaced: those that
// spell a special token, or the beginning or end of one at either end of a text.

import { EdgeformerError } from "../errors.ts";
import { allAtOnce, type InParts } from "../parts.ts";
import type { ChatTemplate, ChatTemplateValues } from "./chat-template.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Private-use characters of the Basic Multilingual Plane. */
const PRIVATE = { first: 0xe000, end: 0xf900 };

/** Texts deeper in lists and objects than this are not rendered by anybody. */
const MAX_DEPTH = 64;

/** To render a conversation of so many UTF-16 units is work for one go. */
const LONG_UNITS = 8192;

/** A value with each text in it replaced; a message's role is the program's word, not its author's. */
function mapTexts(value: unknown, replace: (text: string) => string, depth = 0): unknown {
  if (typeof value === "string") return replace(value);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (depth > MAX_DEPTH)
    throw new EdgeformerError("invalid_prompt", `messages are nested deeper than ${MAX_DEPTH}`, {
      param: "messages",
    });
  if (Array.isArray(value)) return value.map((entry) => mapTexts(entry, replace, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [
      replace(key),
      key === "role" ? entry : mapTexts(entry, replace, depth + 1),
    ]),
  );
}

/** Units of a text to replace: every one that a special token could begin or end with. */
function everyBorder(specials: readonly string[]): (text: string) => Iterable<number> {
  const borders = new Set(specials.flatMap((special) => [special[0]!, special.at(-1)!]));
  return function* (text) {
    for (let at = 0; at < text.length; at++) if (borders.has(text[at]!)) yield at;
    yield* withinSpecial(text, specials);
  };
}

/** The first unit of a text that stands within a special token's spelling: a template may write the rest around it. */
function* withinSpecial(text: string, specials: readonly string[]): Iterable<number> {
  const inner = text.trim();
  if (inner !== "" && specials.some((special) => special.includes(inner))) yield text.indexOf(inner);
}

/** Fewer: special tokens that are spelled out, and parts of one at either end, but for white space. */
function spelledOut(specials: readonly string[]): (text: string) => Iterable<number> {
  return function* (text) {
    const [start, end] = [text.length - text.trimStart().length, text.trimEnd().length];
    for (const special of specials) {
      for (let at = text.indexOf(special); at !== -1; at = text.indexOf(special, at + 1)) yield at;
      for (let length = 1; length < special.length; length++) {
        if (text.startsWith(special.slice(-length), start)) yield start;
        if (length <= end && text.startsWith(special.slice(0, length), end - length)) yield end - 1;
      }
    }
    yield* withinSpecial(text, specials);
  };
}

/** UTF-16 units that become a text at once. */
const UNITS_AT_ONCE = 8192;

function unitsOf(text: string): Uint16Array {
  const units = new Uint16Array(text.length);
  for (let at = 0; at < text.length; at++) units[at] = text.charCodeAt(at);
  return units;
}

/** The text of units: put together one by one, or listed, those of a long text would take thirty times as much. */
function textOf(units: Uint16Array): string {
  const parts: string[] = [];
  for (let at = 0; at < units.length; at += UNITS_AT_ONCE)
    parts.push(String.fromCharCode(...units.subarray(at, at + UNITS_AT_ONCE)));
  return parts.join("");
}

/** Stands for units by private-use characters that are nowhere else, and turns them back. */
class Disguise {
  readonly #marks = new Map<string, string>();
  readonly #units = new Map<string, string>();
  #next = PRIVATE.first;
  readonly #taken: ReadonlySet<string>;

  constructor(taken: ReadonlySet<string>) {
    this.#taken = taken;
  }

  #mark(unit: string): string {
    const known = this.#marks.get(unit);
    if (known !== undefined) return known;
    while (this.#taken.has(String.fromCharCode(this.#next))) this.#next++;
    const mark = String.fromCharCode(this.#next++);
    if (this.#next > PRIVATE.end)
      throw new EdgeformerError("invalid_prompt", "messages use every private-use character", {
        param: "messages",
      });
    this.#marks.set(unit, mark);
    this.#units.set(mark, unit);
    return mark;
  }

  get used(): boolean {
    return this.#marks.size > 0;
  }

  hide(text: string, places: Iterable<number>): string {
    let units: Uint16Array | undefined;
    for (const at of places) {
      units ??= unitsOf(text);
      units[at] = this.#mark(text[at]!).charCodeAt(0);
    }
    return units === undefined ? text : textOf(units);
  }

  /** The text behind the disguise, and where it was. */
  reveal(text: string): { text: string; places: Uint8Array } {
    const places = new Uint8Array(text.length);
    const units = unitsOf(text);
    for (let at = 0; at < text.length; at++) {
      const unit = this.#units.get(text[at]!);
      if (unit === undefined) continue;
      places[at] = 1;
      units[at] = unit.charCodeAt(0);
    }
    return { text: textOf(units), places };
  }
}

/** Which units of the rendered text are a message's, as far as special tokens could be made of them. */
function placesOfMessages(
  prompt: string,
  template: ChatTemplate,
  values: ChatTemplateValues,
  tokenizer: Tokenizer,
): Uint8Array | undefined {
  const specials = [...tokenizer.specialTokens.keys()].filter((special) => prompt.includes(special));
  const taken = new Set(prompt);
  mapTexts(values, (text) => {
    for (const unit of text) taken.add(unit);
    return text;
  });
  for (const places of [everyBorder(specials), spelledOut(specials)]) {
    const disguise = new Disguise(taken);
    const hidden = mapTexts(values, (text) => disguise.hide(text, places(text))) as ChatTemplateValues;
    if (!disguise.used) return undefined;
    let revealed: { text: string; places: Uint8Array };
    try {
      revealed = disguise.reveal(template.render(hidden, tokenizer.namedTokens));
    } catch {
      // The template minds the difference.
      continue;
    }
    if (revealed.text === prompt) return revealed.places;
  }
  throw new EdgeformerError(
    "invalid_prompt",
    "a message spells a special token in a way that this chat template looks for itself; leave it out",
    { param: "messages" },
  );
}

/** What may be asked of a conversation's text before it is read. */
interface ChatLimits {
  /** Is given the text; it throws to refuse it. */
  check: (text: string) => void;
  /** A text of more tokens is refused. */
  maxTokens: number;
}

/**
 * The token ids of a conversation as its template lays it out, without BOS unless the template writes it.
 *
 * @throws EdgeformerError `invalid_prompt` or `invalid_model`, as `ChatTemplate.render` does
 */
export function encodeChat(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  values: ChatTemplateValues,
): number[] {
  return allAtOnce(encodeChatInParts(tokenizer, template, values));
}

/** The same part by part, within limits. */
export function* encodeChatInParts(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  values: ChatTemplateValues,
  { check, maxTokens }: Partial<ChatLimits> = {},
): InParts<number[]> {
  // What is nested too deep is refused before anything walks through it.
  mapTexts(values, (text) => text);
  const prompt = template.render(values, tokenizer.namedTokens);
  check?.(prompt);
  if (prompt.length > LONG_UNITS) yield;
  const places = placesOfMessages(prompt, template, values, tokenizer);
  return yield* tokenizer.encodeInParts(prompt, {
    addSpecialTokens: false,
    allowSpecial: places ? (start, end) => !places.subarray(start, end).includes(1) : true,
    ...(maxTokens !== undefined && { maxTokens }),
  });
}
