import { toHex } from "../src/hex.ts";
import type { Config, RateLimiter } from "./config.ts";
import { HttpError } from "./errors.ts";

/** Where a request comes from: Cloudflare sets it, whatever the client sent. */
export const ADDRESS_HEADER = "cf-connecting-ip";

/**
 * What an address counts as: itself in IPv4, and in IPv6 its network of 64 bits, within which whoever has one address has
 * all of them.
 */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [head = [], tail = []] = address
    .replace(/%.*/, "")
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill("0");
  const groups = [...head, ...zeros, ...tail].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":")}::/64`;
}

async function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}

/** The digests of the configured keys, made once. */
const digests = new WeakMap<string[], ArrayBuffer[]>();

/**
 * Whether `token` is one of the keys. Every key is compared, as a digest of fixed length, so the time that it
 * takes does not tell which key came close or how long it is.
 */
async function isKnown(token: string, keys: string[]): Promise<boolean> {
  const given = await digest(token);
  let made = digests.get(keys);
  if (made === undefined) {
    made = await Promise.all(keys.map(digest));
    digests.set(keys, made);
  }
  let known = false;
  for (const key of made) known = crypto.subtle.timingSafeEqual(given, key) || known;
  return known;
}

/** Whom a request comes from. */
interface Visitor {
  /** A key's digest, or the network of one who has none. */
  name: string;
  key: "known" | "wrong" | "none";
}

async function visitorOf(headers: Headers, keys: string[] | undefined): Promise<Visitor> {
  const token = /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
  const known = keys !== undefined && token !== undefined && (await isKnown(token, keys));
  return {
    name: known
      ? toHex(new Uint8Array(await digest(token)))
      : networkOf(headers.get(ADDRESS_HEADER) ?? "unknown"),
    key: known ? "known" : token === undefined ? "none" : "wrong",
  };
}

/**
 * Lets a request in, or says why not. The rate limit counts by key, and by address where there is no known key. It counts
 * requests with a wrong key too, so that nobody can try many keys quickly. Routes that are open to everyone are counted
 * by themselves.
 *
 * @param open whether the route needs no key
 * @returns the client: what it asks for takes turns with what others ask for, and shares the cache with no others
 * @throws HttpError 401 without a known key where keys are configured, 429 over the limit
 */
export async function guard(
  headers: Headers,
  open: boolean,
  config: Config,
  rateLimiter: RateLimiter | undefined,
): Promise<string> {
  const { name, key } = await visitorOf(headers, config.API_KEYS);
  if (rateLimiter && !(await rateLimiter.limit({ key: open ? `open ${name}` : name })).success)
    throw new HttpError(429, "Rate limit reached; slow down and try again later.", {
      type: "requests",
      code: "rate_limit_exceeded",
      headers: { "retry-after": String(config.RATE_LIMIT_PERIOD) },
    });
  if (open || config.API_KEYS === undefined || key === "known") return name;
  throw new HttpError(
    401,
    key === "none"
      ? "An API key is needed: send it in the header Authorization: Bearer KEY."
      : "The API key given is not one of this server's.",
    { code: key === "none" ? null : "invalid_api_key", headers: { "www-authenticate": "Bearer" } },
  );
}
