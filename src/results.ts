import type { SharingOptions } from "./sharing.ts";

/**
 * Log-probability of a token, natural logarithm, from the model's own distribution (before temperature and filters).
 * Under a constraint the distribution is restricted to the tokens that it allows, whose probabilities add up to 1.
 */
export interface TokenLogprob {
  id: number;
  logprob: number;
}

export interface GeneratedLogprob extends TokenLogprob {
  /** The likeliest tokens at this place, most likely first. */
  top: TokenLogprob[];
}

/** `stop`: end-of-text, a stop token or a stop string; `length`: `maxTokens` or the context was reached. */
export type FinishReason = "stop" | "length";

/** What a generation cost, in tokens. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  /** Prompt tokens whose keys and values came from the cache. */
  cachedTokens: number;
  /** Generated tokens that had no alternative under the constraint, so that none had to be drawn; only with one. */
  forcedTokens?: number;
}

/** One step of a generation. */
export interface GenerateChunk {
  /** Text that became certain: complete characters, no part of a stop string. May be empty. */
  text: string;
  /** Tokens generated in this step; a stop token is not among them. */
  ids: number[];
  /** One entry for each of `ids`, where asked for. */
  logprobs?: GeneratedLogprob[];
  /** Of the token that ended the text, which is not among `ids`: on the last chunk, where there was one and it was asked for. */
  stopLogprob?: GeneratedLogprob;
  /** Set on the last chunk only. */
  finishReason: FinishReason | null;
  /** On the last chunk only. */
  usage?: Usage;
}

/** A whole completion. */
export interface Completion {
  text: string;
  ids: number[];
  logprobs?: GeneratedLogprob[];
  /** Of the token that ended the text, which is not among `ids`; where there was one and it was asked for. */
  stopLogprob?: GeneratedLogprob;
  finishReason: FinishReason;
  usage: Usage;
}

/** How likely a text is, token by token. */
export interface Score {
  ids: number[];
  /** log p(ids[i] | ids[0…i−1]); null for the first. */
  tokenLogprobs: (number | null)[];
  /** The likeliest tokens at each place; null for the first. */
  topLogprobs: (TokenLogprob[] | null)[];
  /** exp(−mean of tokenLogprobs). */
  perplexity: number;
}

/** What score() reports besides the log-probability of each token. */
export interface ScoreOptions extends SharingOptions {
  /** Alternatives per token, 0 to 100. [0] */
  topLogprobs?: number;
  signal?: AbortSignal;
}
