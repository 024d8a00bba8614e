import { ChatTemplate } from "../../src/chat.ts";
import { EdgeformerError, type InParts, type Manifest, type Model, type Tokenizer } from "../../src/index.ts";
import { allAtOnce } from "../../src/parts.ts";
import { encodeChatInParts } from "../../src/text/chat-prompt.ts";
import type { Config } from "../config.ts";
import { HttpError } from "../errors.ts";
import type { ChatRequest, Message } from "./chat-schema.ts";
import { type Plan, planCompletion } from "./completions-plan.ts";
import { callConstraint, formatConstraint } from "./constraints.ts";
import { contextExceeded, refuseTooLong, withinContext } from "./encode.ts";
import { forPlainTemplate, forToolTemplate, type PlainMessage } from "./tool-messages.ts";

type Compiled = ChatTemplate | EdgeformerError;

/** Each model's templates by their texts, compiled, or what is wrong with them. */
const compiled = new WeakMap<Manifest, Map<string, Compiled>>();

function compile(text: string): Compiled {
  try {
    return new ChatTemplate(text);
  } catch (error) {
    if (error instanceof EdgeformerError) return error;
    throw error;
  }
}

function compiledOf(manifest: Manifest, text: string): Compiled {
  const known = compiled.get(manifest) ?? new Map<string, Compiled>();
  compiled.set(manifest, known);
  const template = known.get(text) ?? compile(text);
  known.set(text, template);
  return template;
}

/**
 * The template of a model that can chat.
 *
 * @param withTools whether the model may call tools: some models have a template of its own for that
 * @throws HttpError 404 that says why, for one that cannot
 */
export function chatTemplate(
  { manifest, tokenizer }: Model,
  withTools = false,
): {
  template: ChatTemplate;
  tokenizer: Tokenizer;
} {
  const refuse = (why: string) =>
    new HttpError(404, `${manifest.name} is not a chat model: ${why}; use /v1/completions.`, {
      param: "model",
    });
  if (manifest.chat_template === undefined)
    throw refuse("its model directory has no chat template. It continues text");
  if (!tokenizer) throw refuse("it has no tokenizer that could read its chat template. It takes token ids");
  const forTools = withTools ? manifest.named_chat_templates?.tool_use : undefined;
  const template = compiledOf(manifest, forTools ?? manifest.chat_template);
  if (template instanceof EdgeformerError) throw template;
  return { template, tokenizer };
}

function textOf({ content }: Message): string {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => part.text).join("\n");
}

type Conversation = Pick<ChatRequest, "messages" | "tools" | "chat_template_kwargs" | "chat_template_date">;

/** The token ids of a conversation, up to where its answer begins. */
function* encodeConversation(model: Model, conversation: Conversation): InParts<number[]> {
  const { chat_template_kwargs, chat_template_date, tools } = conversation;
  const { template, tokenizer } = chatTemplate(model, tools !== undefined && tools.length > 0);
  // A template writes a token at least for each message. To lay out a thousand takes longer than a step.
  if (conversation.messages.length > model.context)
    throw contextExceeded(model, "more for its messages alone");
  const messages = conversation.messages.map(
    (message): PlainMessage => ({
      ...message,
      role: message.role === "developer" ? "system" : message.role,
      content: textOf(message),
    }),
  );
  refuseTooLong(
    model,
    messages.reduce((sum, { content }) => sum + content.length, 0),
  );
  const told = template.asksForTools ? forToolTemplate : forPlainTemplate;
  const values = {
    ...chat_template_kwargs,
    ...told(messages, tools),
    date: chat_template_date === undefined ? new Date() : new Date(chat_template_date),
  };
  const limits = { check: ({ length }: string) => refuseTooLong(model, length), maxTokens: model.context };
  return yield* withinContext(model, encodeChatInParts(tokenizer, template, values, limits));
}

/** Whether an answer may call a tool. */
export function mayCall({ tools, tool_choice }: ChatRequest): boolean {
  return tools !== undefined && tools.length > 0 && tool_choice !== "none";
}

/**
 * A conversation as a completion to compute.
 *
 * @throws HttpError 400 naming the field, 404 if the model has no chat template; EdgeformerError `invalid_model`
 *   if its template does not work
 */
export function planChat(model: Model, request: ChatRequest, config: Config): Plan {
  return allAtOnce(planChatInParts(model, request, config, ""));
}

/**
 * The same part by part.
 *
 * @param group who may learn what was compiled before
 */
export function* planChatInParts(
  model: Model,
  request: ChatRequest,
  config: Config,
  group: string,
): InParts<Plan> {
  const {
    messages,
    chat_template_kwargs,
    chat_template_date,
    max_completion_tokens,
    max_tokens,
    logprobs,
    top_logprobs,
    tools,
    tool_choice: _,
    parallel_tool_calls: __,
    ...common
  } = request;
  const { tokenizer } = chatTemplate(model);
  const calls = mayCall(request);
  const heldTo = calls
    ? callConstraint(request, tokenizer, group)
    : formatConstraint(request, tokenizer, group);
  try {
    const conversation = { messages, chat_template_kwargs, chat_template_date };
    const prompt = yield* encodeConversation(model, calls ? { ...conversation, tools } : conversation);
    const room = Math.min(
      model.context - prompt.length,
      config.MAX_TOKENS ?? Number.POSITIVE_INFINITY,
      Math.floor((config.MAX_REQUEST_TOKENS - prompt.length) / common.n),
    );
    return yield* planCompletion(
      model,
      {
        ...common,
        prompt,
        max_tokens: max_completion_tokens ?? max_tokens ?? Math.max(1, room),
        logprobs: logprobs ? (top_logprobs ?? 0) : undefined,
        echo: false,
      },
      config,
      heldTo,
    );
  } catch (error) {
    if (!(error instanceof HttpError) || error.param !== "prompt") throw error;
    throw new HttpError(error.status, error.message, { code: error.code, param: "messages", cause: error });
  }
}
