import { toHex } from "../src/hex.ts";
import type { Config, RateLimiter } from "./config.ts";
import { HttpError } from "./errors.ts";

async function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}

/**
 * Whether `token` is one of the keys. Every key is compared, as a digest of fixed length, so the time that it
 * takes does not tell which key came close or how long it is.
 */
async function isKnown(token: string, keys: string[]): Promise<boolean> {
  const given = await digest(token);
  let known = false;
  for (const key of keys) known = crypto.subtle.timingSafeEqual(given, await digest(key)) || known;
  return known;
}

/**
 * Lets a request in, or says why not. The rate limit counts by key, and by address where there is no known key.
 * It counts requests with a wrong key too, so that nobody can try many keys quickly.
 *
 * @throws HttpError 401 without a known key where keys are configured, 429 over the limit
 */
export async function guard(
  headers: Headers,
  config: Config,
  rateLimiter: RateLimiter | undefined,
): Promise<void> {
  const token = /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
  const keys = config.API_KEYS;
  const known = keys !== undefined && token !== undefined && (await isKnown(token, keys));
  if (rateLimiter) {
    const key = known
      ? toHex(new Uint8Array(await digest(token)))
      : (headers.get("cf-connecting-ip") ?? "unknown");
    if (!(await rateLimiter.limit({ key })).success)
      throw new HttpError(429, "Rate limit reached; slow down and try again later.", {
        type: "requests",
        code: "rate_limit_exceeded",
        headers: { "retry-after": String(config.RATE_LIMIT_PERIOD) },
      });
  }
  if (keys === undefined || known) return;
  throw new HttpError(
    401,
    token === undefined
      ? "An API key is needed: send it in the header Authorization: Bearer KEY."
      : "The API key given is not one of this server's.",
    { code: token === undefined ? null : "invalid_api_key", headers: { "www-authenticate": "Bearer" } },
  );
}
