import * as z from "zod";
import { checkCommon, commonFields, type Refuse } from "./common-schema.ts";
import { checkConstraint, constraintFields } from "./constraint-schema.ts";
import { checkArguments, checkTools, toolCall, toolFields } from "./tools-schema.ts";
import { MAX_TOP_LOGPROBS } from "./wire/limits.ts";

/** A field of OpenAI's that asks for what this endpoint does not do. */
const unsupported = (sentence: string) =>
  z
    .custom<undefined>((value) => value === undefined || value === null, { error: sentence })
    .optional()
    .meta({ type: "null", description: "Not supported." });

const OLD_TOOLS = "is not supported: it is the older form; use tools and tool_calls";

/** A field that changes nothing here, and that OpenAI's own clients send. */
const ignored = (schema: z.ZodType) => schema.nullish().meta({ description: "Ignored." });

const textPart = z.strictObject({ type: z.literal("text"), text: z.string() });

/** What is wrong with a message's content. */
function refusedContent(content: unknown): string {
  const part = Array.isArray(content) ? content.find((one) => one?.type !== "text") : undefined;
  const type = typeof part?.type === "string" ? part.type.slice(0, 64) : undefined;
  return type === undefined
    ? "must be a string or a list of parts {type: 'text', text}"
    : `must be text: this model cannot read a part of the type '${type}'`;
}

const message = z
  .strictObject({
    role: z.enum(["system", "developer", "user", "assistant", "tool"], {
      error: ({ input }) =>
        input === "function"
          ? `'function' ${OLD_TOOLS}`
          : "must be 'system', 'developer', 'user', 'assistant' or 'tool'",
    }),
    content: z
      .union([z.string(), z.array(textPart).min(1, "must have at least one part")], {
        error: ({ input }) => refusedContent(input),
      })
      .nullish()
      .meta({
        description:
          "The texts of several parts are put on lines of their own. Only a message with tool_calls may do without.",
      }),
    name: z.string().max(256).nullish(),
    // An answer is sent back as it came: with the members that OpenAI's clients give it, most of them empty.
    refusal: unsupported("is not supported in a message that is sent"),
    audio: unsupported("is not supported: this model reads text only"),
    annotations: ignored(z.array(z.unknown())),
    parsed: ignored(z.unknown()),
    tool_calls: z.array(toolCall).nullish(),
    tool_call_id: z.string().max(256).nullish(),
    function_call: unsupported(OLD_TOOLS),
  })
  .superRefine(({ role, content, tool_calls, tool_call_id }, context) => {
    const refuse = (field: string, text: string) =>
      context.addIssue({ code: "custom", path: [field], message: text });
    const calls = tool_calls?.length ?? 0;
    if (calls > 0 && role !== "assistant") refuse("tool_calls", "can only be the assistant's");
    if (role === "tool" && typeof tool_call_id !== "string")
      refuse("tool_call_id", "is required: a tool's message answers a call");
    if (role !== "tool" && typeof tool_call_id === "string") refuse("tool_call_id", "can only be a tool's");
    if (calls === 0 && (content === undefined || content === null))
      refuse("content", refusedContent(content));
  });

export type Message = z.infer<typeof message>;

const maxTokens = z.int().min(1).optional();

export const chatRequest = z
  .strictObject({
    messages: z
      .array(message, { error: ({ input }) => (input === undefined ? "is required" : "must be a list") })
      .min(1, "must have at least one message"),
    max_completion_tokens: maxTokens.meta({ description: "[what the context leaves]" }),
    max_tokens: maxTokens.meta({ description: "The older name of max_completion_tokens." }),
    chat_template_kwargs: z
      .record(z.string(), z.unknown())
      .optional()
      .meta({ description: "Further values for the chat template, such as {enable_thinking: false}." }),
    chat_template_date: z
      .union([z.iso.date(), z.iso.datetime({ offset: true })], {
        error: "must be a date such as 2026-07-04 or 2026-07-04T12:00:00Z",
      })
      .optional()
      .meta({ description: "What the chat template takes for the present (`strftime_now`). [now, in UTC]" }),
    ...commonFields,
    logprobs: z.boolean().default(false),
    top_logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).optional(),
    ...constraintFields,
    ...toolFields,
    functions: unsupported(OLD_TOOLS),
    function_call: unsupported(OLD_TOOLS),
    web_search_options: unsupported("is not supported: this model searches nothing; leave it out"),
    audio: unsupported("is not supported: this model writes text only; leave it out"),
    prediction: unsupported("is not supported; leave it out"),
    reasoning_effort: unsupported("is not supported: this model has no reasoning to adjust; leave it out"),
    verbosity: unsupported("is not supported; leave it out"),
    modalities: z.tuple([z.literal("text")], { error: "only ['text'] is supported" }).optional(),
    metadata: ignored(z.record(z.string(), z.string())),
    store: ignored(z.boolean()),
    service_tier: ignored(z.string()),
    safety_identifier: ignored(z.string()),
    prompt_cache_key: ignored(z.string()),
  })
  .superRefine((request, context) => {
    const refuse: Refuse = (field, text) =>
      context.addIssue({ code: "custom", path: [field], message: text });
    if (request.top_logprobs !== undefined && !request.logprobs)
      refuse("top_logprobs", "is only allowed when logprobs is true");
    if (
      (request.max_tokens ?? request.max_completion_tokens) !==
      (request.max_completion_tokens ?? request.max_tokens)
    )
      refuse("max_tokens", "is another name of max_completion_tokens; the two must not differ");
    checkCommon(request, refuse);
    checkConstraint(request, refuse);
    checkTools(request, refuse);
    checkArguments(request.messages, refuse);
    if (request.ignore_eos && request.tools?.length && request.tool_choice !== "none")
      refuse("ignore_eos", "cannot be true where tools may be called");
  });

export type ChatRequest = z.infer<typeof chatRequest>;
