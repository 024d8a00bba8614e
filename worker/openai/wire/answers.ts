// The endpoint's answers as types. answer-schemas.ts has the same as schemas, and compiles only if they agree.

import type { FinishReason } from "../../../src/index.ts";

/** OpenAI's legacy log-probabilities; entry i of each list belongs to token i. */
export interface LogprobsShape {
  tokens: string[];
  token_logprobs: (number | null)[];
  top_logprobs: (Record<string, number> | null)[];
  /** Where in the choice's text each token starts, in Unicode code points. */
  text_offset: number[];
}

export interface UsageShape {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

export interface ChoiceShape {
  index: number;
  text: string;
  logprobs: LogprobsShape | null;
  finish_reason: FinishReason | null;
  /** Only of a model without a tokenizer, whose text is empty. */
  token_ids?: number[] | undefined;
}

/** A whole completion, or an event of a streamed one. */
export interface CompletionShape {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  system_fingerprint: string;
  choices: ChoiceShape[];
  usage?: UsageShape | null | undefined;
}

/** A token as the chat endpoint reports it. */
interface ChatTokenShape {
  token: string;
  logprob: number;
  /** Null for a model without a tokenizer. */
  bytes: number[] | null;
}

export interface ChatLogprobsShape {
  content: (ChatTokenShape & { top_logprobs: ChatTokenShape[] })[];
  refusal: null;
}

export interface ChatChoiceShape {
  index: number;
  message: { role: "assistant"; content: string; refusal: null };
  logprobs: ChatLogprobsShape | null;
  finish_reason: FinishReason;
}

/** What an event of a streamed chat adds to a choice. */
export interface ChatPieceShape {
  index: number;
  delta: { role?: "assistant" | undefined; content?: string | undefined };
  logprobs: ChatLogprobsShape | null;
  finish_reason: FinishReason | null;
}

/** OpenAI's error body. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}
