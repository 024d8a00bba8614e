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

/** Alternatives shown for each token; as many as OpenAI's endpoint reports. */
export const ALTERNATIVES = 5;

/** Settings at which a parameter does nothing: they need not be sent. */
const NEUTRAL: Partial<Record<keyof PageRequest, number>> = {
  temperature: 1,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  repetition_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
};

/** The fields of a request that change anything. */
export function spoken(request: PageRequest): Partial<PageRequest> {
  return Object.fromEntries(
    Object.entries(request).filter(
      ([key, value]) =>
        value !== NEUTRAL[key as keyof PageRequest] && !(Array.isArray(value) && value.length === 0),
    ),
  );
}
