import type * as z from "zod";
import { BodyReader, type Pace, STALLS_PER_BODY } from "./body-reader.ts";
import { HttpError, invalidField } from "./errors.ts";
import { countParts, MAX_NESTED_ENTRIES, MAX_PARTS, sourceOf } from "./json.ts";
import type { Lease } from "./request-memory.ts";

/** Entries that a list or map other than a prompt may have; far above what any field allows. */
const MAX_ENTRIES = 1024;
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

/** A body of this many bytes holds up to so many times as much memory, as text and as what JSON makes of it. */
const MEMORY_PER_BYTE = 4;

/** What a body without a length is given first; then twice as much whenever it turns out longer. */
const FIRST_BYTES = 4 * 1024;

/** How long a request waits for memory for its body. */
const PATIENCE_MS = 5_000;

/** How a body is read. */
export interface Intake {
  /** Bytes that it may have. */
  limit: number;
  pace: Pace;
  /** Holds its memory. */
  lease: Lease;
  /** Resolves when it is this body's turn to be worked on. */
  turn(bytes: number): Promise<void>;
}

/**
 * The body's text. A body that is longer than `limit`, or than the memory of one request allows, or says so in its
 * headers, is not kept in memory.
 *
 * @throws HttpError 413 if the body is longer, 400 if it is not UTF-8, 408 if it does not come, 503 if there is no
 *   memory for it
 */
async function readText(request: Request, { pace, lease, turn, ...intake }: Intake): Promise<string> {
  // What could never have its memory need not wait for it.
  const limit = Math.min(intake.limit, Math.floor(lease.most / MEMORY_PER_BYTE));
  const body = request.body as ReadableStream<Uint8Array> | null;
  const reader = new BodyReader(body, pace, () => lease.isLost);
  const refuse = async (cause: unknown): Promise<never> => {
    lease.release();
    await reader.drop();
    throw cause instanceof HttpError ? cause : new HttpError(400, "The request body broke off.", { cause });
  };
  const decode = (make: () => string): string => {
    try {
      return make();
    } catch (cause) {
      throw new HttpError(400, "The request body could not be read as UTF-8.", { cause });
    }
  };
  const declared = request.headers.get("content-length");
  if (Number(declared ?? 0) > limit) return refuse(tooLarge(limit));
  const lastsMs = 2 * STALLS_PER_BODY * pace.stallMs;
  let room = declared === null ? Math.min(FIRST_BYTES, limit) : Number(declared);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let bytes = 0;
  try {
    await lease.wait(room * MEMORY_PER_BYTE, lastsMs, PATIENCE_MS);
    lease.beginUpload();
    for (;;) {
      const piece = await reader.next();
      bytes += piece?.byteLength ?? 0;
      lease.arrived(piece?.byteLength ?? 0);
      if (bytes > limit) throw tooLarge(limit);
      if (bytes > room) {
        room = Math.min(limit, Math.max(2 * room, bytes));
        await lease.wait(room * MEMORY_PER_BYTE, lastsMs, PATIENCE_MS);
      }
      if (piece === undefined) break;
      text += decode(() => decoder.decode(piece, { stream: true }));
    }
    text += decode(() => decoder.decode());
    lease.endUpload();
  } catch (error) {
    return refuse(error);
  }
  await turn(bytes);
  return text;
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

/**
 * The body with its seed as a bigint where a double would not hold it: JSON.parse would take 2^53 + 1 for 2^53. Other
 * integers of a request are never that large.
 */
function withExactSeed(body: Record<string, unknown>, text: string): Record<string, unknown> {
  if (!Number.isInteger(body.seed) || Number.isSafeInteger(body.seed)) return body;
  const source = sourceOf("seed", text);
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
 * @throws HttpError 400 naming the first field at fault; 408, 413, 503
 */
export async function readBody<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  intake: Intake,
): Promise<z.infer<Schema>> {
  const text = await readText(request, intake);
  if (countParts(text) > MAX_PARTS)
    throw new HttpError(400, `The request has more than ${MAX_PARTS} lists, objects and members in it.`);
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
