import * as z from "zod";
import { SAMPLING_RANGES } from "../src/options.ts";

/** A prompt as OpenAI accepts it. */
export type Prompt = string | string[] | number[] | number[][];

const isId = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/** One pass, no list of problems: a megabyte of bad entries must not become a million objects. */
function isPrompt(value: unknown): value is Prompt {
  if (typeof value === "string") return true;
  if (!Array.isArray(value) || value.length === 0) return false;
  if (typeof value[0] === "string") return value.every((entry) => typeof entry === "string");
  if (typeof value[0] === "number") return value.every(isId);
  return value.every((entry) => Array.isArray(entry) && entry.every(isId));
}

const ids = { type: "array", items: { type: "integer", minimum: 0 } } as const;

/** Most alternatives per token that OpenAI's endpoint reports. */
const MAX_LOGPROBS = 5;

/** A number of the range that the library takes. */
const within = ([least, greatest]: readonly [least: number, greatest: number]) =>
  z.number().min(least).max(greatest);

/** The fields that both ways to complete have. */
export const commonFields = {
  model: z.string().max(256).optional().meta({
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
    .int()
    .optional()
    .meta({ description: "Choice i is drawn with seed + i; the same seed gives the same choices." }),
  user: z.string().max(1024).optional(),
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

export const completionRequest = z
  .strictObject({
    prompt: z
      .custom<Prompt>(isPrompt, {
        error: (issue) =>
          issue.input === undefined
            ? "is required"
            : "must be a string, a list of strings, a list of token ids, or a list of such lists",
      })
      .meta({
        anyOf: [
          { type: "string" },
          { type: "array", items: { type: "string" }, minItems: 1 },
          { ...ids, minItems: 1 },
          { type: "array", items: ids, minItems: 1 },
        ],
      }),
    max_tokens: z.int().min(0).default(16).meta({ description: "0 only with echo: nothing is generated." }),
    ...commonFields,
    best_of: z.int().min(1).optional(),
    logprobs: z.int().min(0).max(MAX_LOGPROBS).optional(),
    echo: z.boolean().default(false),
    logitBias: z
      .unknown()
      .optional()
      .meta({ description: "Ignored: the AI SDK sends its logit_bias under this name as well." }),
    suffix: z
      .custom<undefined>((value) => value === undefined || value === "", {
        error: "this model continues text and cannot insert before a suffix; leave it out",
      })
      .optional()
      .meta({ type: "string", maxLength: 0, description: "Not supported." }),
  })
  .superRefine((request, context) => {
    const refuse: Refuse = (field, message) => context.addIssue({ code: "custom", path: [field], message });
    if (request.max_tokens === 0 && !request.echo) refuse("max_tokens", "must be at least 1 without echo");
    if (request.best_of !== undefined && request.best_of < request.n)
      refuse("best_of", "must not be smaller than n");
    if (request.stream && request.best_of !== undefined && request.best_of > request.n)
      refuse("best_of", "a stream cannot choose among candidates; best_of must equal n");
    checkCommon(request, refuse);
  });

export type CompletionRequest = z.infer<typeof completionRequest>;

export const tokenizeRequest = z
  .strictObject({
    model: z.string().max(256).optional(),
    prompt: z.string().optional(),
    content: z.string().optional().meta({ description: "Another name for prompt." }),
  })
  .superRefine((request, context) => {
    if ((request.prompt === undefined) === (request.content === undefined))
      context.addIssue({ code: "custom", path: ["prompt"], message: "give either prompt or content" });
  });

export const detokenizeRequest = z.strictObject({
  model: z.string().max(256).optional(),
  tokens: z
    .custom<number[]>((value) => Array.isArray(value) && value.every(isId), {
      error: "must be a list of token ids",
    })
    .meta(ids),
});

const count = z.int().min(0);

/** OpenAI's legacy log-probabilities; entry i of each list belongs to token i. */
export const logprobsShape = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  text_offset: z
    .array(count)
    .meta({ description: "Where in `text` each token starts, in Unicode code points." }),
});

export type LogprobsShape = z.infer<typeof logprobsShape>;

export const usageShape = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count }),
});

export type UsageShape = z.infer<typeof usageShape>;

export const choiceShape = z.object({
  index: count,
  text: z.string(),
  logprobs: logprobsShape.nullable(),
  finish_reason: z.enum(["stop", "length"]).nullable(),
  token_ids: z
    .array(count)
    .optional()
    .meta({ description: "Only of a model without a tokenizer, whose text is empty." }),
});

export type ChoiceShape = z.infer<typeof choiceShape>;

export const completionShape = z.object({
  id: z.string(),
  object: z.literal("text_completion"),
  created: count,
  model: z.string(),
  system_fingerprint: z.string(),
  choices: z.array(choiceShape),
  usage: usageShape.nullable().optional(),
});

export type CompletionShape = z.infer<typeof completionShape>;

export const modelShape = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: count,
  owned_by: z.string(),
  max_model_len: count,
});

export const modelListShape = z.object({ object: z.literal("list"), data: z.array(modelShape) });

export const tokenizeShape = z.object({
  tokens: z.array(count),
  count: count,
  max_model_len: count,
});

export const detokenizeShape = z.object({ prompt: z.string(), content: z.string() });

export const errorShape = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

export const healthShape = z.object({
  status: z.literal("ok"),
  model: z.discriminatedUnion("status", [
    z.object({ status: z.literal("idle") }),
    z.object({ status: z.literal("loading"), loaded_bytes: count, total_bytes: count }),
    z.object({ status: z.literal("ready"), name: z.string(), context: count, memory_bytes: count }),
    z.object({ status: z.literal("failed"), message: z.string() }),
  ]),
});
