import type { Plan } from "./completions-plan.ts";

/** What a token of an answer takes at most until the answer is whole: its text, and its share of the JSON. */
const TOKEN_BYTES = 100;
/** The same of a token that is reported, and of each alternative to it; measured in tests/worker/memory.test.ts. */
const REPORTED_BYTES = 650;
const ALTERNATIVE_BYTES = 300;

/** What a character of a stop string takes, and a bias. */
const CHARACTER_BYTES = 2;
const BIAS_BYTES = 100;

/** Memory that a request and its answer take at most while it waits and is computed, in bytes. */
export function answerBytes({ request, prompts, candidates, heldTo }: Plan): number {
  const { stream, echo, logprobs, max_tokens: maxTokens, stop, logit_bias } = request;
  const asked =
    CHARACTER_BYTES * [stop ?? []].flat().reduce((sum, { length }) => sum + length, 0) +
    BIAS_BYTES * Object.keys(logit_bias ?? {}).length +
    (heldTo?.bytes ?? 0);
  const perToken = logprobs === undefined ? TOKEN_BYTES : REPORTED_BYTES + ALTERNATIVE_BYTES * logprobs;
  const promptTokens = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
  const texts = prompts.length * candidates;
  // What is streamed is gone; the scores of prompts are kept until the last choice has echoed them.
  const kept = stream ? 0 : texts * maxTokens + (echo ? candidates * promptTokens : 0);
  const scored = echo && logprobs !== undefined ? promptTokens : 0;
  return asked + TOKEN_BYTES * (promptTokens + texts) + perToken * (kept + scored);
}
