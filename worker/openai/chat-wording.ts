import type { Tokenizer } from "../../src/index.ts";
import type { ChatChoiceShape, ChatLogprobsShape, ChatPieceShape } from "./wire/answers.ts";
import { type Delta, type ShownToken, tokenString } from "./wire/choice.ts";
import type { Wording } from "./wording.ts";

/** The tokens of the message: what ended it is none of them. */
const tokensOf = (shown: readonly ShownToken[] | undefined) => (shown ?? []).filter(({ ends }) => !ends);

function chatLogprobs(tokenizer: Tokenizer | undefined, shown: ShownToken[]): ChatLogprobsShape {
  const word = (id: number, logprob: number | null) => ({
    token: tokenString(tokenizer, id),
    logprob: logprob ?? 0,
    bytes: tokenizer ? Array.from(tokenizer.bytes(id)) : null,
  });
  return {
    content: tokensOf(shown).map(({ id, logprob, top }) => ({
      ...word(id, logprob),
      top_logprobs: top.map((other) => word(other.id, other.logprob)),
    })),
    refusal: null,
  };
}

/** The log-probabilities in an event of a stream: null where the delta shows no token. */
function pieceLogprobs(tokenizer: Tokenizer | undefined, { shown }: Delta): ChatLogprobsShape | null {
  return shown && tokensOf(shown).length > 0 ? chatLogprobs(tokenizer, shown) : null;
}

/** OpenAI's chat completions. */
export const chatWording: Wording = {
  prefix: "chatcmpl-",
  object: "chat.completion",
  chunk: "chat.completion.chunk",
  choice: ({ tokenizer }, index, { text, logprobs, shown, finishReason }): ChatChoiceShape => ({
    index,
    message: { role: "assistant", content: text, refusal: null },
    logprobs: logprobs && chatLogprobs(tokenizer, shown ?? []),
    finish_reason: finishReason ?? "length",
  }),
  pieces: ({ tokenizer }, index, delta, first): ChatPieceShape[] => {
    const { text, finishReason } = delta;
    const logprobs = pieceLogprobs(tokenizer, delta);
    const pieces: ChatPieceShape[] = [];
    if (first)
      pieces.push({ index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null });
    // Every token makes an event. An end of text that shows nothing makes only the last one.
    if (finishReason === null || text !== "" || logprobs)
      pieces.push({ index, delta: { content: text }, logprobs, finish_reason: null });
    if (finishReason !== null) pieces.push({ index, delta: {}, logprobs: null, finish_reason: finishReason });
    return pieces;
  },
};
