// Values as text: as `{{ }}` writes them, as Python's `repr` does within lists, and as JSON.

import type { Budget } from "./budget.ts";
import {
  Callable,
  compareTexts,
  Float,
  fromKey,
  type Key,
  Lazy,
  Namespace,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** The shortest text that is this number again, with Python's exponents. */
function floatText(number: number): string {
  if (Number.isNaN(number)) return "nan";
  if (!Number.isFinite(number)) return number > 0 ? "inf" : "-inf";
  const [digits, exponent] = number.toExponential().split("e") as [string, string];
  if (number !== 0 && (Number(exponent) < -4 || Number(exponent) >= 16))
    return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
  const text = Object.is(number, -0) ? "-0" : String(number);
  return text.includes(".") ? text : `${text}.0`;
}

const NOT_PRINTABLE = /[\p{C}\p{Z}]/u;
const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let written = quote;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    const hex = (digits: number) => code.toString(16).padStart(digits, "0");
    if (SHORT[character] !== undefined) written += SHORT[character];
    else if (character === quote) written += `\\${quote}`;
    else if (character === " " || !NOT_PRINTABLE.test(character)) written += character;
    else written += code < 256 ? `\\x${hex(2)}` : code < 65_536 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
  }
  return written + quote;
}

/** Python's `repr`. */
export function represent(value: Value, budget: Budget): string {
  if (typeof value === "string") {
    budget.size(value.length);
    return quoted(value);
  }
  budget.step();
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (value instanceof Float) return floatText(value.number);
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Range) return value.text;
  return budget.deeper(() => {
    const list = (values: Iterable<Value>) => Array.from(values, (entry) => represent(entry, budget));
    const dictionary = (entries: Iterable<[Key, Value]>) =>
      `{${Array.from(entries, ([key, entry]) => `${represent(fromKey(key), budget)}: ${represent(entry, budget)}`).join(", ")}}`;
    if (Array.isArray(value)) return `[${list(value).join(", ")}]`;
    if (value instanceof Tuple)
      return value.items.length === 1 ? `(${list(value.items)[0]},)` : `(${list(value.items).join(", ")})`;
    if (value instanceof Map) return dictionary(value);
    if (value instanceof View) return `dict_${value.kind}([${list(value).join(", ")}])`;
    if (value instanceof Namespace) return `<Namespace ${dictionary(value.attributes)}>`;
    if (value instanceof Lazy) return "<generator object>";
    return value instanceof Callable ? `<function ${value.name}>` : "<object>";
  });
}

/** Python's `str`: what `{{ }}` writes. */
export function write(value: Value, budget: Budget): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? "" : represent(value, budget);
}

export interface JsonOptions {
  /** The text of one level; null for a single line. */
  indent: string | null;
  isAscii: boolean;
  separators: [between: string, afterKey: string];
  sortKeys: boolean;
}

const JSON_ESCAPES: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function jsonText(text: string, isAscii: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that JSON escapes
  return `"${text.replace(isAscii ? /["\\]|[^ -~]/g : /["\\\x00-\x1f]/g, (unit) => JSON_ESCAPES[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)}"`;
}

/** Python's `json.dumps`. */
export function json(value: Value, options: JsonOptions, budget: Budget, level = 0): string {
  const { indent, isAscii, separators, sortKeys } = options;
  budget.step();
  if (value === null) return "null";
  if (typeof value === "boolean" || typeof value === "number") return String(value);
  if (typeof value === "string") {
    budget.size(value.length);
    return jsonText(value, isAscii);
  }
  if (value instanceof Float) {
    const text = floatText(value.number);
    return { nan: "NaN", inf: "Infinity", "-inf": "-Infinity" }[text] ?? text;
  }
  const within = (open: string, parts: string[], close: string) => {
    if (parts.length === 0) return open + close;
    if (indent === null) return open + parts.join(separators[0]) + close;
    budget.size((parts.length + 1) * (indent.length * (level + 1) + 1));
    const line = `\n${indent.repeat(level + 1)}`;
    return `${open}${line}${parts.join(separators[0] + line)}\n${indent.repeat(level)}${close}`;
  };
  return budget.deeper(() => {
    const entries = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
    if (entries !== undefined) {
      budget.size(entries.length * separators[0].length);
      return within(
        "[",
        entries.map((entry) => json(entry, options, budget, level + 1)),
        "]",
      );
    }
    if (!(value instanceof Map))
      throw new Error(`Object of type ${typeName(value)} is not JSON serializable`);
    budget.size(value.size * (separators[0].length + separators[1].length));
    const pairs = [...value];
    if (sortKeys) pairs.sort(([a], [b]) => compareTexts(String(a), String(b)));
    const parts = pairs.map(([key, entry]) => {
      const name = typeof key === "string" ? key : json(fromKey(key), options, budget);
      budget.size(name.length);
      return jsonText(name, isAscii) + separators[1] + json(entry, options, budget, level + 1);
    });
    return within("{", parts, "}");
  });
}
