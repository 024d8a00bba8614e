// What the requests of several endpoints have in common.

import * as z from "zod";
import { MAX_SEED } from "../../src/options.ts";
import { SAMPLING_RANGES } from "../../src/sampling-ranges.ts";

export const isTokenId = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/** One pass and no list of problems: a megabyte of bad entries must not become a million objects. */
export const areTokenIds = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every(isTokenId);

/** A list of token ids, for the API description: a custom check has no JSON Schema of its own. */
export const tokenIdsMeta = { type: "array", items: { type: "integer", minimum: 0 } } as const;

export const modelName = z.string().max(256);

/** A number of the range that the library takes. */
const within = ([least, greatest]: readonly [least: number, greatest: number]) =>
  z.number().min(least).max(greatest);

/** Seeds are signed integers of 64 bits at OpenAI, unsigned ones elsewhere. Beyond 2^53 `readBody` makes bigints. */
function isSeed(value: unknown): value is number | bigint {
  if (typeof value === "bigint") return value >= -(2n ** 63n) && value <= MAX_SEED;
  return Number.isSafeInteger(value);
}

/** The fields that both ways to complete have. */
export const commonFields = {
  model: modelName.optional().meta({
    description: "Must be the model served, if given; /v1/models names it.",
  }),
  min_tokens: z.int().min(0).optional(),
  temperature: within(SAMPLING_RANGES.temperature).optional(),
  top_p: within(SAMPLING_RANGES.topP).optional(),
  top_k: z
    .int()
    .min(-1)
    .optional()
    .meta({ description: "Keep only this many likeliest tokens; 0 or -1 keeps all." }),
  min_p: within(SAMPLING_RANGES.minP).optional(),
  n: z.int().min(1).default(1),
  stream: z.boolean().default(false),
  stream_options: z
    .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
    .optional(),
  stop: z
    .union([z.string(), z.array(z.string()).max(4)], {
      error: "must be a string or up to 4 strings",
    })
    .optional(),
  stop_token_ids: z.array(z.int().min(0)).max(64).optional(),
  ignore_eos: z.boolean().optional(),
  presence_penalty: within(SAMPLING_RANGES.presencePenalty).optional(),
  frequency_penalty: within(SAMPLING_RANGES.frequencyPenalty).optional(),
  repetition_penalty: within(SAMPLING_RANGES.repetitionPenalty).optional(),
  logit_bias: z
    .record(z.string().regex(/^\d{1,9}$/, "keys must be token ids"), within(SAMPLING_RANGES.logitBias))
    .optional(),
  seed: z
    .custom<number | bigint>(isSeed, { error: "must be an integer from -2^63 to 2^64 - 1" })
    .optional()
    .meta({
      type: "integer",
      description: "Choice i is drawn with seed + i; the same seed gives the same choices.",
    }),
  user: z.string().max(1024).optional(),
  cache_salt: z
    .string()
    .max(256)
    .optional()
    .meta({ description: "Cached prompts are shared only with requests of the same client and salt." }),
};

/** Adds a problem with a field. */
export type Refuse = (field: string, message: string) => void;

/** What holds between the common fields. */
export function checkCommon(
  request: { stream: boolean; stream_options?: object | undefined },
  refuse: Refuse,
): void {
  if (request.stream_options && !request.stream)
    refuse("stream_options", "is only allowed when stream is true");
}
