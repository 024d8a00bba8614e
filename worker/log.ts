import type { MiddlewareHandler } from "hono";
import { printable } from "../src/printable.ts";
import type { RequestLog, WorkerEnv } from "./context.ts";

/** One JSON line for each request, written when its last byte is. */
export const requestLog: MiddlewareHandler<WorkerEnv> = async (c, next) => {
  const log: RequestLog = {};
  c.set("log", log);
  const started = Date.now();
  await next();
  const status = c.res.status;
  const write = () => {
    // Whoever runs the server reads it on a terminal, and clients choose what stands in it.
    const entry = JSON.stringify({
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
    const line = printable(entry);
    if (log.error && log.error.status >= 500) console.error(line);
    else console.log(line);
  };
  if (c.var.tail) c.executionCtx.waitUntil(c.var.tail.then(write));
  else write();
};
