import { EdgeformerError } from "../../errors.ts";
import { encodeChat } from "../../text/chat-prompt.ts";
import { ChatTemplate } from "../../text/chat-template.ts";
import { BudgetExceeded } from "../../text/jinja/index.ts";
import { parseTokenizerTable } from "../../text/tokenizer.ts";

const USER = { role: "user", content: "Hello!" };

/** Conversations that every template should lay out. */
const CONVERSATIONS = [[USER], [USER, { role: "assistant", content: "Hi." }, USER]];

/** One line, and what to do. */
function refuse(cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new EdgeformerError(
    "invalid_model",
    `chat_template: ${reason.replace(/\s+/g, " ")}; mend it, or take it out of the checkpoint to convert a model that only continues texts`,
    { cause },
  );
}

/**
 * Tries a chat template before the model is written. What only a running model would tell is told here.
 *
 * @returns sentences for whoever converts
 * @throws EdgeformerError `invalid_model` for a template that is none, or that does not come to an end
 */
export function checkChatTemplate(text: string, table: Uint8Array | null): string[] {
  let template: ChatTemplate;
  try {
    template = new ChatTemplate(text);
  } catch (error) {
    refuse(error);
  }
  if (table === null)
    return ["there is a chat template, but no tokenizer that could read it: there is no chat"];
  const tokenizer = parseTokenizerTable(table);
  const warnings: string[] = [];
  try {
    for (const messages of CONVERSATIONS) encodeChat(tokenizer, template, { messages, date: new Date(0) });
  } catch (error) {
    if ((error as EdgeformerError).cause instanceof BudgetExceeded) refuse(error);
    // Some want a system message, or parts instead of texts: what they say is for whoever uses the model.
    warnings.push(
      `an ordinary conversation does not go through the chat template: ${(error as Error).message}`,
    );
  }
  if (template.asksForDate)
    warnings.push(
      "the chat template asks for the date (strftime_now): prompts change from day to day, unless a request says which date to take",
    );
  return warnings;
}
