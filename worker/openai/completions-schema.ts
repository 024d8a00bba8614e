import * as z from "zod";
import {
  areTokenIds,
  checkCommon,
  commonFields,
  isTokenId,
  type Refuse,
  tokenIdsMeta,
} from "./common-schema.ts";
import { checkConstraint, constraintFields } from "./constraint-schema.ts";
import { textFields } from "./encode.ts";
import { MAX_LOGPROBS } from "./wire/limits.ts";

/** A prompt as OpenAI accepts it. */
export type Prompt = string | string[] | number[] | number[][];

/** Whether a value is a prompt, in one pass over it. */
function isPrompt(value: unknown): value is Prompt {
  if (typeof value === "string") return true;
  if (!Array.isArray(value) || value.length === 0) return false;
  if (typeof value[0] === "string") return value.every((entry) => typeof entry === "string");
  if (typeof value[0] === "number") return value.every(isTokenId);
  return value.every(areTokenIds);
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
          { ...tokenIdsMeta, minItems: 1 },
          { type: "array", items: tokenIdsMeta, minItems: 1 },
        ],
      }),
    max_tokens: z.int().min(0).default(16).meta({ description: "0 only with echo: nothing is generated." }),
    ...textFields,
    ...commonFields,
    best_of: z.int().min(1).optional(),
    logprobs: z.int().min(0).max(MAX_LOGPROBS).optional(),
    echo: z.boolean().default(false),
    ...constraintFields,
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
    checkConstraint(request, refuse);
  });

export type CompletionRequest = z.infer<typeof completionRequest>;
