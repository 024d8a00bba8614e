import type { FinishReason, GenerateChunk, GeneratedLogprob, Score, TokenLogprob } from "../src/index.ts";
import type { Tokenizer } from "../src/tokenizer.ts";
import type { LogprobsShape } from "./schema.ts";

/** What one event adds to a choice. */
export interface Delta {
  text: string;
  logprobs: LogprobsShape | null;
  /** Only of a model without a tokenizer. */
  tokenIds: number[] | undefined;
  finishReason: FinishReason | null;
}

/**
 * A token as OpenAI spells it: its text, or `bytes:\xe2\x80` where it is not whole characters. Without a
 * tokenizer, `token_id:17`.
 */
export function tokenString(tokenizer: Tokenizer | undefined, id: number): string {
  if (!tokenizer) return `token_id:${id}`;
  const bytes = tokenizer.bytes(id);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

/** Unicode code points: OpenAI counts offsets as Python counts characters. */
function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

interface Entry {
  token: string;
  logprob: number | null;
  top: Record<string, number> | null;
  offset: number;
}

/**
 * Puts one choice together in OpenAI's terms, piece by piece.
 *
 * A token's log-probability is handed out when its text is: what the core holds back because a stop string may
 * have begun must not be seen here either.
 */
export class Choice {
  readonly #tokenizer: Tokenizer | undefined;
  readonly #wantsLogprobs: boolean;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Code points that the tokens so far complete. */
  #decoded = 0;
  /** Code points of text handed out. */
  #emitted = 0;
  #held: Entry[] = [];

  constructor(tokenizer: Tokenizer | undefined, wantsLogprobs: boolean) {
    this.#tokenizer = tokenizer;
    this.#wantsLogprobs = wantsLogprobs;
  }

  /** The prompt, where it is to be echoed; `score` where its log-probabilities are asked for. */
  echo(ids: number[], text: string, score: Score | undefined): Delta {
    ids.forEach((id, i) => {
      this.#hold(id, score?.tokenLogprobs[i] ?? null, score?.topLogprobs[i] ?? null);
    });
    return this.#release(text, ids, null);
  }

  add(chunk: GenerateChunk): Delta {
    chunk.ids.forEach((id, i) => {
      const logprob: GeneratedLogprob | undefined = chunk.logprobs?.[i];
      this.#hold(id, logprob?.logprob ?? null, logprob?.top ?? null);
    });
    return this.#release(chunk.text, chunk.ids, chunk.finishReason);
  }

  #hold(id: number, logprob: number | null, top: TokenLogprob[] | null): void {
    if (!this.#wantsLogprobs) return;
    const offset = this.#decoded;
    const token = tokenString(this.#tokenizer, id);
    if (this.#tokenizer)
      this.#decoded += codePoints(this.#decoder.decode(this.#tokenizer.bytes(id), { stream: true }));
    this.#held.push({ token, logprob, top: this.#alternatives(token, logprob, top), offset });
  }

  /** The likeliest tokens and, as OpenAI has it, always the chosen one. The first prompt token has none. */
  #alternatives(token: string, logprob: number | null, top: TokenLogprob[] | null) {
    if (logprob === null) return null;
    const alternatives = new Map<string, number>();
    for (const other of top ?? []) {
      const name = tokenString(this.#tokenizer, other.id);
      if (!alternatives.has(name)) alternatives.set(name, other.logprob);
    }
    if (!alternatives.has(token)) alternatives.set(token, logprob);
    return Object.fromEntries(alternatives);
  }

  #release(text: string, ids: number[], finishReason: FinishReason | null): Delta {
    const tokenIds = this.#tokenizer ? undefined : ids;
    if (!this.#wantsLogprobs) return { text, logprobs: null, tokenIds, finishReason };
    this.#emitted += codePoints(text);
    // Ended by length, the tokens stand even where their last character is incomplete; ended by a stop string,
    // those that made it up do not.
    const all = !this.#tokenizer || finishReason === "length";
    let count = 0;
    while (count < this.#held.length && (all || this.#held[count]!.offset < this.#emitted)) count++;
    const released = this.#held.splice(0, count);
    const logprobs: LogprobsShape = {
      tokens: released.map((entry) => entry.token),
      token_logprobs: released.map((entry) => entry.logprob),
      top_logprobs: released.map((entry) => entry.top),
      text_offset: released.map((entry) => entry.offset),
    };
    return { text, logprobs, tokenIds, finishReason };
  }
}

/** The whole choice from its deltas. */
export function mergeDeltas(deltas: Delta[]): Delta {
  const logprobs = deltas.flatMap((delta) => (delta.logprobs ? [delta.logprobs] : []));
  const withIds = deltas.filter((delta) => delta.tokenIds);
  return {
    text: deltas.map((delta) => delta.text).join(""),
    logprobs:
      logprobs.length === 0
        ? null
        : {
            tokens: logprobs.flatMap((part) => part.tokens),
            token_logprobs: logprobs.flatMap((part) => part.token_logprobs),
            top_logprobs: logprobs.flatMap((part) => part.top_logprobs),
            text_offset: logprobs.flatMap((part) => part.text_offset),
          },
    tokenIds: withIds.length === 0 ? undefined : withIds.flatMap((delta) => delta.tokenIds ?? []),
    finishReason: deltas.at(-1)?.finishReason ?? null,
  };
}
