import type { ChatMessage } from "../../../src/chat.ts";
import type { SchemaFormat } from "../../openai/wire/asked-format.ts";
import { MAX_LOGPROBS } from "../../openai/wire/limits.ts";

/** What says how to generate, under the endpoint's names. */
export interface SamplingFields {
  temperature: number;
  top_p: number;
  top_k: number;
  min_p: number;
  repetition_penalty: number;
  presence_penalty: number;
  frequency_penalty: number;
  stop: string[];
  seed: number;
}

/** The body of POST /v1/completions. */
export interface CompletionFields extends SamplingFields {
  prompt: string | number[];
  max_tokens: number;
  logprobs: number;
}

/** The body of POST /v1/chat/completions. */
export interface ChatFields extends SamplingFields {
  messages: ChatMessage[];
  max_completion_tokens: number;
  /** Sent where the template asks for it, so that the browser and the server take the same day. */
  chat_template_date?: string;
  /** Sent where the answer is not to be plain text. */
  response_format?: SchemaFormat;
  logprobs: true;
  top_logprobs: number;
}

/** What the page asks for, in the endpoint's own words. */
export type PageRequest = CompletionFields | ChatFields;

/** Alternatives shown for each token: as many as both endpoints give. */
export const ALTERNATIVES = MAX_LOGPROBS;

/** The library's defaults, at which these fields change nothing. */
export const NEUTRAL: Partial<Record<keyof SamplingFields, number>> = {
  temperature: 1,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  repetition_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
};

/**
 * The fields of a request that change anything: the others need not be sent.
 *
 * @param generation the model's own defaults, which hold for a field that is left out
 */
export function effectiveFields<Fields extends PageRequest>(
  request: Fields,
  generation: Record<string, number> = {},
): Partial<Fields> {
  const defaults: Record<string, unknown> = { ...NEUTRAL, ...generation };
  const isDefault = (field: string, value: unknown) =>
    Array.isArray(value) ? value.length === 0 : value === defaults[field];
  return Object.fromEntries(
    Object.entries(request).filter(([field, value]) => !isDefault(field, value)),
  ) as Partial<Fields>;
}
