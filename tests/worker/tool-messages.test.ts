// What chat templates are told of tools, and how an answer's calls are worded.
import { describe, expect, test } from "vitest";
import { ChatTemplate } from "../../src/chat.ts";
import type { Model } from "../../src/index.ts";
import { chatTemplate } from "../../worker/openai/chat-plan.ts";
import { chatWording } from "../../worker/openai/chat-wording.ts";
import { forPlainTemplate, forToolTemplate, type PlainMessage } from "../../worker/openai/tool-messages.ts";
import type { ChatChoiceShape, ChatPieceShape } from "../../worker/openai/wire/answers.ts";
import { CHATML } from "./chatml-checkpoint.ts";

const TOOLS = [
  {
    type: "function" as const,
    function: { name: "weather", description: "The weather", parameters: { type: "object" }, strict: true },
  },
];
const CALLS = [
  { id: "a", type: "function" as const, function: { name: "weather", arguments: '{"city": "Oslo"}' } },
  { id: "b", type: "function" as const, function: { name: "time", arguments: "{}" } },
];
const CONVERSATION: PlainMessage[] = [
  { role: "user", content: "Hi!" },
  { role: "assistant", content: "Wait. ", tool_calls: CALLS },
  { role: "tool", content: "12 °C", tool_call_id: "a" },
  { role: "tool", content: "noon", tool_call_id: "b" },
];

describe("a template", () => {
  test("that reads tools gets them, calls with their arguments as objects, and the name of what answers", () => {
    expect(forToolTemplate(CONVERSATION, TOOLS)).toEqual({
      tools: TOOLS,
      messages: [
        { role: "user", content: "Hi!" },
        {
          role: "assistant",
          content: "Wait. ",
          tool_calls: [
            { id: "a", type: "function", function: { name: "weather", arguments: { city: "Oslo" } } },
            { id: "b", type: "function", function: { name: "time", arguments: {} } },
          ],
        },
        { role: "tool", content: "12 °C", name: "weather", tool_call_id: "a" },
        { role: "tool", content: "noon", name: "time", tool_call_id: "b" },
      ],
    });
    expect(forToolTemplate(CONVERSATION.slice(0, 1), undefined)).toEqual({
      messages: [{ role: "user", content: "Hi!" }],
    });
  });

  test("that reads only texts gets all of it in them", () => {
    const { messages, tools } = forPlainTemplate(CONVERSATION, TOOLS);
    expect(tools).toBeUndefined();
    expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user"]);
    expect(messages[0]!.content).toContain(
      '<tools>[{"name":"weather","description":"The weather","parameters":{"type":"object"}}]</tools>',
    );
    expect(messages.slice(2)).toEqual([
      {
        role: "assistant",
        content:
          'Wait. <tool_call>[{"name": "weather", "arguments": {"city": "Oslo"}}, {"name": "time", "arguments": {}}]</tool_call>',
      },
      {
        role: "user",
        content: "<tool_response>\n12 °C\n</tool_response>\n<tool_response>\nnoon\n</tool_response>",
      },
    ]);
    const [system] = forPlainTemplate([{ role: "system", content: "Be brief." }], TOOLS).messages;
    expect(system!.content).toMatch(/^Be brief\.\n\nYou can call functions\./);
  });

  test("is known by what it reads", () => {
    expect(new ChatTemplate(CHATML).asksForTools).toBe(false);
    expect(new ChatTemplate("{% if tools %}{{ tools | tojson }}{% endif %}").asksForTools).toBe(true);
  });
});

describe("an answer", () => {
  const model = { tokenizer: undefined } as Model;
  const TEXT = `Well.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>`;
  const delta = (text: string, finishReason: "stop" | "length" | null = null) => ({
    text,
    logprobs: null,
    tokenIds: undefined,
    finishReason,
  });
  const call = { type: "function", function: { name: "weather", arguments: '{"city": "Oslo"}' } };

  test("has its calls beside its text", () => {
    const whole = (text: string, reason: "stop" | "length") =>
      chatWording(true).choice(model, 0, delta(text, reason)) as ChatChoiceShape;
    expect(whole(TEXT, "stop")).toMatchObject({
      message: { content: "Well.\n", tool_calls: [{ id: expect.stringMatching(/^call_/), ...call }] },
      finish_reason: "tool_calls",
    });
    expect(whole(TEXT.slice(0, -15), "length")).toMatchObject({
      message: { tool_calls: [{ function: { name: "weather", arguments: '{"city": "Oslo"' } }] },
      finish_reason: "length",
    });
    expect(whole(TEXT.slice(6), "stop").message.content).toBeNull();
    expect(whole("Just text <tool_", "stop")).toMatchObject({
      message: { content: "Just text <tool_" },
      finish_reason: "stop",
    });
    const literal = chatWording(false).choice(model, 0, delta(TEXT, "stop")) as ChatChoiceShape;
    expect(literal).toMatchObject({ message: { content: TEXT }, finish_reason: "stop" });
  });

  test.each([1, 3, 7, 200])("is streamed in pieces that say the same, %i characters at a time", (size) => {
    const wording = chatWording(true);
    const parts = TEXT.match(new RegExp(`[^]{1,${size}}`, "g"))!;
    const deltas = [...parts.map((part) => delta(part)), delta("", "stop")];
    // Two choices at the same time do not get into each other.
    const pieces = [0, 1].map(() => [] as ChatPieceShape[]);
    deltas.forEach((one, i) => {
      for (const index of [0, 1])
        pieces[index]!.push(...(wording.pieces(model, index, one, i === 0) as ChatPieceShape[]));
    });
    for (const [index, list] of pieces.entries()) {
      expect(list.every((piece) => piece.index === index)).toBe(true);
      expect(list[0]).toMatchObject({ delta: { role: "assistant", content: null } });
      expect(list.map((piece) => piece.delta.content ?? "").join("")).toBe("Well.\n");
      const calls = list.flatMap((piece) => piece.delta.tool_calls ?? []);
      expect(calls[0]).toMatchObject({ index: 0, id: expect.stringMatching(/^call_/), type: "function" });
      expect(calls.slice(1).every(({ id }) => id === undefined)).toBe(true);
      expect(calls.map((piece) => piece.function.arguments).join("")).toBe('{"city": "Oslo"}');
      expect(list.at(-1)).toMatchObject({ delta: {}, finish_reason: "tool_calls" });
    }
  });
});

test("a model's template for tools takes the place of the other one where there are some", () => {
  const manifest = { chat_template: "plain", named_chat_templates: { tool_use: "tools", rag: "documents" } };
  const model = { manifest, tokenizer: {} } as unknown as Model;
  const written = (withTools: boolean, of = model) =>
    chatTemplate(of, withTools).template.render({ messages: [] });
  expect([written(false), written(true)]).toEqual(["plain", "tools"]);
  const alone = { manifest: { chat_template: "plain" }, tokenizer: {} } as unknown as Model;
  expect(written(true, alone)).toBe("plain");
});
