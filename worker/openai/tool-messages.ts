// Tools, calls and what came of them, as a chat template is told. A template that knows of tools gets them as Hugging Face's
// do; for one that does not, they are written into the messages' texts.

import { CALL_ARGUMENTS, CALL_CLOSE, CALL_NAME, CALL_OPEN } from "../../src/constrain/calls/index.ts";
import type { Message } from "./chat-schema.ts";
import type { Tool } from "./tools-schema.ts";

/** A message whose parts have been put together. */
export type PlainMessage = Omit<Message, "content"> & { content: string };

interface TemplateMessage {
  role: string;
  content: string;
  name?: string;
  tool_calls?: object[];
  tool_call_id?: string;
}

/** What of a conversation goes to its template. */
export interface TemplateConversation {
  messages: TemplateMessage[];
  tools?: readonly Tool[];
}

/** The names of the functions that were called, by the calls' ids. */
function calledNames(messages: readonly PlainMessage[]): Map<string, string> {
  const calls = messages.flatMap(({ tool_calls }) => tool_calls ?? []);
  return new Map(calls.map(({ id, function: { name } }) => [id, name]));
}

/** For a template that knows of tools; it wants the arguments of a call as the object that they are. */
export function forToolTemplate(
  messages: readonly PlainMessage[],
  tools: readonly Tool[] | undefined,
): TemplateConversation {
  const names = calledNames(messages);
  return {
    messages: messages.map(({ role, content, name, tool_calls, tool_call_id }): TemplateMessage => {
      const called = name ?? names.get(tool_call_id ?? "");
      const calls = tool_calls?.map((call) => ({
        id: call.id,
        type: call.type,
        function: { name: call.function.name, arguments: JSON.parse(call.function.arguments) as unknown },
      }));
      return {
        role,
        content,
        ...(called === undefined ? {} : { name: called }),
        ...(calls?.length ? { tool_calls: calls } : {}),
        ...(typeof tool_call_id === "string" ? { tool_call_id } : {}),
      };
    }),
    ...(tools?.length ? { tools } : {}),
  };
}

function introduction(tools: readonly Tool[]): string {
  const described = tools.map(({ function: { strict: _, ...described } }) => described);
  return [
    "You can call functions. This is what there is, with a JSON Schema of each function's parameters:",
    `<tools>${JSON.stringify(described)}</tools>`,
    "To call some of them, write a list of calls in this form and nothing else:",
    `${CALL_OPEN}[${CALL_NAME}name of the function${CALL_ARGUMENTS}{"name of the parameter": "value"}}]${CALL_CLOSE}`,
  ].join("\n");
}

/** For a template that knows only texts: SmolLM2 was taught to write a list of calls between two tags. */
export function forPlainTemplate(
  messages: readonly PlainMessage[],
  tools: readonly Tool[] | undefined,
): TemplateConversation {
  const plain: TemplateMessage[] = [];
  for (const [i, { role, content, name, tool_calls }] of messages.entries()) {
    if (role === "tool") {
      const answer = `<tool_response>\n${content}\n</tool_response>`;
      // Answers to several calls are one turn.
      if (messages[i - 1]?.role === "tool") plain.at(-1)!.content += `\n${answer}`;
      else plain.push({ role: "user", content: answer });
      continue;
    }
    const calls = (tool_calls ?? []).map(
      ({ function: called }) => `${CALL_NAME}${called.name}${CALL_ARGUMENTS}${called.arguments}}`,
    );
    const written = calls.length === 0 ? "" : `${CALL_OPEN}[${calls.join(", ")}]${CALL_CLOSE}`;
    plain.push({ role, content: content + written, ...(typeof name === "string" ? { name } : {}) });
  }
  if (!tools?.length) return { messages: plain };
  const text = introduction(tools);
  const [first] = plain;
  if (first?.role === "system") first.content = `${first.content}\n\n${text}`;
  else plain.unshift({ role: "system", content: text });
  return { messages: plain };
}
