// Calls of functions: which texts are some, and what a reader makes of them.
import { describe, expect, test } from "vitest";
import {
  type CallOptions,
  type CallPiece,
  CallReader,
  constrainCalls,
} from "../../src/constrain/calls/index.ts";
import { compileConstraint } from "../../src/constrain/index.ts";
import { allowed, allows, END, tokenizer } from "./tokens.ts";

/** In place of a JSON Schema, so that this is about what stands around the arguments. */
const city = compileConstraint({ regex: '\\{"city": "[^"\\\\]*"\\}' });
const none = compileConstraint({ regex: "\\{\\}" });
const FUNCTIONS = [
  { name: "weather", arguments: city },
  { name: "weather_now", arguments: city },
  { name: "time", arguments: none },
];

const WEATHER = '{"name": "weather", "arguments": {"city": "Oslo"}}';
const NOW = '{"name": "weather_now", "arguments": {"city": "a}, b{ ] <tool_call>"}}';
const TIME = '{"name": "time", "arguments": {}}';
const call = (...parts: string[]) => `<tool_call>${parts.join("")}</tool_call>`;

/** How far a text goes, in characters, and whether it may end there. */
function follow(text: string, options: CallOptions = {}): { length: number; mayEnd: boolean } {
  const matcher = constrainCalls(FUNCTIONS, options).matcher(tokenizer);
  // A byte at a time: every way to cut the text into tokens goes through the same states.
  for (let at = 0; at < text.length; at++) {
    const [id] = tokenizer.encode(text[at]!);
    if (!matcher.accept(id!)) return { length: at, mayEnd: matcher.mayEnd };
  }
  return { length: text.length, mayEnd: matcher.mayEnd };
}

const isWhole = (text: string, options: CallOptions = {}) => {
  const { length, mayEnd } = follow(text, options);
  return length === text.length && mayEnd;
};

describe("a text that may call", () => {
  test.each([
    "",
    "No call at all, though 2 < 3 and <tool> is said.",
    "<<tool_call",
    call(WEATHER),
    `Let me see.\n${call("\n", WEATHER, "\n")}`,
    `<tool_<tool_call${call(TIME)}`,
    call("[", WEATHER, ", ", NOW, ",", TIME, "]"),
    call("\n[ ", TIME, " ]\n"),
    `${call("\n", WEATHER, "\n")}\n${call("\n", NOW, "\n")}\n${call(TIME)}`,
  ])("%j", (text) => expect(isWhole(text)).toBe(true));

  test.each([
    ["", { required: true }],
    ["x", { required: true }],
    [`x${call(TIME)}`, { required: true }],
    [call(TIME, TIME), {}],
    [call('{"name": "zoo", "arguments": {}}'), {}],
    [call('{"name": "time", "arguments": {"city": "Oslo"}}'), {}],
    [call('{"name": "weather", "arguments": {}}'), {}],
    [call("[]"), {}],
    [call("{}"), {}],
    [call("  ", TIME), {}],
    [`${call(TIME)} and so on`, {}],
    [`${call("[", TIME, "]")}${call(TIME)}`, {}],
    [call("[", TIME, ", ", TIME, "]"), { parallel: false }],
    [`${call(TIME)}\n${call(TIME)}`, { parallel: false }],
    ["maybe", { answer: compileConstraint({ choice: ["yes", "no"] }) }],
  ] satisfies [string, CallOptions][])("not %j %j", (text, options) =>
    expect(isWhole(text, options)).toBe(false),
  );

  test.each([
    [call(TIME), { required: true, parallel: false }],
    [call("[", TIME, "]"), { parallel: false }],
    ["yes", { answer: compileConstraint({ choice: ["yes", "no"] }) }],
    [call(TIME), { answer: compileConstraint({ choice: ["yes", "no"] }) }],
    ["<tool_call> is a tag", { answer: compileConstraint({ choice: ["<tool_call> is a tag"] }) }],
  ] satisfies [string, CallOptions][])("%j %j", (text, options) => expect(isWhole(text, options)).toBe(true));

  test("is held to the call's form from where it opens, by every token", () => {
    const matcher = constrainCalls(FUNCTIONS).matcher(tokenizer);
    const spelled = () => allowed(matcher.mask()).map((id) => tokenizer.decode([id]));
    // Every token of text, and the end.
    expect(spelled()).toHaveLength(tokenizer.vocabSize);
    for (const id of tokenizer.encode("Well: <tool_call")) expect(matcher.accept(id)).toBe(true);
    // A token that closes the tag may hold the beginning of a call and nothing else.
    const closing = spelled().filter((text) => text.startsWith(">"));
    expect(closing.sort()).toEqual([">", ">["].sort());
    expect(matcher.accept(tokenizer.encode(">")[0]!)).toBe(true);
    expect(matcher.mayEnd).toBe(false);
    expect(spelled().sort()).toEqual(["\n", " ", " {", ' {"', " [", "{", '{"', "["].sort());
  });

  test("allows just the tokens whose every byte may come, wherever the text stands", () => {
    for (const text of ["", "<", "a <tool", "<tool_call", "<tool_call>", `${call(TIME)}`, "> <<tool_"]) {
      const matcher = constrainCalls(FUNCTIONS).matcher(tokenizer);
      for (const character of text) expect(matcher.accept(tokenizer.encode(character)[0]!)).toBe(true);
      const mask = matcher.mask();
      const wrong = [];
      for (let id = 0; id < tokenizer.vocabSize; id++)
        if (id !== END && matcher.clone().accept(id) !== allows(mask, id)) wrong.push(id);
      expect(wrong).toEqual([]);
    }
  });

  test("has functions with names that need no escaping", () => {
    expect(() => constrainCalls([])).toThrow("there must be a function to call");
    expect(() => constrainCalls([{ name: 'a"b', arguments: none }])).toThrow(/letters, digits/);
  });
});

