import type { Model, Tokenizer } from "../../src/index.ts";
import type { Config } from "../config.ts";
import { HttpError, invalidField } from "../errors.ts";
import type { ChatRequest, Message } from "./chat-schema.ts";
import { renderTemplate, type TemplateMessage } from "./chat-template.ts";
import { type Plan, planCompletion } from "./completions-plan.ts";
import { encodeText, refuseTooLong } from "./encode.ts";

/** Marks where a message's text could spell a special token. Unicode guarantees that it is never a character. */
const MARK = "\ufdd0";

/**
 * The template of a model that can chat.
 *
 * @throws HttpError 404 that says why, for one that cannot
 */
export function chatTemplate({ manifest, tokenizer }: Model): { template: string; tokenizer: Tokenizer } {
  const refuse = (why: string) =>
    new HttpError(404, `${manifest.name} is not a chat model: ${why}; use /v1/completions.`, {
      param: "model",
    });
  if (manifest.chat_template === undefined)
    throw refuse("its model directory has no chat template. It continues text");
  if (!tokenizer) throw refuse("it has no tokenizer that could read its chat template. It takes token ids");
  return { template: manifest.chat_template, tokenizer };
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** A regular expression that finds any of these texts, the longest first. */
function anyOf(texts: Iterable<string>): RegExp {
  const longestFirst = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(`(${longestFirst.map(escapeRegExp).join("|")})`, "u");
}

function textOf({ content }: Message): string {
  return typeof content === "string" ? content : content.map((part) => part.text).join("\n");
}

/**
 * The token ids of a conversation. Where the template's own text spells a special token, it becomes that
 * token. Where a message spells one, it stays text: nobody can end their turn and speak for another.
 */
function encodeChat(model: Model, messages: Message[]): number[] {
  const { template, tokenizer } = chatTemplate(model);
  const texts = messages.map(textOf);
  refuseTooLong(
    model,
    texts.reduce((sum, text) => sum + text.length, 0),
  );
  const specials = tokenizer.specialTokens;
  const beginnings = new RegExp(anyOf(new Set([...specials.keys()].map((token) => [...token][0]!))), "gu");
  // A mark follows every character that can begin a special token: two messages together cannot spell one either.
  const mark = (text: string) => {
    if (text.includes(MARK))
      throw invalidField("messages", "A message has U+FDD0, which is not a character.");
    return text.replace(beginnings, `$1${MARK}`);
  };
  const rendered = renderTemplate(
    model.manifest,
    template,
    messages.map(
      ({ role, name }, i): TemplateMessage => ({
        role: role === "developer" ? "system" : role,
        content: mark(texts[i]!),
        ...(name === undefined ? {} : { name: mark(name) }),
      }),
    ),
    {
      bos_token: spelling(tokenizer, model.manifest.recipe.bosTokenId),
      eos_token: spelling(tokenizer, model.manifest.recipe.eosTokenIds[0] ?? null),
    },
  );
  return rendered
    .split(anyOf(specials.keys()))
    .flatMap(
      (piece) =>
        specials.get(piece) ?? encodeText(model, piece.replaceAll(MARK, ""), { addSpecialTokens: false }),
    );
}

function spelling(tokenizer: Tokenizer, id: number | null): string {
  return id === null ? "" : tokenizer.decode([id]);
}

/**
 * A conversation as a completion to compute.
 *
 * @throws HttpError 400 naming the field, 404 if the model has no chat template; EdgeformerError `invalid_model`
 *   if its template does not work
 */
export function planChat(model: Model, request: ChatRequest, config: Config): Plan {
  const { messages, max_completion_tokens, max_tokens, logprobs, top_logprobs, ...common } = request;
  try {
    const prompt = encodeChat(model, messages);
    const room = Math.min(
      model.context - prompt.length,
      config.MAX_TOKENS ?? Number.POSITIVE_INFINITY,
      Math.floor((config.MAX_REQUEST_TOKENS - prompt.length) / common.n),
    );
    return planCompletion(
      model,
      {
        ...common,
        prompt,
        max_tokens: max_completion_tokens ?? max_tokens ?? Math.max(1, room),
        logprobs: logprobs ? (top_logprobs ?? 0) : undefined,
        echo: false,
      },
      config,
    );
  } catch (error) {
    if (!(error instanceof HttpError) || error.param !== "prompt") throw error;
    throw new HttpError(error.status, error.message, { code: error.code, param: "messages", cause: error });
  }
}
