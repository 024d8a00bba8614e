import { EdgeformerError } from "./errors.ts";

/** Most alternatives per token that can be asked for. */
export const MAX_LOGPROBS = 100;

/** How to turn logits into tokens. Defaults in brackets. */
export interface SamplingOptions {
  /** 0 takes the likeliest token; up to 2. [1] */
  temperature?: number;
  /** Keep only this many likeliest tokens; 0 keeps all. [0] */
  topK?: number;
  /** Keep the likeliest tokens whose probabilities add up to this, (0, 1]. [1] (Holtzman et al. 2020) */
  topP?: number;
  /** Drop tokens less likely than this share of the likeliest, [0, 1]. [0] */
  minP?: number;
  /** Same seed, same text, on every runtime; an integer from 0 to 2^53 − 1. [random] */
  seed?: number;
  /** Logits of tokens seen so far are divided (if positive) or multiplied by this, (0, 10]. [1] (CTRL, Keskar et al. 2019) */
  repetitionPenalty?: number;
  /** Subtracted from the logits of tokens generated so far, −2 to 2. [0] */
  presencePenalty?: number;
  /** Subtracted once for each time that the token was generated, −2 to 2. [0] */
  frequencyPenalty?: number;
  /** Added to the logits of these token ids, −100 to 100. */
  logitBias?: Record<number, number>;
}

export interface GenerateOptions extends SamplingOptions {
  /** Tokens to generate at most; 0 only reads the prompt. [16] */
  maxTokens?: number;
  /** Ends the text before the first occurrence of one of these, up to 16 strings. */
  stop?: string | string[];
  /** Ends the text at one of these token ids. */
  stopTokenIds?: number[];
  /** Goes on after the end-of-text token. [false] */
  ignoreEos?: boolean;
  /** The end-of-text and stop tokens are impossible before this many tokens. [0] */
  minTokens?: number;
  /** Report log-probabilities of each token and of this many alternatives, 0 to 100. [not reported] */
  logprobs?: number;
  signal?: AbortSignal;
}

export type ResolvedSampling = Required<Omit<SamplingOptions, "logitBias">> & {
  logitBias: [number, number][];
};

export interface ResolvedOptions extends ResolvedSampling {
  maxTokens: number;
  stop: string[];
  stopTokenIds: number[];
  ignoreEos: boolean;
  minTokens: number;
  logprobs: number | undefined;
  signal: AbortSignal | undefined;
}

function invalid(param: string, message: string): never {
  throw new EdgeformerError("invalid_option", `${param} ${message}`, { param });
}

function number(value: unknown, param: string, fallback: number, minimum: number, maximum: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= minimum && value <= maximum))
    invalid(param, `must be a number from ${minimum} to ${maximum}`);
  return value;
}

function integer(value: unknown, param: string, fallback: number, minimum: number, maximum: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > maximum)
    invalid(param, `must be an integer from ${minimum} to ${maximum}`);
  return value;
}

/** A seed that nobody chose: 32 random bits of the platform. */
function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

/**
 * Checks every option and fills in the defaults.
 *
 * @param vocabSize token ids must lie below it
 * @throws EdgeformerError `invalid_option` with `param`
 */
export function resolveOptions(options: GenerateOptions, vocabSize: number): ResolvedOptions {
  if (typeof options !== "object" || options === null) invalid("options", "must be an object");
  const stop =
    options.stop === undefined ? [] : typeof options.stop === "string" ? [options.stop] : options.stop;
  if (!Array.isArray(stop) || stop.length > 16 || !stop.every((s) => typeof s === "string" && s !== ""))
    invalid("stop", "must be up to 16 strings, none empty");
  const tokenId = (value: unknown): value is number =>
    typeof value === "number" && Number.isInteger(value) && value >= 0 && value < vocabSize;
  const stopTokenIds = options.stopTokenIds ?? [];
  if (!Array.isArray(stopTokenIds) || !stopTokenIds.every(tokenId))
    invalid("stopTokenIds", `must be token ids from 0 to ${vocabSize - 1}`);
  if (typeof (options.logitBias ?? {}) !== "object") invalid("logitBias", "must be an object");
  const logitBias = Object.entries(options.logitBias ?? {}).map(([id, bias]): [number, number] => {
    if (!/^\d+$/.test(id) || !tokenId(Number(id)))
      invalid("logitBias", `names the token ${JSON.stringify(id)}; ids go from 0 to ${vocabSize - 1}`);
    return [Number(id), number(bias, "logitBias", 0, -100, 100)];
  });
  const repetitionPenalty = number(options.repetitionPenalty, "repetitionPenalty", 1, 0, 10);
  if (repetitionPenalty === 0) invalid("repetitionPenalty", "must be above 0");
  const topP = number(options.topP, "topP", 1, 0, 1);
  if (options.ignoreEos !== undefined && typeof options.ignoreEos !== "boolean")
    invalid("ignoreEos", "must be true or false");
  return {
    temperature: number(options.temperature, "temperature", 1, 0, 2),
    topK: integer(options.topK, "topK", 0, 0, vocabSize),
    topP,
    minP: number(options.minP, "minP", 0, 0, 1),
    seed: integer(options.seed, "seed", -1, 0, Number.MAX_SAFE_INTEGER) >= 0 ? options.seed! : randomSeed(),
    repetitionPenalty,
    presencePenalty: number(options.presencePenalty, "presencePenalty", 0, -2, 2),
    frequencyPenalty: number(options.frequencyPenalty, "frequencyPenalty", 0, -2, 2),
    logitBias,
    maxTokens: integer(options.maxTokens, "maxTokens", 16, 0, Number.MAX_SAFE_INTEGER),
    stop,
    stopTokenIds,
    ignoreEos: options.ignoreEos ?? false,
    minTokens: integer(options.minTokens, "minTokens", 0, 0, Number.MAX_SAFE_INTEGER),
    logprobs:
      options.logprobs === undefined ? undefined : integer(options.logprobs, "logprobs", 0, 0, MAX_LOGPROBS),
    signal: options.signal,
  };
}
