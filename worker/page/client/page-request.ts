import { MAX_LOGPROBS } from "../../openai/wire/limits.ts";

/** What the page asks for, in the endpoint's own words: the body of POST /v1/completions. */
export interface PageRequest {
  prompt: string | number[];
  max_tokens: number;
  temperature: number;
  top_p: number;
  top_k: number;
  min_p: number;
  repetition_penalty: number;
  presence_penalty: number;
  frequency_penalty: number;
  stop: string[];
  seed: number;
  logprobs: number;
}

/** Alternatives shown for each token: as many as the endpoint gives. */
export const ALTERNATIVES = MAX_LOGPROBS;

/** The library's defaults, at which these fields change nothing. */
export const NEUTRAL: Partial<Record<keyof PageRequest, number>> = {
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
export function effectiveFields(
  request: PageRequest,
  generation: Record<string, number> = {},
): Partial<PageRequest> {
  const defaults: Record<string, unknown> = { ...NEUTRAL, ...generation };
  const isDefault = (field: string, value: unknown) =>
    Array.isArray(value) ? value.length === 0 : value === defaults[field];
  return Object.fromEntries(Object.entries(request).filter(([field, value]) => !isDefault(field, value)));
}
