import type { ChatPieceShape, ChoiceShape, ErrorBody } from "../../openai/wire/answers.ts";
import type { Delta } from "../../openai/wire/choice.ts";
import { AnswerError } from "./answer-error.ts";
import { ChatDeltas } from "./chat-delta.ts";
import type { PageRequest } from "./page-request.ts";

async function errorOf(response: Response): Promise<AnswerError> {
  const text = await response.text();
  try {
    const { message, code, param } = (JSON.parse(text) as ErrorBody).error;
    return new AnswerError(message, code, param);
  } catch {
    return new AnswerError(`The server answered with status ${response.status}.`);
  }
}

/** GET of a JSON document of this server. */
export async function getJson<T>(path: string): Promise<T> {
  const response = await fetch(path);
  if (!response.ok) throw await errorOf(response);
  return (await response.json()) as T;
}

/** The data of each server-sent event. */
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let buffer = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      buffer += decoder.decode(read.value, { stream: true });
      for (let end = buffer.indexOf("\n\n"); end !== -1; end = buffer.indexOf("\n\n")) {
        const event = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        if (event.startsWith("data: ")) yield event.slice(6);
      }
    }
  } finally {
    await reader.cancel();
  }
}

/** The first choice in each event of a streamed answer. */
async function* choices<Choice>(
  path: string,
  request: PageRequest,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<Choice> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) },
    body: JSON.stringify({ ...request, stream: true }),
    signal,
  });
  if (!response.ok || !response.body) throw await errorOf(response);
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const message = JSON.parse(data) as { choices: Choice[] } | ErrorBody;
    if ("error" in message) throw new AnswerError(message.error.message);
    const [choice] = message.choices;
    if (choice) yield choice;
  }
  throw new AnswerError("The connection ended before the text did.");
}

/**
 * Generates on the server.
 *
 * @throws AnswerError what the server refused; AbortError; TypeError when it cannot be reached
 */
export async function* generateOnServer(
  request: PageRequest,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<Delta> {
  if ("messages" in request) {
    const deltas = new ChatDeltas();
    const path = "/v1/chat/completions";
    for await (const piece of choices<ChatPieceShape>(path, request, key, signal)) yield deltas.read(piece);
  } else
    for await (const choice of choices<ChoiceShape>("/v1/completions", request, key, signal))
      yield {
        text: choice.text,
        logprobs: choice.logprobs,
        tokenIds: choice.token_ids,
        finishReason: choice.finish_reason,
      };
}
