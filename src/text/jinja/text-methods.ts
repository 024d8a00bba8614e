// The methods of Python's `str`.

import { REQUIRED, take } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import {
  Callable,
  characters,
  iterate,
  lengthOf,
  type NamedValues,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";
import { stripped, WHITE_SPACE } from "./white-space.ts";

type Method = (text: string, args: readonly Value[], named: NamedValues, budget: Budget) => Value;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these end a line in Python
const LINE_END = /\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]/;
const WORD = new RegExp(`[^${WHITE_SPACE}]+`, "g");

export function text(value: Value): string {
  if (value instanceof Undefined) value.fail();
  if (typeof value !== "string") throw new Error(`a string is needed, not '${typeName(value)}'`);
  return value;
}

export function whole(value: Value): number {
  if (value instanceof Undefined) value.fail();
  if (typeof value !== "number" && typeof value !== "boolean")
    throw new Error(`'${typeName(value)}' object cannot be interpreted as an integer`);
  return Number(value);
}

/** Python's `strip`: white space, or the characters of a text in any order. */
export function strip(subject: string, chars: Value, ends: "both" | "left" | "right"): string {
  if (chars === null) return stripped(subject, ends);
  const taken = new Set(characters(text(chars)));
  const parts = characters(subject);
  let [start, end] = [0, parts.length];
  if (ends !== "right") while (start < end && taken.has(parts[start]!)) start++;
  if (ends !== "left") while (end > start && taken.has(parts[end - 1]!)) end--;
  return parts.slice(start, end).join("");
}

function split(subject: string, separator: Value, limit: number, budget: Budget): string[] {
  if (separator !== null) {
    const between = text(separator);
    if (between === "") throw new Error("empty separator");
    budget.search(subject, between);
    const parts = subject.split(between);
    return limit >= 0 && parts.length > limit + 1
      ? [...parts.slice(0, limit), parts.slice(limit).join(between)]
      : parts;
  }
  const words = [...subject.matchAll(WORD)];
  if (limit < 0 || words.length <= limit) return words.map(([word]) => word);
  const rest = subject.slice(words[limit]!.index);
  return [...words.slice(0, limit).map(([word]) => word), ...(rest === "" ? [] : [rest])];
}

function splitFromRight(subject: string, separator: Value, limit: number, budget: Budget): string[] {
  const all = split(subject, separator, -1, budget);
  if (limit < 0 || all.length <= limit + 1) return all;
  if (separator !== null) {
    const between = text(separator);
    const cut = all.length - limit;
    return [all.slice(0, cut).join(between), ...all.slice(cut)];
  }
  // White space in front of the first word stays.
  const last = [...subject.matchAll(WORD)][all.length - limit - 1]!;
  return [subject.slice(0, last.index + last[0].length), ...all.slice(all.length - limit)];
}

export function splitLines(subject: string, keepEnds = false): string[] {
  const lines: string[] = [];
  for (let left = subject; left !== ""; ) {
    const end = LINE_END.exec(left);
    if (end === null) {
      lines.push(left);
      break;
    }
    lines.push(left.slice(0, end.index + (keepEnds ? end[0].length : 0)));
    left = left.slice(end.index + end[0].length);
  }
  return lines;
}

export function replace(subject: string, old: string, by: string, limit: number, budget: Budget): string {
  budget.search(subject, old);
  if (old === "") budget.size(2 * subject.length);
  const parts = old === "" ? ["", ...characters(subject), ""] : subject.split(old);
  const count = limit < 0 ? parts.length - 1 : Math.min(limit, parts.length - 1);
  budget.size(count * by.length);
  return (
    parts
      .slice(0, count)
      .map((part) => part + by)
      .join("") + parts.slice(count).join(old)
  );
}

const upperFirst = (word: string) => {
  const upper = word.toUpperCase();
  const [first = "", ...rest] = [...upper];
  return first + rest.join("").toLowerCase();
};

export function capitalize(subject: string): string {
  const [first = "", ...rest] = characters(subject);
  return upperFirst(first) + rest.join("").toLowerCase();
}

function title(subject: string): string {
  return subject.replace(/\p{Cased}+/gu, capitalize);
}

const stripping =
  (name: string, ends: "both" | "left" | "right"): Method =>
  (subject, args, named) =>
    strip(subject, take(name, args, named, { chars: null })[0]!, ends);

const splitting =
  (name: string, how: typeof split): Method =>
  (subject, args, named, budget) => {
    const [separator, limit] = take(name, args, named, { sep: null, maxsplit: -1 });
    return how(subject, separator!, whole(limit!), budget);
  };

/** Where a part of a text is, counted in characters, or -1. */
const finding =
  (name: string, fromEnd: boolean, mustBeThere: boolean): Method =>
  (subject, args, named, budget) => {
    const part = text(take(name, args, named, { sub: REQUIRED })[0]!);
    budget.search(subject, part);
    const at = fromEnd ? subject.lastIndexOf(part) : subject.indexOf(part);
    if (at === -1 && mustBeThere) throw new Error("substring not found");
    return at === -1 ? -1 : lengthOf(subject.slice(0, at));
  };

