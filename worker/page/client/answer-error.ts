/** What the server, or the model in this browser, answered instead of text. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
  /** The endpoint's name of what was wrong, or the core's, where the model in this browser refused. */
  readonly code: string | null;

  constructor(message: string, code: string | null = null) {
    super(message);
    this.code = code;
  }
}

/** The code of an error: the page's scripts are bundled apart, and each has an AnswerError of its own. */
function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : null;
}

/** Whether a conversation or a text was refused because it does not fit the context. Both ends call it the same. */
export function isContextFull(error: unknown): boolean {
  return codeOf(error) === "context_length_exceeded";
}

/** Whether the server wants another API key. */
export function isKeyRefused(error: unknown): boolean {
  return codeOf(error) === "invalid_api_key";
}

/** An error as a sentence for the reader. */
export function explain(error: unknown): string {
  if (error instanceof TypeError) return "The server cannot be reached. Is it still running?";
  return error instanceof Error ? error.message : String(error);
}
