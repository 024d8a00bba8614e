import type { MiddlewareHandler } from "hono";
import type { Variables } from "./app.ts";
import type { HttpError } from "./errors.ts";
import type { UsageShape } from "./schema.ts";

/** What the handlers add to the line that each request leaves. Never a prompt, a completion or a key. */
export interface RequestLog {
  stream?: boolean;
  usage?: UsageShape;
  error?: HttpError;
  /** The client left before the end. */
  clientGone?: boolean;
  /** Tokens generated for a client that left. */
  completionTokens?: number;
}

/** One JSON line for each request, written when its last byte is. */
export const requestLog: MiddlewareHandler<{ Variables: Variables }> = async (c, next) => {
  const log: RequestLog = {};
  c.set("log", log);
  const started = Date.now();
  await next();
  const status = c.res.status;
  const write = () => {
    const line = JSON.stringify({
      event: "request",
      request_id: c.var.requestId,
      method: c.req.method,
      path: c.req.path.slice(0, 128),
      status,
      stream: log.stream,
      outcome: log.clientGone ? "client_gone" : log.error ? "error" : "ok",
      error_code: log.error?.code,
      error: log.error?.message,
      cause: log.error && log.error.status >= 500 ? String(log.error.cause ?? "") : undefined,
      prompt_tokens: log.usage?.prompt_tokens,
      completion_tokens: log.usage?.completion_tokens ?? log.completionTokens,
      cached_tokens: log.usage?.prompt_tokens_details.cached_tokens,
      duration_ms: Date.now() - started,
    });
    if (log.error && log.error.status >= 500) console.error(line);
    else console.log(line);
  };
  if (c.var.tail) c.executionCtx.waitUntil(c.var.tail.then(write));
  else write();
};