describe("a reader", () => {
  const read = (pieces: string[]): CallPiece[] => {
    const reader = new CallReader();
    return pieces.flatMap((piece, i) => reader.push(piece, i === pieces.length - 1));
  };

  /** Neighbouring pieces of the same kind put together. */
  const merged = (pieces: CallPiece[]) => {
    const all: CallPiece[] = [];
    for (const piece of pieces) {
      const last = all.at(-1);
      if (piece.kind === "text" && last?.kind === "text") last.text += piece.text;
      else if (piece.kind === "arguments" && last?.kind === "arguments") last.json += piece.json;
      else all.push({ ...piece });
    }
    return all;
  };

  const OSLO = '{"city": "Oslo"}';
  const ODD = '{"city": "a}, b{ ] <tool_call>"}';

  const TEXTS: [string, CallPiece[]][] = [
    ["No call, 2 < 3.", [{ kind: "text", text: "No call, 2 < 3." }]],
    ["ends in <tool_", [{ kind: "text", text: "ends in <tool_" }]],
    [
      `Well.\n${call("\n", WEATHER, "\n")}`,
      [
        { kind: "text", text: "Well.\n" },
        { kind: "call", call: 0, name: "weather" },
        { kind: "arguments", call: 0, json: OSLO },
      ],
    ],
    [
      call("[", NOW, ", ", TIME, "]"),
      [
        { kind: "call", call: 0, name: "weather_now" },
        { kind: "arguments", call: 0, json: ODD },
        { kind: "call", call: 1, name: "time" },
        { kind: "arguments", call: 1, json: "{}" },
      ],
    ],
    [
      `${call("\n", TIME, "\n")}\n${call("\n", WEATHER, "\n")}`,
      [
        { kind: "call", call: 0, name: "time" },
        { kind: "arguments", call: 0, json: "{}" },
        { kind: "call", call: 1, name: "weather" },
        { kind: "arguments", call: 1, json: OSLO },
      ],
    ],
    // Cut by its length.
    [
      '<tool_call>{"name": "weather", "arguments": {"city": "a \\"',
      [
        { kind: "call", call: 0, name: "weather" },
        { kind: "arguments", call: 0, json: '{"city": "a \\"' },
      ],
    ],
    ['<tool_call>{"name": "wea', []],
    [
      call('{"name": "weather", "arguments": \n {"city": "Oslo"}}'),
      [
        { kind: "call", call: 0, name: "weather" },
        { kind: "arguments", call: 0, json: OSLO },
      ],
    ],
  ];

  test.each(TEXTS)("of %j", (text, expected) => {
    expect(merged(read([text]))).toEqual(expected);
    expect(merged(read([...text]))).toEqual(expected);
    for (let size = 2; size < 9; size++)
      expect(merged(read(text.match(new RegExp(`[^]{1,${size}}`, "g"))!))).toEqual(expected);
  });
});
