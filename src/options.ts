import { EdgeformerError } from "./errors.ts";
import type { GenerationConfig } from "./format/generation.ts";
import { SAMPLING_RANGES } from "./sampling-ranges.ts";
import type { TokenConstraint } from "./serving/restriction.ts";
import { resolveSharing, type SharingOptions } from "./sharing.ts";

/** Most alternatives per token that can be asked for. */
export const MAX_LOGPROBS = 100;

/** Most stop strings that a generation can have. */
export const MAX_STOP_STRINGS = 16;

/** The greatest seed: 2^64 − 1. */
export const MAX_SEED = 2n ** 64n - 1n;

/** How to turn logits into tokens. Defaults in brackets; a model may have others (`manifest.generation`). */
export interface SamplingOptions {
  /** 0 takes the likeliest token; up to 2. [1] */
  temperature?: number;
  /** Keep only this many likeliest tokens; 0 keeps all. [0] */
  topK?: number;
  /** Keep the likeliest tokens whose probabilities add up to this, [0, 1]; 0 keeps the likeliest alone. [1] (Holtzman et al. 2020) */
  topP?: number;
  /** Drop tokens less likely than this share of the likeliest, [0, 1]. [0] */
  minP?: number;
  /**
   * Same seed, same text, on every runtime: an integer from 0 to 2^53 − 1, or a bigint from 0 to 2^64 − 1. Equal
   * integers are the same seed, whichever type they have. [random]
   */
  seed?: number | bigint;
  /** Logits of tokens seen so far are divided (if positive) or multiplied by this, [0.01, 10]. [1] (CTRL, Keskar et al. 2019) */
  repetitionPenalty?: number;
  /** Subtracted from the logits of tokens generated so far, −2 to 2. [0] */
  presencePenalty?: number;
  /** Subtracted once for each time that the token was generated, −2 to 2. [0] */
  frequencyPenalty?: number;
  /** Added to the logits of these token ids; each from −100 to 100. */
  logitBias?: Record<number, number>;
}

/** The options that a model's authors chose for it: what holds where a generation is silent. */
export type SamplingDefaults = Pick<
  SamplingOptions,
  "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty"
>;

export interface GenerateOptions extends SamplingOptions, SharingOptions {
  /** Tokens to generate at most; 0 only reads the prompt. [16] */
  maxTokens?: number;
  /** Ends the text before the first occurrence of one of these, up to 16 strings. */
  stop?: string | string[];
  /** Ends the text at one of these token ids. */
  stopTokenIds?: number[];
  /** Goes on after the end-of-text token. [false] */
  ignoreEos?: boolean;
  /** The end-of-text and stop tokens are impossible, and stop strings do not count, before this many tokens. [0] */
  minTokens?: number;
  /**
   * What the text is held to: `compileConstraint` of `edgeformer/constrain` makes it from a JSON schema, a regular
   * expression or a list of texts. A text that ends by itself fulfils it; one that `maxTokens` or a stop string cuts
   * is the beginning of one that does. [nothing]
   */
  constraint?: TokenConstraint;
  /** Report log-probabilities of each token and of this many alternatives, 0 to 100. [not reported] */
  logprobs?: number;
  signal?: AbortSignal;
}

export type ResolvedSampling = Required<Omit<SamplingOptions, "logitBias">> & {
  logitBias: [number, number][];
};

export interface ResolvedOptions extends ResolvedSampling, SharingOptions {
  maxTokens: number;
  stop: string[];
  stopTokenIds: number[];
  ignoreEos: boolean;
  minTokens: number;
  constraint: TokenConstraint | undefined;
  logprobs: number | undefined;
  signal: AbortSignal | undefined;
}

function invalid(param: string, message: string): never {
  throw new EdgeformerError("invalid_option", `${param} ${message}`, { param });
}

function number(value: unknown, param: keyof typeof SAMPLING_RANGES, fallback: number): number {
  const [least, greatest] = SAMPLING_RANGES[param];
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= least && value <= greatest))
    invalid(param, `must be a number from ${least} to ${greatest}`);
  return value;
}

function integer(value: unknown, param: string, fallback: number, minimum: number, maximum: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > maximum)
    invalid(param, `must be an integer from ${minimum} to ${maximum}`);
  return value;
}

