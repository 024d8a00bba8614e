/**
 * Conversations and chat templates, apart from the core because they need an interpreter of templates.
 *
 * @module edgeformer/chat
 */

export { type ChatMessage, Conversation, type ConversationOptions } from "./conversation.ts";
export { encodeChat } from "./text/chat-prompt.ts";
export { ChatTemplate, type ChatTemplateValues } from "./text/chat-template.ts";
