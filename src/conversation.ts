import { EdgeformerError } from "./errors.ts";
import type { Model } from "./model.ts";
import type { GenerateOptions } from "./options.ts";
import type { GenerateChunk } from "./results.ts";
import { encodeChat } from "./text/chat-prompt.ts";
import { ChatTemplate, type ChatTemplateValues } from "./text/chat-template.ts";

/** A message as chat templates know it. */
export interface ChatMessage {
  role: string;
  content: string;
}

export interface ConversationOptions {
  /** What the model is told before everything else. [nothing] */
  system?: string | undefined;
  /** What else the template is told: `date`, `enable_thinking` … */
  values?: Omit<ChatTemplateValues, "messages">;
}

/** A part of the context that is kept free for an answer, where nothing says how long it may get. */
const ANSWER_SHARE = 0.25;

/**
 * A conversation with a model that has a chat template. It remembers what was said, and forgets the oldest turns
 * where the context is full; the system message stays.
 */
export class Conversation {
  /** What the model is told before everything else; it may be changed between two answers. */
  system: string | undefined;
  readonly #model: Model;
  readonly #template: ChatTemplate;
  readonly #values: Omit<ChatTemplateValues, "messages">;
  /** User and assistant in turns. */
  #turns: ChatMessage[] = [];
  #forgotten = 0;

  /** @throws EdgeformerError `unsupported_model` for a model that cannot chat, `invalid_model` for a broken template */
  constructor(model: Model, { system, values = {} }: ConversationOptions = {}) {
    const { name, chat_template } = model.manifest;
    if (chat_template === undefined || !model.tokenizer)
      throw new EdgeformerError(
        "unsupported_model",
        `${name} is not a chat model: it has no ${model.tokenizer ? "chat template" : "tokenizer"}; it only continues texts`,
      );
    this.#model = model;
    this.#template = new ChatTemplate(chat_template);
    this.#values = values;
    this.system = system;
  }

  /** What was said and is still remembered, the system message first. */
  get messages(): ChatMessage[] {
    return this.#messages(this.#turns);
  }

  /** Messages that the last answer did not see any more, because the context was full. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Forgets what was said; the system message stays. */
  reset(): void {
    this.#turns = [];
  }

  /**
   * Says something and streams the answer. An answer that is stopped, by leaving the loop or by the signal, is remembered
   * as far as it went.
   *
   * @param options `maxTokens` is what the context leaves, unless it is given
   * @throws EdgeformerError `context_length_exceeded` if what is said does not fit the context even alone; what the
   *   template and `Model.generate` throw. Then nothing is remembered.
   */
  async *say(content: string, options: GenerateOptions = {}): AsyncGenerator<GenerateChunk, void, undefined> {
    const { context } = this.#model;
    const longest = options.maxTokens ?? Number.POSITIVE_INFINITY;
    const room = Math.min(longest, Math.max(1, Math.floor(context * ANSWER_SHARE)));
    const turns = [...this.#turns, { role: "user", content }];
    let ids = this.#encode(turns);
    this.#forgotten = 0;
    for (; ids.length + room > context && turns.length > 1; ids = this.#encode(turns))
      this.#forgotten += turns.splice(0, 2).length;
    if (ids.length >= context)
      throw new EdgeformerError(
        "context_length_exceeded",
        `the context is ${context} tokens, but this message alone makes ${ids.length}: shorten it`,
      );

    const maxTokens = Math.min(longest, context - ids.length);
    let answer = "";
    let ended = false;
    try {
      for await (const chunk of this.#model.generate(ids, { ...options, maxTokens })) {
        answer += chunk.text;
        ended = chunk.finishReason !== null;
        yield chunk;
      }
    } finally {
      if (ended || answer !== "") this.#turns = [...turns, { role: "assistant", content: answer }];
    }
  }

  #messages(turns: readonly ChatMessage[]): ChatMessage[] {
    return this.system === undefined ? [...turns] : [{ role: "system", content: this.system }, ...turns];
  }

  #encode(turns: readonly ChatMessage[]): number[] {
    const values = { ...this.#values, messages: this.#messages(turns) };
    return encodeChat(this.#model.tokenizer!, this.#template, values);
  }
}
