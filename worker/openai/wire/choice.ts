import { toHex } from "../../../src/hex.ts";
import type {
  FinishReason,
  GenerateChunk,
  GeneratedLogprob,
  Score,
  TokenLogprob,
} from "../../../src/index.ts";
import type { Tokenizer } from "../../../src/text/tokenizer.ts";
import type { LogprobsShape } from "./answers.ts";

/** A token whose text was handed out, as the model knows it. */
export interface ShownToken {
  id: number;
  /** Null for the first prompt token. */
  logprob: number | null;
  /** The likeliest tokens at its place. */
  top: TokenLogprob[];
  /** Whether it ended the text, of which it is no part. */
  ends: boolean;
}

/** What one event adds to a choice. */
export interface Delta {
  text: string;
  logprobs: LogprobsShape | null;
  /** The tokens of `logprobs` before they were worded; left out of a delta that came over the wire. */
  shown?: ShownToken[];
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
    return `bytes:${toHex(bytes).replace(/../g, "\\x$&")}`;
  }
}

/** Unicode code points: OpenAI counts offsets as Python counts characters. */
function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

interface Entry extends ShownToken {
  token: string;
  alternatives: Record<string, number> | null;
  /** First code point, and the one after the last. */
  offset: number;
  end: number;
}

/** Whether bytes stop in the middle of a UTF-8 character. */
function endsInside(bytes: readonly number[]): boolean {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte >> 6 === 0b10) continue;
    return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1) > back;
  }
  return false;
}

/**
 * Puts one choice together in OpenAI's terms, piece by piece.
 *
 * A token's log-probability is handed out once all of its text has been. Text that the core holds back, because a
 * stop string may have begun in it, must not show up in the log-probabilities either.
 */
export class Choice {
  readonly #tokenizer: Tokenizer | undefined;
  readonly #wantsLogprobs: boolean;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** The last bytes decoded, up to three: what an unfinished character can have. */
  #tail: number[] = [];
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
      this.#hold(id, score?.tokenLogprobs[i] ?? null, score?.topLogprobs[i] ?? []);
    });
    // The completion is decoded on its own, so a character that the prompt leaves unfinished stays unfinished.
    this.#decoded += codePoints(this.#decoder.decode());
    this.#tail = [];
    return this.#release(text, ids, null);
  }

  add(chunk: GenerateChunk): Delta {
    chunk.ids.forEach((id, i) => {
      const logprob: GeneratedLogprob | undefined = chunk.logprobs?.[i];
      this.#hold(id, logprob?.logprob ?? null, logprob?.top ?? []);
    });
    const { stopLogprob } = chunk;
    if (stopLogprob) this.#hold(stopLogprob.id, stopLogprob.logprob, stopLogprob.top, true);
    return this.#release(chunk.text, chunk.ids, chunk.finishReason);
  }

  #hold(id: number, logprob: number | null, top: TokenLogprob[], ends = false): void {
    if (!this.#wantsLogprobs) return;
    const offset = this.#decoded;
    const token = tokenString(this.#tokenizer, id);
    if (this.#tokenizer && !ends) {
      const bytes = this.#tokenizer.bytes(id);
      this.#decoded += codePoints(this.#decoder.decode(bytes, { stream: true }));
      this.#tail = [...this.#tail, ...bytes].slice(-3);
    }
    const end = this.#decoded + (endsInside(this.#tail) ? 1 : 0);
    const alternatives = this.#alternatives(token, logprob, top);
    this.#held.push({ id, token, logprob, top, alternatives, offset, end, ends });
  }

  /** The likeliest tokens and, as OpenAI has it, always the chosen one. The first prompt token has none. */
  #alternatives(token: string, logprob: number | null, top: TokenLogprob[]) {
    if (logprob === null) return null;
    const alternatives = new Map<string, number>();
    for (const other of top) {
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
    // A token that a stop string cuts into is not shown. A text that ends by its length shows all of its tokens.
    const all = finishReason === "length";
    let count = 0;
    while (count < this.#held.length && (all || this.#held[count]!.end <= this.#emitted)) count++;
    const released = this.#held.splice(0, count);
    const logprobs: LogprobsShape = {
      tokens: released.map((entry) => entry.token),
      token_logprobs: released.map((entry) => entry.logprob),
      top_logprobs: released.map((entry) => entry.alternatives),
      text_offset: released.map((entry) => entry.offset),
    };
    const shown = released.map(({ id, logprob, top, ends }): ShownToken => ({ id, logprob, top, ends }));
    return { text, logprobs, shown, tokenIds, finishReason };
  }
}

/** A choice of which nothing has come yet. */
export function emptyDelta(): Delta {
  return { text: "", logprobs: null, shown: [], tokenIds: undefined, finishReason: null };
}

/** Adds what came next to a choice. */
export function appendDelta(whole: Delta, { text, logprobs, shown, tokenIds, finishReason }: Delta): void {
  whole.text += text;
  if (logprobs !== null) {
    whole.logprobs ??= { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
    for (const field of ["tokens", "token_logprobs", "top_logprobs", "text_offset"] as const)
      for (const entry of logprobs[field]) (whole.logprobs[field] as unknown[]).push(entry);
  }
  for (const entry of shown ?? []) (whole.shown ??= []).push(entry);
  if (tokenIds !== undefined) for (const id of tokenIds) (whole.tokenIds ??= []).push(id);
  whole.finishReason = finishReason;
}

/** The whole choice from its deltas. */
export function mergeDeltas(deltas: Delta[]): Delta {
  const whole = emptyDelta();
  for (const delta of deltas) appendDelta(whole, delta);
  return whole;
}
