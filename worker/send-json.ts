import type { Config } from "./config.ts";
import type { RequestContext } from "./context.ts";
import { AnswerStream, ClientGone } from "./events.ts";

/** Answers up to this length are handed over at once. */
const SHORT_UNITS = 64 * 1024;
/** After this time a long answer's memory counts for nothing. */
const LONGEST_SENDING_MS = 15 * 60_000;

/**
 * A whole answer. A long one leaves as fast as its client reads it and counts as the request's memory until then; one that
 * is not read for `CLIENT_STALL_MS` is broken off.
 *
 * @throws HttpError 503 where there is no memory for it
 */
export function sendJson(c: RequestContext, value: unknown, config: Config): Response {
  const json = JSON.stringify(value);
  const headers = { "content-type": "application/json" };
  if (json.length <= SHORT_UNITS) return c.body(json, 200, headers);
  c.var.lease.holdAtLeast(json.length, LONGEST_SENDING_MS);
  const answer = new AnswerStream(" ");
  c.set(
    "tail",
    answer.write(json).then(
      () => answer.close(),
      (cause) => {
        if (cause instanceof ClientGone) c.var.log.clientGone = true;
        return answer.break(cause);
      },
    ),
  );
  void answer.watch({ pingMs: config.PING_MS, stallMs: config.CLIENT_STALL_MS }, () => {});
  return new Response(answer.body, { headers });
}
