import type * as z from "zod";
import { HttpError, invalidField } from "./errors.ts";

/** Entries that a list or map other than a prompt may have; far above what any field allows. */
const MAX_ENTRIES = 1024;
/** Entries that lists in it may have all together. */
const MAX_NESTED_ENTRIES = 16_384;
/** Fields of a request; the longest schema has three dozen. */
const MAX_FIELDS = 64;

function tooLarge(limit: number): HttpError {
  return new HttpError(
    413,
    `The request body is larger than ${limit} bytes, the most that this server reads.`,
    {
      code: "request_too_large",
    },
  );
}

/**
 * Bytes of a refused body that are read and dropped. A client that is cut off while it is still sending sees a
 * broken connection instead of the 413.
 */
const DROPPED_BYTES = 16 * 1024 * 1024;

/**
 * Reads and drops a body that no handler has read. workerd silently closes the connection of an unread body, and a
 * client that reuses connections would lose its next request.
 */
export async function dropBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed) return;
  const reader = request.body.getReader();
  let bytes = 0;
  try {
    for (let read = await reader.read(); !read.done && bytes <= DROPPED_BYTES; read = await reader.read())
      bytes += read.value.byteLength;
  } catch {
    // The client stopped sending: there is nothing left to drop.
  }
}

/**
 * The body's text. A body that is longer than `limit`, or says so in its headers, is not kept in memory.
 *
 * @throws HttpError 413 if the body is longer, 400 if it is not UTF-8
 */
async function readText(request: Request, limit: number): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = (request.body as ReadableStream<Uint8Array> | null)?.getReader();
  let text = "";
  let bytes = 0;
  let refused = Number(request.headers.get("content-length") ?? 0) > limit;
  try {
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
      bytes += read.value.byteLength;
      refused ||= bytes > limit;
      if (!refused) text += decoder.decode(read.value, { stream: true });
      else if (bytes > DROPPED_BYTES) break;
    }
    if (!refused) return text + decoder.decode();
  } catch (cause) {
    throw new HttpError(400, "The request body could not be read as UTF-8.", { cause });
  }
  throw tooLarge(limit);
}

function shorten(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}

/** Entries of a value and of all that is in it, however deep; counting stops above MAX_NESTED_ENTRIES. */
function countNested(value: object): number {
  let count = 0;
  const left: object[] = [value];
  for (let next = left.pop(); next && count <= MAX_NESTED_ENTRIES; next = left.pop()) {
    const entries: unknown[] = Array.isArray(next) ? next : Object.values(next);
    count += entries.length;
    for (const entry of entries) if (typeof entry === "object" && entry !== null) left.push(entry);
  }
  return count;
}

/** Refuses bodies that would make the schema's checks expensive: these record a problem for each bad entry. */
function checkSize(body: Record<string, unknown>): void {
  const keys = Object.keys(body);
  if (keys.length > MAX_FIELDS) throw new HttpError(400, `The request has ${keys.length} fields.`);
  for (const key of keys) {
    const value = body[key];
    // The schemas check prompts and token ids in one pass.
    if (typeof value !== "object" || value === null || key === "prompt" || key === "tokens") continue;
    const entries = Array.isArray(value) ? value.length : Object.keys(value).length;
    if (entries > MAX_ENTRIES)
      throw invalidField(shorten(key), `'${shorten(key)}' has ${entries} entries, more than ${MAX_ENTRIES}.`);
    if (countNested(value) > MAX_NESTED_ENTRIES)
      throw invalidField(
        shorten(key),
        `'${shorten(key)}' has more than ${MAX_NESTED_ENTRIES} entries in it.`,
      );
  }
}

/** What JSON.parse tells a reviver about a number beside its value: how it was written. */
type Reviver = (this: unknown, key: string, value: unknown, context?: { source?: string }) => unknown;

/**
 * The body with its seed as a bigint where a double would not hold it: JSON.parse would take 2^53 + 1 for 2^53. Other
 * integers of a request are never that large.
 */
function withExactSeed(body: Record<string, unknown>, text: string): Record<string, unknown> {
  if (!Number.isInteger(body.seed) || Number.isSafeInteger(body.seed)) return body;
  const sources = new Map<unknown, string | undefined>();
  const note: Reviver = function (key, value, context) {
    if (key === "seed") sources.set(this, context?.source);
    return value;
  };
  const source = sources.get(JSON.parse(text, note as (key: string, value: unknown) => unknown));
  return source !== undefined && /^-?\d{1,20}$/.test(source) ? { ...body, seed: BigInt(source) } : body;
}

function fromIssue(issue: z.core.$ZodIssue): HttpError {
  if (issue.code === "unrecognized_keys") {
    const key = shorten(issue.keys[0] ?? "");
    return new HttpError(400, `Unrecognized request argument supplied: ${key}`, {
      param: key,
      code: "unknown_parameter",
    });
  }
  const param = shorten(issue.path.join("."));
  return invalidField(param, `Invalid '${param}': ${issue.message}`);
}

/**
 * The request's body, checked against its schema. As at OpenAI, a field that is null counts as absent.
 *
 * @throws HttpError 400 naming the first field at fault; 413
 */
export async function readBody<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  limit: number,
): Promise<z.infer<Schema>> {
  const text = await readText(request, limit);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new HttpError(400, "We could not parse the JSON body of your request.", { cause });
  }
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new HttpError(400, "The request body must be a JSON object.");
  checkSize(body as Record<string, unknown>);
  const exact = withExactSeed(body as Record<string, unknown>, text);
  const present = Object.fromEntries(Object.entries(exact).filter(([, value]) => value !== null));
  const result = schema.safeParse(present);
  if (!result.success) throw fromIssue(result.error.issues[0] as z.core.$ZodIssue);
  return result.data;
}
