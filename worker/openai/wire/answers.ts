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

/** `tool_calls` in place of `stop` where the answer calls a tool. */
export type ChatFinishReason = FinishReason | "tool_calls";

/** A call of a tool; `arguments` is JSON. */
export interface ToolCallShape {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export interface ChatChoiceShape {
  index: number;
  message: {
    role: "assistant";
    /** Null where there are calls and nothing else. */
    content: string | null;
    refusal: null;
    tool_calls?: ToolCallShape[] | undefined;
  };
  logprobs: ChatLogprobsShape | null;
  finish_reason: ChatFinishReason;
}

/** What an event of a streamed chat adds to a call: first all but the arguments, then these piece by piece. */
export interface ToolCallPieceShape {
  index: number;
  id?: string | undefined;
  type?: "function" | undefined;
  function: { name?: string | undefined; arguments: string };
}

/** What an event of a streamed chat adds to a choice. */
export interface ChatPieceShape {
  index: number;
  delta: {
    role?: "assistant" | undefined;
    content?: string | null | undefined;
    tool_calls?: ToolCallPieceShape[] | undefined;
  };
  logprobs: ChatLogprobsShape | null;
  finish_reason: ChatFinishReason | null;
}

/** OpenAI's error body. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}
