// Jinja's tokens, as jinja2 cuts them with `trim_blocks` and `lstrip_blocks`: the first newline after a block goes, and
// so does white space before a block that begins its line. `-` takes all white space, `+` none.

import { stripped, WHITE_SPACE } from "./white-space.ts";

export type TokenType =
  | "data"
  | "print"
  | "endPrint"
  | "block"
  | "endBlock"
  | "name"
  | "string"
  | "integer"
  | "float"
  | "operator"
  | "end";

export interface Token {
  type: TokenType;
  value: string;
}

const TAG = new RegExp(
  String.raw`\{(?:%([-+]?)[${WHITE_SPACE}]*raw[${WHITE_SPACE}]*(-%\}[${WHITE_SPACE}]*|%\})|([%{#])([-+]?))`,
  "g",
);
const END_RAW = new RegExp(
  String.raw`\{%([-+]?)[${WHITE_SPACE}]*endraw[${WHITE_SPACE}]*(?:\+%\}|-%\}[${WHITE_SPACE}]*|%\}\n?)`,
  "g",
);
const END_COMMENT = new RegExp(String.raw`\+#\}|-#\}[${WHITE_SPACE}]*|#\}\n?`, "g");
const END_BLOCK = new RegExp(String.raw`\+%\}|-%\}[${WHITE_SPACE}]*|%\}\n?`, "y");
const END_PRINT = new RegExp(String.raw`-\}\}[${WHITE_SPACE}]*|\}\}`, "y");
const SPACE = new RegExp(`[${WHITE_SPACE}]+`, "y");
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]+/uy;
const STRING = /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/sy;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const CLOSING: Record<string, string> = { "(": ")", "[": "]", "{": "}" };

/** What a backslash and a letter stand for, as in Python. */
const ESCAPES: Record<string, string> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function withoutEscapes(text: string): string {
  return text.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|(.))/gs,
    (whole: string, x?: string, short?: string, long?: string, octal?: string, other = "") => {
      const hexadecimal = x ?? short ?? long;
      if (hexadecimal !== undefined) return String.fromCodePoint(Number.parseInt(hexadecimal, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      if ("xuUN".includes(other)) throw new SyntaxError(`unknown escape ${whole} in a string`);
      return ESCAPES[other] ?? whole;
    },
  );
}

/** Where a pattern with the flag `g` or `y` matches. */
function match(pattern: RegExp, source: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(source);
}

/** Text before a tag, without the white space that the tag takes. */
function before(text: string, sign: string, isPrint: boolean, startsLine: boolean): string {
  if (sign === "-") return stripped(text, "right");
  if (sign === "+" || isPrint) return text;
  const line = text.lastIndexOf("\n") + 1;
  if (line === 0 && !startsLine) return text;
  return stripped(text.slice(line), "left") === "" ? text.slice(0, line) : text;
}

/** @throws SyntaxError */
export function tokenize(template: string): Token[] {
  const source = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  const tokens: Token[] = [];
  let at = 0;
  let startsLine = true;
  const add = (type: TokenType, value: string) => {
    tokens.push({ type, value });
  };
  const addData = (text: string) => {
    if (text !== "") add("data", text);
  };
  const pass = (end: RegExpExecArray) => {
    at = end.index + end[0].length;
    startsLine = end[0].endsWith("\n");
  };

  for (;;) {
    const tag = match(TAG, source, at);
    if (tag === null) {
      addData(source.slice(at));
      add("end", "");
      return tokens;
    }
    const [, rawSign, raw, kind, sign] = tag;
    addData(before(source.slice(at, tag.index), rawSign ?? sign ?? "", kind === "{", startsLine));
    pass(tag);
    if (raw !== undefined) {
      const end = match(END_RAW, source, at);
      if (end === null) throw new SyntaxError("missing end of a raw block");
      addData(before(source.slice(at, end.index), end[1]!, false, startsLine));
      pass(end);
    } else if (kind === "#") {
      const end = match(END_COMMENT, source, at);
      if (end === null) throw new SyntaxError("missing end of a comment");
      pass(end);
    } else {
      add(kind === "{" ? "print" : "block", "");
      pass(inside(source, at, kind === "{" ? END_PRINT : END_BLOCK, add));
      add(kind === "{" ? "endPrint" : "endBlock", "");
    }
  }
}

/** The tokens from a tag's beginning to its end, which is returned. */
function inside(
  source: string,
  start: number,
  endOfTag: RegExp,
  add: (type: TokenType, value: string) => void,
): RegExpExecArray {
  const open: string[] = [];
  let at = start;
  for (;;) {
    // Within brackets, }} closes two of them.
    const end = open.length === 0 ? match(endOfTag, source, at) : null;
    if (end !== null) return end;
    const rest = (pattern: RegExp) => match(pattern, source, at)?.[0];
    let text = rest(SPACE);
    if (text !== undefined) {
      at += text.length;
      continue;
    }
    if ((text = rest(FLOAT)) !== undefined) add("float", text.replaceAll("_", ""));
    else if ((text = rest(INTEGER)) !== undefined) add("integer", text.replaceAll("_", ""));
    else if ((text = rest(NAME)) !== undefined) add("name", text);
    else if ((text = rest(STRING)) !== undefined) add("string", withoutEscapes(text.slice(1, -1)));
    else if ((text = rest(OPERATOR)) !== undefined) {
      const closing = CLOSING[text];
      if (closing !== undefined) open.push(closing);
      else if (/[)\]}]/.test(text) && open.pop() !== text) throw new SyntaxError(`unexpected '${text}'`);
      add("operator", text);
    } else {
      const character = source.slice(at, at + 1);
      throw new SyntaxError(
        character === "" ? "unexpected end of template" : `unexpected character ${JSON.stringify(character)}`,
      );
    }
    at += text.length;
  }
}