const testing =
  (name: "startsWith" | "endsWith"): Method =>
  (subject, args, named) => {
    const affix = take(name.toLowerCase(), args, named, { affix: REQUIRED })[0]!;
    const affixes = affix instanceof Tuple ? affix.items : [affix];
    return affixes.some((each) => subject[name](text(each)));
  };

const partition =
  (fromEnd: boolean): Method =>
  (subject, args, named, budget) => {
    const between = text(take("partition", args, named, { sep: REQUIRED })[0]!);
    if (between === "") throw new Error("empty separator");
    budget.search(subject, between);
    const at = fromEnd ? subject.lastIndexOf(between) : subject.indexOf(between);
    if (at === -1) return new Tuple(fromEnd ? ["", "", subject] : [subject, "", ""]);
    return new Tuple([subject.slice(0, at), between, subject.slice(at + between.length)]);
  };

/** A method without arguments. */
const plain =
  (name: string, work: (subject: string) => Value): Method =>
  (subject, args, named) => {
    take(name, args, named, {});
    return work(subject);
  };

const matching = (name: string, pattern: RegExp) => plain(name, (subject) => pattern.test(subject));

const METHODS = new Map<string, Method>([
  ["upper", plain("upper", (subject) => subject.toUpperCase())],
  ["lower", plain("lower", (subject) => subject.toLowerCase())],
  ["title", plain("title", title)],
  ["capitalize", plain("capitalize", capitalize)],
  ["isalpha", matching("isalpha", /^\p{L}+$/u)],
  ["isalnum", matching("isalnum", /^[\p{L}\p{N}]+$/u)],
  ["isdecimal", matching("isdecimal", /^\p{Nd}+$/u)],
  ["isdigit", matching("isdigit", /^[\p{Nd}\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]+$/u)],
  ["isnumeric", matching("isnumeric", /^\p{N}+$/u)],
  ["isspace", matching("isspace", new RegExp(`^[${WHITE_SPACE}]+$`))],
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what is meant
  ["isascii", matching("isascii", /^[\x00-\x7f]*$/)],
  ["islower", plain("islower", isLower)],
  ["isupper", plain("isupper", isUpper)],
  ["strip", stripping("strip", "both")],
  ["lstrip", stripping("lstrip", "left")],
  ["rstrip", stripping("rstrip", "right")],
  ["split", splitting("split", split)],
  ["rsplit", splitting("rsplit", splitFromRight)],
  [
    "splitlines",
    (subject, args, named) =>
      splitLines(subject, take("splitlines", args, named, { keepends: false })[0] === true),
  ],
  ["partition", partition(false)],
  ["rpartition", partition(true)],
  ["startswith", testing("startsWith")],
  ["endswith", testing("endsWith")],
  ["find", finding("find", false, false)],
  ["rfind", finding("rfind", true, false)],
  ["index", finding("index", false, true)],
  ["rindex", finding("rindex", true, true)],
  [
    "count",
    (subject, args, named, budget) => {
      const part = text(take("count", args, named, { sub: REQUIRED })[0]!);
      budget.search(subject, part);
      return part === "" ? lengthOf(subject) + 1 : subject.split(part).length - 1;
    },
  ],
  [
    "replace",
    (subject, args, named, budget) => {
      const [old, by, limit] = take("replace", args, named, { old: REQUIRED, new: REQUIRED, count: -1 });
      return replace(subject, text(old!), text(by!), whole(limit!), budget);
    },
  ],
  [
    "removeprefix",
    (subject, args, named) => {
      const prefix = text(take("removeprefix", args, named, { prefix: REQUIRED })[0]!);
      return subject.startsWith(prefix) ? subject.slice(prefix.length) : subject;
    },
  ],
  [
    "removesuffix",
    (subject, args, named) => {
      const suffix = text(take("removesuffix", args, named, { suffix: REQUIRED })[0]!);
      return suffix !== "" && subject.endsWith(suffix) ? subject.slice(0, -suffix.length) : subject;
    },
  ],
  [
    "join",
    (subject, args, named, budget) => {
      const parts = [...iterate(take("join", args, named, { iterable: REQUIRED })[0]!)].map(text);
      budget.size(parts.reduce((sum, part) => sum + part.length + subject.length, 0));
      return parts.join(subject);
    },
  ],
]);

export function isLower(subject: string): boolean {
  return /\p{Cased}/u.test(subject) && !/[\p{Uppercase}\p{Lt}]/u.test(subject);
}

export function isUpper(subject: string): boolean {
  return /\p{Cased}/u.test(subject) && !/[\p{Lowercase}\p{Lt}]/u.test(subject);
}

/** A text's method, bound to it: each call looks at the text again. */
export function textMethod(subject: string, name: string, budget: Budget): Value | undefined {
  const method = METHODS.get(name);
  return (
    method &&
    new Callable(name, (args, named) => {
      budget.look(subject);
      return method(subject, args, named, budget);
    })
  );
}
