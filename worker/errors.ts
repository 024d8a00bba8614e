import { EdgeformerError, type ErrorCode } from "../src/errors.ts";
import type { ErrorBody } from "./openai/wire/answers.ts";
import { snakeCase } from "./openai/wire/names.ts";

interface HttpErrorOptions {
  type?: string;
  param?: string | null;
  code?: string | null;
  headers?: Record<string, string>;
  cause?: unknown;
}

/** Seconds after which another try can help: a load takes about that long, and so does a crowd. */
const RETRY_AFTER_SECONDS = 2;

/** An answer that is an error: the status and OpenAI's body, which its clients turn into typed exceptions. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Record<string, string>;

  constructor(status: number, message: string, options: HttpErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.type = options.type ?? (status < 500 ? "invalid_request_error" : "server_error");
    this.param = options.param ?? null;
    this.code = options.code ?? null;
    this.headers = options.headers ?? {};
  }

  /** What somebody gets for whom there is no room now. */
  static overloaded(why: string): HttpError {
    return new HttpError(503, `This server is busy, and ${why}: try again later.`, {
      code: "overloaded",
      headers: { "retry-after": String(RETRY_AFTER_SECONDS) },
    });
  }

  body(): ErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

/** A field of the request that is wrong. */
export function invalidField(param: string, message: string): HttpError {
  return new HttpError(400, message, { param, code: "invalid_value" });
}

const STATUS: Record<ErrorCode, number> = {
  invalid_option: 400,
  invalid_prompt: 400,
  context_length_exceeded: 400,
  invalid_model: 503,
  unsupported_model: 503,
  unsupported_runtime: 503,
  io: 503,
  disposed: 503,
  overloaded: 503,
  // The client has left, so only the log shows this. 499 is nginx's number for it.
  aborted: 499,
};

/** The field of the request that gave the core an option or argument. */
function fieldOf(name: string): string {
  return name === "ids" || name === "text" ? "prompt" : snakeCase(name);
}

function fromCore(error: EdgeformerError): HttpError {
  const status = STATUS[error.code];
  const param = error.param === undefined ? undefined : fieldOf(error.param);
  // The library speaks of `topP`, the wire of `top_p`.
  const message =
    error.param === undefined || param === undefined
      ? error.message
      : error.message.replaceAll(error.param, param);
  switch (error.code) {
    case "invalid_option":
      return new HttpError(status, message, { param, code: "invalid_value", cause: error });
    case "invalid_prompt":
      return new HttpError(status, message, {
        param: param ?? "prompt",
        code: "invalid_value",
        cause: error,
      });
    case "context_length_exceeded":
      return new HttpError(status, message, { param: "prompt", code: error.code, cause: error });
    case "aborted":
      return new HttpError(status, message, { code: "client_closed_request", cause: error });
    default:
      return new HttpError(status, message, {
        code: error.code === "overloaded" ? "overloaded" : "model_unavailable",
        headers: { "retry-after": String(RETRY_AFTER_SECONDS) },
        cause: error,
      });
  }
}

/**
 * The one place where errors become HTTP. An unexpected error becomes a 500 that tells the client nothing; the log
 * has its cause.
 */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof EdgeformerError) return fromCore(error);
  return new HttpError(500, "The server had an error while processing your request.", { cause: error });
}
