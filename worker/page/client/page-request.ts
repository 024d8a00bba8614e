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

function isNeutral(field: string, value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return value === NEUTRAL[field as keyof PageRequest];
}

/** The fields of a request that change anything: the others need not be sent. */
export function effectiveFields(request: PageRequest): Partial<PageRequest> {
  return Object.fromEntries(Object.entries(request).filter(([field, value]) => !isNeutral(field, value)));
}
