// Schemas of what the endpoint answers, for the API description and the tests: no request needs them.

import * as z from "zod";
import type {
  ChatChoiceShape,
  ChatLogprobsShape,
  ChatPieceShape,
  ChoiceShape,
  CompletionShape,
  ErrorBody,
  LogprobsShape,
  ToolCallPieceShape,
  ToolCallShape,
  UsageShape,
} from "./wire/answers.ts";

const count = z.int().min(0);
const finishReason = z.enum(["stop", "length"]);
const chatFinishReason = z.enum(["stop", "length", "tool_calls"]);

const logprobsShape = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  text_offset: z
    .array(count)
    .meta({ description: "Where in `text` each token starts, in Unicode code points." }),
}) satisfies z.ZodType<LogprobsShape>;

const usageShape = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count }),
}) satisfies z.ZodType<UsageShape>;

const choiceShape = z.object({
  index: count,
  text: z.string(),
  logprobs: logprobsShape.nullable(),
  finish_reason: finishReason.nullable(),
  token_ids: z
    .array(count)
    .optional()
    .meta({ description: "Only of a model without a tokenizer, whose text is empty." }),
}) satisfies z.ZodType<ChoiceShape>;

export const completionShape = z.object({
  id: z.string(),
  object: z.literal("text_completion"),
  created: count,
  model: z.string(),
  system_fingerprint: z.string(),
  choices: z.array(choiceShape),
  usage: usageShape.nullable().optional(),
}) satisfies z.ZodType<CompletionShape>;

const tokenFields = {
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int().min(0).max(255)).nullable(),
};

const chatLogprobsShape = z.object({
  content: z.array(z.object({ ...tokenFields, top_logprobs: z.array(z.object(tokenFields)) })),
  refusal: z.null(),
}) satisfies z.ZodType<ChatLogprobsShape>;

const functionShape = z.object({ name: z.string(), arguments: z.string() });

const toolCallShape = z.object({
  id: z.string(),
  type: z.literal("function"),
  function: functionShape,
}) satisfies z.ZodType<ToolCallShape>;

const chatChoiceShape = z.object({
  index: count,
  message: z.object({
    role: z.literal("assistant"),
    content: z.string().nullable(),
    refusal: z.null(),
    tool_calls: z.array(toolCallShape).optional(),
  }),
  logprobs: chatLogprobsShape.nullable(),
  finish_reason: chatFinishReason,
}) satisfies z.ZodType<ChatChoiceShape>;

const toolCallPieceShape = z.object({
  index: count,
  id: z.string().optional(),
  type: z.literal("function").optional(),
  function: z.object({ name: z.string().optional(), arguments: z.string() }),
}) satisfies z.ZodType<ToolCallPieceShape>;

const chatPieceShape = z.object({
  index: count,
  delta: z.strictObject({
    role: z.literal("assistant").optional(),
    content: z.string().nullable().optional(),
    tool_calls: z.array(toolCallPieceShape).optional(),
  }),
  logprobs: chatLogprobsShape.nullable(),
  finish_reason: chatFinishReason.nullable(),
}) satisfies z.ZodType<ChatPieceShape>;

const chatHead = { id: z.string(), created: count, model: z.string(), system_fingerprint: z.string() };

export const chatShape = z.object({
  ...chatHead,
  object: z.literal("chat.completion"),
  choices: z.array(chatChoiceShape),
  usage: usageShape,
});

export const chatChunkShape = z.object({
  ...chatHead,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(chatPieceShape),
  usage: usageShape.nullable().optional(),
});

export const modelShape = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: count,
  owned_by: z.string(),
  max_model_len: count,
  generation: z.record(z.string(), z.number()).meta({
    description:
      "What temperature, top_k, top_p, min_p and repetition_penalty are where a request is silent.",
  }),
  eos_token_ids: z.array(count),
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
}) satisfies z.ZodType<ErrorBody>;

export const healthShape = z.object({
  status: z.literal("ok"),
  model: z.discriminatedUnion("status", [
    z.object({ status: z.literal("idle") }),
    z.object({ status: z.literal("loading"), loaded_bytes: count, total_bytes: count }),
    z.object({ status: z.literal("ready"), name: z.string(), context: count, memory_bytes: count }),
    z.object({ status: z.literal("failed"), message: z.string() }),
  ]),
});
