/**
 * Chat templates, apart from the core because they need @huggingface/jinja.
 *
 * @module edgeformer/chat
 */

export { encodeChat } from "./text/chat-prompt.ts";
export { ChatTemplate, type ChatTemplateValues } from "./text/chat-template.ts";
