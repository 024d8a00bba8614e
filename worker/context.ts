import type { Context } from "hono";
import type { Env } from "./config.ts";
import type { HttpError } from "./errors.ts";
import type { UsageShape } from "./openai/wire/answers.ts";
import type { Lease } from "./request-memory.ts";

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

/** What a request carries from one handler to the next. */
interface Variables {
  requestId: string;
  log: RequestLog;
  /** Ends when the answer's last byte was written, where that is after the handler returned. */
  tail: Promise<void> | undefined;
  /** Whom it comes from, as the guard knows it. */
  client: string;
  /** The memory that it holds. */
  lease: Lease;
}

/** What Hono has to know of this Worker: its bindings, and what a request carries. */
export interface WorkerEnv {
  Bindings: Env;
  Variables: Variables;
}

/** A request that is being answered. */
export type RequestContext = Context<WorkerEnv>;
