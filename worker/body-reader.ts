import { HttpError } from "./errors.ts";

/** A body takes this many times the longest time between two of its pieces at most. */
export const STALLS_PER_BODY = 6;

/**
 * Bytes of a refused body that are read and dropped. A client that is cut off while it is still sending sees a
 * broken connection instead of the 413.
 */
const DROPPED_BYTES = 16 * 1024 * 1024;

/** Bytes that are read at once: first few, since most bodies are short and some never come, then more. */
const FIRST_PIECE_BYTES = 4 * 1024;
const LARGEST_PIECE_BYTES = 64 * 1024;

type Read = (room: number) => Promise<{ done: boolean; value?: Uint8Array | undefined }>;

/** How to read up to `room` bytes, and how to stop. */
function open(body: ReadableStream<Uint8Array>): { read: Read; cancel(): Promise<void> } {
  try {
    const reader = body.getReader({ mode: "byob" });
    return { read: (room) => reader.read(new Uint8Array(room)), cancel: () => reader.cancel() };
  } catch {
    // Node's requests are no byte streams. They come in large pieces by themselves.
    const reader = body.getReader();
    return { read: () => reader.read(), cancel: () => reader.cancel() };
  }
}

/** How often somebody who waits for bytes looks whether the body is to be given up for others. */
const LOOK_MS = 100;

/** How bodies are read. */
export interface Pace {
  /** Without a new byte for this long a body is given up, and after six times as long in any case. */
  stallMs: number;
  /** Resolves when the next piece of a long body may be read. */
  piece(): Promise<void>;
}

/**
 * Reads a body piece by piece, none later than allowed.
 *
 * workerd gives 4 KiB at a time unless it is asked for more, and does nothing else as long as there is something to read:
 * a dozen bodies of a megabyte that were read as fast as they came held everybody else up for 400 ms (measured).
 */
export class BodyReader {
  readonly #source: ReturnType<typeof open> | undefined;
  readonly #pace: Pace;
  readonly #endsAt: number;
  readonly #isLost: (() => boolean) | undefined;
  readonly #timer = new AbortController();
  #room = FIRST_PIECE_BYTES;
  /** Whether the last piece filled its room: then more of the body is here already. */
  #full = false;
  /** When the piece was asked for that has not yet come. */
  #waitingSince: number | undefined;
  #giveUp: (() => void) | undefined;
  #late = false;

  /** @param isLost says when the body is to be given up, for others who wait */
  constructor(body: ReadableStream<Uint8Array> | null, pace: Pace, isLost?: () => boolean) {
    this.#isLost = isLost;
    this.#source = body === null ? undefined : open(body);
    this.#pace = pace;
    this.#endsAt = Date.now() + STALLS_PER_BODY * pace.stallMs;
    if (body !== null) void this.#watch();
  }

  /**
   * The next bytes; undefined at the end.
   *
   * @throws HttpError 408 when they do not come, 503 when the body is given up for others
   */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#source === undefined) return undefined;
    if (this.#full) await this.#pace.piece();
    try {
      const { done, value } = await this.#read(this.#source);
      if (done || value === undefined) {
        this.#timer.abort();
        return undefined;
      }
      this.#full = value.byteLength >= this.#room;
      if (this.#full) this.#room = Math.min(2 * this.#room, LARGEST_PIECE_BYTES);
      return value;
    } catch (error) {
      this.#timer.abort();
      throw error;
    }
  }

  /** Reads on and drops what comes, so that the connection can be used again. */
  async drop(): Promise<void> {
    try {
      let bytes = 0;
      for (let piece = await this.next(); piece && bytes <= DROPPED_BYTES; piece = await this.next())
        bytes += piece.byteLength;
    } catch {
      // The client stopped sending: there is nothing left to drop.
    }
    this.#timer.abort();
  }

  #read({ read, cancel }: ReturnType<typeof open>): ReturnType<Read> {
    return new Promise<Awaited<ReturnType<Read>>>((resolve, reject) => {
      this.#giveUp = () => {
        cancel().catch(() => {});
        reject(
          this.#isLost?.()
            ? HttpError.overloaded("the request body came too slowly")
            : new HttpError(408, "The request body did not arrive in time.", { code: "request_timeout" }),
        );
      };
      if (this.#late) return this.#giveUp();
      this.#waitingSince = Date.now();
      read(this.#room).then(resolve, reject);
    }).finally(() => {
      this.#waitingSince = undefined;
      this.#giveUp = undefined;
    });
  }

  /** One timer for all pieces. */
  async #watch(): Promise<void> {
    const { signal } = this.#timer;
    while (!signal.aborted) {
      const now = Date.now();
      const leftMs = Math.min((this.#waitingSince ?? now) + this.#pace.stallMs, this.#endsAt) - now;
      if (leftMs <= 0 || this.#isLost?.()) {
        this.#late = true;
        this.#giveUp?.();
        return;
      }
      const lookMs = this.#isLost ? Math.min(LOOK_MS, leftMs) : leftMs;
      await scheduler.wait(lookMs, { signal }).catch(() => {});
    }
  }
}

/**
 * Reads and drops a body that no handler has read. workerd silently closes the connection of an unread body, and a
 * client that reuses connections would lose its next request.
 */
export async function dropBody(request: Request, pace: Pace): Promise<void> {
  if (request.body === null || request.bodyUsed) return;
  await new BodyReader(request.body as ReadableStream<Uint8Array>, pace).drop();
}
