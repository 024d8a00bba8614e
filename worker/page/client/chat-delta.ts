// What the chat endpoint streams, as the page draws and compares it. Its events give each token's bytes and no offset.
import type { ChatPieceShape } from "../../openai/wire/answers.ts";
import type { Delta } from "../../openai/wire/choice.ts";

/** Reads the events of one streamed chat completion. */
export class ChatDeltas {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Code points that the tokens so far complete. */
  #decoded = 0;

  read({ delta, logprobs, finish_reason }: ChatPieceShape): Delta {
    const tokens = logprobs?.content ?? [];
    return {
      text: delta.content ?? "",
      logprobs: logprobs && {
        tokens: tokens.map(({ token }) => token),
        token_logprobs: tokens.map(({ logprob }) => logprob),
        // As in the completions, the chosen token is always among the alternatives.
        top_logprobs: tokens.map(({ token, logprob, top_logprobs }) => ({
          [token]: logprob,
          ...Object.fromEntries(top_logprobs.map((other) => [other.token, other.logprob])),
        })),
        text_offset: tokens.map(({ bytes }) => this.#advance(bytes ?? [])),
      },
      tokenIds: undefined,
      // The page gives no tools, so that nothing is called.
      finishReason: finish_reason === "tool_calls" ? "stop" : finish_reason,
    };
  }

  /** The offset of a token, in code points. */
  #advance(bytes: number[]): number {
    const offset = this.#decoded;
    this.#decoded += [...this.#decoder.decode(Uint8Array.from(bytes), { stream: true })].length;
    return offset;
  }
}

/** A delta of the library without the token that ended the text: the chat endpoint does not report it. */
export function withoutEnd(delta: Delta): Delta {
  const { logprobs, shown } = delta;
  if (!logprobs || !shown?.some(({ ends }) => ends)) return delta;
  const keep = <T>(list: T[]) => list.filter((_, i) => !shown[i]!.ends);
  return {
    ...delta,
    logprobs: {
      tokens: keep(logprobs.tokens),
      token_logprobs: keep(logprobs.token_logprobs),
      top_logprobs: keep(logprobs.top_logprobs),
      text_offset: keep(logprobs.text_offset),
    },
  };
}
