import { EdgeformerError } from "../errors.ts";
import type { ChatTemplateValues } from "./chat-template.ts";
import { CompiledTokenizer } from "./tokenizer.ts";
import { readTokenizerTable } from "./tokenizer-table.ts";

/** A tokenizer that knows its model's chat template. */
export class ChatTokenizer extends CompiledTokenizer {
  /** The Jinja template; undefined for a model that only continues texts. */
  readonly chatTemplate: string | undefined;

  /** @internal loadTokenizer makes it. */
  constructor(table: Uint8Array, chatTemplate: string | undefined) {
    super(readTokenizerTable(table));
    this.chatTemplate = chatTemplate;
  }

  /**
   * The token ids of a conversation, as the model's chat template lays it out, up to where the answer begins. What a
   * message spells like a special token stays text.
   *
   * The template engine is loaded by the first call; `encodeChat` of `edgeformer/chat` does the same at once.
   *
   * @param messages `role` and `content` of each, and what else the template reads
   * @param values `tools`, `add_generation_prompt`, `date`, and whatever else the template asks for
   * @throws EdgeformerError `unsupported_model` for a model without a template; `invalid_prompt` for messages that the
   *   template refuses, `invalid_model` for a template that does not work
   */
  async applyChatTemplate(
    messages: readonly object[],
    values: Omit<ChatTemplateValues, "messages"> = {},
  ): Promise<number[]> {
    if (this.chatTemplate === undefined)
      throw new EdgeformerError("unsupported_model", "this model has no chat template; it continues text");
    const { ChatTemplate, encodeChat } = await import("../chat.ts");
    return encodeChat(this, new ChatTemplate(this.chatTemplate), { ...values, messages });
  }
}
