import { type CallPiece, CallReader } from "../../src/constrain/calls/index.ts";
import type { FinishReason, Tokenizer } from "../../src/index.ts";
import type {
  ChatChoiceShape,
  ChatFinishReason,
  ChatLogprobsShape,
  ChatPieceShape,
  ToolCallShape,
} from "./wire/answers.ts";
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

const newCallId = () => `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;

/** A whole answer that may call tools. */
function readMessage(text: string): { content: string | null; calls: ToolCallShape[] } {
  let content = "";
  const calls: ToolCallShape[] = [];
  for (const piece of new CallReader().push(text, true)) {
    if (piece.kind === "text") content += piece.text;
    else if (piece.kind === "call")
      calls.push({ id: newCallId(), type: "function", function: { name: piece.name, arguments: "" } });
    else calls[piece.call]!.function.arguments += piece.json;
  }
  return { content: calls.length > 0 && content.trim() === "" ? null : content, calls };
}

function callDelta(piece: CallPiece): ChatPieceShape["delta"] {
  switch (piece.kind) {
    case "text":
      return { content: piece.text };
    case "call":
      return {
        tool_calls: [
          {
            index: piece.call,
            id: newCallId(),
            type: "function",
            function: { name: piece.name, arguments: "" },
          },
        ],
      };
    case "arguments":
      return { tool_calls: [{ index: piece.call, function: { arguments: piece.json } }] };
  }
}

const finishReasonOf = (finishReason: FinishReason, calls: number): ChatFinishReason =>
  finishReason === "stop" && calls > 0 ? "tool_calls" : finishReason;

/**
 * OpenAI's chat completions, for one request.
 *
 * @param mayCall whether its answers may call tools, so that calls in their text are calls
 */
export function chatWording(mayCall: boolean): Wording {
  /** One for each choice of a stream. */
  const readers = new Map<number, CallReader>();
  const readerOf = (index: number): CallReader => {
    const reader = readers.get(index) ?? new CallReader();
    readers.set(index, reader);
    return reader;
  };
  const head = { prefix: "chatcmpl-", object: "chat.completion", chunk: "chat.completion.chunk" };
  return {
    ...head,
    choice: ({ tokenizer }, index, { text, logprobs, shown, finishReason }): ChatChoiceShape => {
      const { content, calls } = mayCall ? readMessage(text) : { content: text, calls: [] };
      return {
        index,
        message: {
          role: "assistant",
          content,
          refusal: null,
          ...(calls.length > 0 && { tool_calls: calls }),
        },
        logprobs: logprobs && chatLogprobs(tokenizer, shown ?? []),
        finish_reason: finishReasonOf(finishReason ?? "length", calls.length),
      };
    },
    pieces: ({ tokenizer }, index, delta, first): ChatPieceShape[] => {
      const { text, finishReason } = delta;
      const reader = mayCall ? readerOf(index) : undefined;
      const deltas: ChatPieceShape["delta"][] = reader
        ? reader.push(text, finishReason !== null).map(callDelta)
        : // Every token makes an event. An end of text that shows nothing makes only the last one.
          finishReason === null || text !== ""
          ? [{ content: text }]
          : [];
      const logprobs = pieceLogprobs(tokenizer, delta);
      if (logprobs && deltas.length === 0) deltas.push({ content: "" });
      const pieces = deltas.map(
        (one, i): ChatPieceShape => ({
          index,
          delta: one,
          logprobs: i === 0 ? logprobs : null,
          finish_reason: null,
        }),
      );
      if (first) {
        const content = mayCall ? null : "";
        pieces.unshift({ index, delta: { role: "assistant", content }, logprobs: null, finish_reason: null });
      }
      if (finishReason !== null)
        pieces.push({
          index,
          delta: {},
          logprobs: null,
          finish_reason: finishReasonOf(finishReason, reader?.calls ?? 0),
        });
      return pieces;
    },
  };
}
