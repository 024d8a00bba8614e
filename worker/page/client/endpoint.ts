import type { CompletionShape, ErrorBody } from "../../openai/wire/answers.ts";
import type { Delta } from "../../openai/wire/choice.ts";
import type { PageRequest } from "./page-request.ts";

/** What the server answered instead of text. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function errorOf(response: Response): Promise<AnswerError> {
  const text = await response.text();
  try {
    return new AnswerError(response.status, (JSON.parse(text) as ErrorBody).error.message);
  } catch {
    return new AnswerError(response.status, `The server answered with status ${response.status}.`);
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
  const response = await fetch("/v1/completions", {
    method: "POST",
    headers: { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) },
    body: JSON.stringify({ ...request, stream: true }),
    signal,
  });
  if (!response.ok || !response.body) throw await errorOf(response);
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const message = JSON.parse(data) as CompletionShape | ErrorBody;
    if ("error" in message) throw new AnswerError(500, message.error.message);
    const choice = message.choices[0];
    if (choice)
      yield {
        text: choice.text,
        logprobs: choice.logprobs,
        tokenIds: choice.token_ids,
        finishReason: choice.finish_reason,
      };
  }
  throw new AnswerError(500, "The connection ended before the text did.");
}
