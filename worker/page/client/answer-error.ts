/** What the server, or the model in this browser, answered instead of text. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
  /** The endpoint's name of what was wrong, or the core's, where the model in this browser refused. */
  readonly code: string | null;
  /** The field or option at fault, as either calls it, where there is one. */
  readonly param: string | null;

  constructor(message: string, code: string | null = null, param: string | null = null) {
    super(message);
    this.code = code;
    this.param = param;
  }
}

/** An error's code and param: the page's scripts are bundled apart, and each has an AnswerError of its own. */
const detailsOf = (error: unknown) => error as Partial<AnswerError>;

/** Whether a conversation or a text was refused because it does not fit the context. Both ends call it the same. */
export function isContextFull(error: unknown): boolean {
  return detailsOf(error).code === "context_length_exceeded";
}

/** Whether the server wants another API key. */
export function isKeyRefused(error: unknown): boolean {
  return detailsOf(error).code === "invalid_api_key";
}

/** Whether the form that the answer was to have was refused. */
export function isFormRefused(error: unknown): boolean {
  return /^(response_format|jsonSchema)/.test(detailsOf(error).param ?? "");
}

/** An error as a sentence for the reader. */
export function explain(error: unknown): string {
  if (error instanceof TypeError) return "The server cannot be reached. Is it still running?";
  return error instanceof Error ? error.message : String(error);
}
