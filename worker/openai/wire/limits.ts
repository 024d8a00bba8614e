/** Most alternatives per token that OpenAI's completions report. */
export const MAX_LOGPROBS = 5;

/** Most alternatives per token that OpenAI's chat completions report. */
export const MAX_TOP_LOGPROBS = 20;
