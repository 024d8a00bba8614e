import * as z from "zod";
import { ISOLATE_WASM_BYTES, REQUEST_BYTES } from "../src/index.ts";
import { HttpError } from "./errors.ts";

/** Cloudflare's rate-limiting binding. */
export interface RateLimiter {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

/** Bindings and variables of the Worker; docs/api.md lists them. */
export interface Env {
  /** The static assets: the model directory. */
  ASSETS: {
    /** Answers with a file of the assets. */
    fetch: typeof fetch;
  };
  RATE_LIMITER?: RateLimiter;
  [variable: string]: unknown;
}

const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) =>
  z.coerce.number().int().min(minimum).max(maximum);

const variables = z.object({
  API_KEYS: z
    .string()
    .transform((keys) => keys.split(/[\s,]+/).filter((key) => key !== ""))
    // An empty secret is a mistake, and must not leave the endpoint open.
    .refine((keys) => keys.length > 0, "is set but holds no key; remove it to leave the endpoint open")
    .optional(),
  CORS_ORIGIN: z.string().default("*"),
  MAX_BODY_BYTES: integer(1).default(1024 * 1024),
  MAX_TOKENS: integer(1).optional(),
  MAX_CHOICES: integer(1, 128).default(16),
  MAX_PROMPTS: integer(1, 2048).default(128),
  MAX_REQUEST_TOKENS: integer(1).default(65_536),
  CONTEXT: integer(1).optional(),
  MAX_SEQUENCES: integer(1, 1024).default(8),
  KV_BLOCKS: integer(1).optional(),
  MEMORY_LIMIT: integer(1).default(ISOLATE_WASM_BYTES),
  REQUEST_MEMORY: integer(1_000_000).default(REQUEST_BYTES),
  CACHE_SHARING: z.enum(["client", "all"]).default("client"),
  MAX_QUEUE: integer(0).default(64),
  MAX_WAIT_STEPS: integer(1).default(4096),
  LOAD_STALL_MS: integer(1).default(20_000),
  LOAD_RETRY_MS: integer(0).default(2_000),
  BODY_STALL_MS: integer(1).default(10_000),
  PING_MS: integer(1).default(5_000),
  CLIENT_STALL_MS: integer(1).default(30_000),
  RATE_LIMIT_PERIOD: integer(1).default(60),
  PUBLIC_MODEL: z.stringbool().default(false),
  STAND_IN_FOR: z.string().optional(),
});

export type Config = z.infer<typeof variables>;

const parsed = new WeakMap<Env, Config>();

/**
 * The Worker's configuration, checked once per isolate.
 *
 * @throws HttpError 500 naming the variable: a misspelt value must not silently become the default
 */
export function readConfig(env: Env): Config {
  const known = parsed.get(env);
  if (known) return known;
  const result = variables.safeParse(env);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new HttpError(
      500,
      `The server's configuration is wrong: ${issue?.path.join(".")} ${issue?.message}`,
    );
  }
  if (result.data.API_KEYS === undefined)
    console.warn(
      JSON.stringify({ event: "open", message: "API_KEYS is not set: anyone may use this endpoint" }),
    );
  parsed.set(env, result.data);
  return result.data;
}