/** The seed that was asked for, or 32 random bits of the platform. */
function seed(value: unknown): number | bigint {
  if (value === undefined) return crypto.getRandomValues(new Uint32Array(1))[0] as number;
  if (
    typeof value === "bigint"
      ? value >= 0n && value <= MAX_SEED
      : Number.isSafeInteger(value) && Number(value) >= 0
  )
    return value as number | bigint;
  invalid(
    "seed",
    `must be an integer from 0 to ${Number.MAX_SAFE_INTEGER}, or a bigint from 0 to ${MAX_SEED}`,
  );
}

/** The lower and the upper 32 bits of a seed, unsigned. */
export function seedHalves(seed: number | bigint): [low: number, high: number] {
  if (typeof seed === "number") return [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
  return [Number(BigInt.asUintN(32, seed)), Number(seed >> 32n)];
}

/** The defaults of a model: its own, and what changes nothing where it has none. */
export function samplingDefaults(
  generation: GenerationConfig = {},
  vocabSize = Number.POSITIVE_INFINITY,
): Required<SamplingDefaults> {
  const { temperature = 1, top_k = 0, top_p = 1, min_p = 0, repetition_penalty = 1 } = generation;
  return {
    temperature,
    topK: top_k >= vocabSize ? 0 : top_k,
    topP: top_p,
    minP: min_p,
    repetitionPenalty: repetition_penalty,
  };
}

/**
 * Checks every option and fills in the defaults.
 *
 * @param vocabSize token ids must lie below it
 * @param generation the model's own defaults, as model.json has them
 * @throws EdgeformerError `invalid_option` with `param`
 */
export function resolveOptions(
  options: GenerateOptions,
  vocabSize: number,
  generation?: GenerationConfig,
): ResolvedOptions {
  const defaults = samplingDefaults(generation, vocabSize);
  if (typeof options !== "object" || options === null) invalid("options", "must be an object");
  const stop =
    options.stop === undefined ? [] : typeof options.stop === "string" ? [options.stop] : options.stop;
  if (
    !Array.isArray(stop) ||
    stop.length > MAX_STOP_STRINGS ||
    !stop.every((s) => typeof s === "string" && s !== "")
  )
    invalid("stop", `must be up to ${MAX_STOP_STRINGS} strings, none empty`);
  const tokenId = (value: unknown): value is number =>
    typeof value === "number" && Number.isInteger(value) && value >= 0 && value < vocabSize;
  const stopTokenIds = options.stopTokenIds ?? [];
  if (!Array.isArray(stopTokenIds) || !stopTokenIds.every(tokenId))
    invalid("stopTokenIds", `must be token ids from 0 to ${vocabSize - 1}`);
  if (typeof (options.logitBias ?? {}) !== "object") invalid("logitBias", "must be an object");
  const logitBias = Object.entries(options.logitBias ?? {}).map(([id, bias]): [number, number] => {
    if (!/^\d+$/.test(id) || !tokenId(Number(id)))
      invalid("logitBias", `names the token ${JSON.stringify(id)}; ids go from 0 to ${vocabSize - 1}`);
    return [Number(id), number(bias, "logitBias", 0)];
  });
  if (options.ignoreEos !== undefined && typeof options.ignoreEos !== "boolean")
    invalid("ignoreEos", "must be true or false");
  const { constraint } = options;
  if (constraint !== undefined && typeof constraint?.matcher !== "function")
    invalid("constraint", "must be what compileConstraint gives");
  if (constraint !== undefined && options.ignoreEos)
    invalid("ignoreEos", "cannot go with a constraint, which says where the text ends");
  return {
    temperature: number(options.temperature, "temperature", defaults.temperature),
    topK: integer(options.topK, "topK", defaults.topK, 0, vocabSize),
    topP: number(options.topP, "topP", defaults.topP),
    minP: number(options.minP, "minP", defaults.minP),
    seed: seed(options.seed),
    repetitionPenalty: number(options.repetitionPenalty, "repetitionPenalty", defaults.repetitionPenalty),
    presencePenalty: number(options.presencePenalty, "presencePenalty", 0),
    frequencyPenalty: number(options.frequencyPenalty, "frequencyPenalty", 0),
    logitBias,
    maxTokens: integer(options.maxTokens, "maxTokens", 16, 0, Number.MAX_SAFE_INTEGER),
    stop,
    stopTokenIds,
    ignoreEos: options.ignoreEos ?? false,
    minTokens: integer(options.minTokens, "minTokens", 0, 0, Number.MAX_SAFE_INTEGER),
    constraint,
    logprobs:
      options.logprobs === undefined ? undefined : integer(options.logprobs, "logprobs", 0, 0, MAX_LOGPROBS),
    signal: options.signal,
    ...resolveSharing(options),
  };
}
