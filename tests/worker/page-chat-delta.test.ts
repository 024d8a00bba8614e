import { expect, test } from "vitest";
import type { ChatPieceShape } from "../../worker/openai/wire/answers.ts";
import type { Delta } from "../../worker/openai/wire/choice.ts";
import { ChatDeltas, withoutEnd } from "../../worker/page/client/chat-delta.ts";

function piece(content: string | undefined, tokens: [token: string, bytes: number[]][]): ChatPieceShape {
  return {
    index: 0,
    delta: content === undefined ? {} : { content },
    logprobs: {
      content: tokens.map(([token, bytes]) => ({
        ...{ token, bytes, logprob: -2 },
        top_logprobs: [{ token: "other", bytes: [111], logprob: -0.5 }],
      })),
      refusal: null,
    },
    finish_reason: null,
  };
}

const utf8 = (text: string) => [...new TextEncoder().encode(text)];

test("a chat's tokens get the offsets that a completion's have: in code points, also within a character", () => {
  const deltas = new ChatDeltas();
  const [fox, half] = [utf8("🦊"), 2];
  const read = [
    piece("a", [["a", utf8("a")]]),
    piece("", [["bytes:\\xf0\\x9f", fox.slice(0, half)]]),
    piece("🦊é", [
      ["bytes:\\xa6\\x8a", fox.slice(half)],
      ["é", utf8("é")],
    ]),
    piece("b", [["b", utf8("b")]]),
  ].map((event) => deltas.read(event));
  expect(read.map(({ text }) => text).join("")).toBe("a🦊éb");
  expect(read.flatMap(({ logprobs }) => logprobs?.text_offset)).toEqual([0, 1, 1, 2, 3]);
});

test("the chosen token is among the alternatives, and events without tokens have none", () => {
  const deltas = new ChatDeltas();
  expect(deltas.read(piece("a", [["a", utf8("a")]])).logprobs?.top_logprobs).toEqual([
    { a: -2, other: -0.5 },
  ]);
  const end: ChatPieceShape = { index: 0, delta: {}, logprobs: null, finish_reason: "stop" };
  expect(deltas.read(end)).toEqual({ text: "", logprobs: null, tokenIds: undefined, finishReason: "stop" });
});

test("the token that ended a text is left out, as the chat endpoint leaves it out", () => {
  const shown = [false, true].map((ends, id) => ({ id, logprob: -1, top: [], ends }));
  const delta: Delta = {
    text: "a",
    logprobs: {
      tokens: ["a", "<|im_end|>"],
      token_logprobs: [-1, -2],
      top_logprobs: [{ a: -1 }, { "<|im_end|>": -2 }],
      text_offset: [0, 1],
    },
    shown,
    tokenIds: undefined,
    finishReason: "stop",
  };
  expect(withoutEnd(delta).logprobs).toEqual({
    tokens: ["a"],
    token_logprobs: [-1],
    top_logprobs: [{ a: -1 }],
    text_offset: [0],
  });
  const none: Delta = { ...delta, logprobs: null };
  expect(withoutEnd(none)).toBe(none);
});
