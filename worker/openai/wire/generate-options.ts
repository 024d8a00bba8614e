import type { GenerateOptions } from "../../../src/index.ts";

/** The fields of a request that say how to generate, under the endpoint's names. */
export interface GenerationFields {
  max_tokens?: number | undefined;
  min_tokens?: number | undefined;
  temperature?: number | undefined;
  top_p?: number | undefined;
  /** 0 or −1 keeps all tokens. */
  top_k?: number | undefined;
  min_p?: number | undefined;
  stop?: string | string[] | undefined;
  stop_token_ids?: number[] | undefined;
  ignore_eos?: boolean | undefined;
  presence_penalty?: number | undefined;
  frequency_penalty?: number | undefined;
  repetition_penalty?: number | undefined;
  logit_bias?: Record<string, number> | undefined;
  /** −2^63 to 2^64 − 1; a negative one is the unsigned one of the same 64 bits. */
  seed?: number | bigint | undefined;
}

/**
 * The library's options for one choice of a request. The endpoint and the page's own model both read a request with
 * it, so that both give the same text.
 *
 * @param candidate index of the choice among those of its prompt; it moves the seed
 */
export function generateOptions(fields: GenerationFields, candidate = 0): GenerateOptions {
  return {
    maxTokens: fields.max_tokens,
    minTokens: fields.min_tokens,
    temperature: fields.temperature,
    topP: fields.top_p,
    topK: fields.top_k === -1 ? 0 : fields.top_k,
    minP: fields.min_p,
    stop: fields.stop === "" ? undefined : fields.stop,
    stopTokenIds: fields.stop_token_ids,
    ignoreEos: fields.ignore_eos,
    presencePenalty: fields.presence_penalty,
    frequencyPenalty: fields.frequency_penalty,
    repetitionPenalty: fields.repetition_penalty,
    logitBias: fields.logit_bias,
    seed: fields.seed === undefined ? undefined : seedOf(fields.seed, candidate),
  };
}

/** Seeds of neighbouring candidates differ; the core counts from 0 to 2^64 − 1. */
function seedOf(seed: number | bigint, candidate: number): bigint {
  return BigInt.asUintN(64, BigInt(seed) + BigInt(candidate));
}
