/** UTF-16 units that are handed to the connection at once. A client that takes them in time is no slow one. */
const PIECE_UNITS = 64 * 1024;

/** A text in pieces, none of which ends within a surrogate pair. */
function* piecesOf(text: string): Iterable<string> {
  for (let start = 0, end: number; start < text.length; start = end) {
    end = Math.min(text.length, start + PIECE_UNITS);
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--;
    yield text.slice(start, end);
  }
}

/** The client closed the connection, or stopped reading for too long. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

export interface WatchOptions {
  /** A ping is sent when nothing else was sent for this long. It also bounds the wait for the first event. */
  pingMs: number;
  /** A client that reads nothing for this long counts as gone. */
  stallMs: number;
}

/**
 * A body that is sent while it is made: each piece is flushed. `send` and `write` resolve once the runtime has taken the
 * bytes, so the producer never runs ahead of the connection. Once the connection is gone they reject with ClientGone.
 */
export class AnswerStream {
  readonly #ping: string;
  readonly #pipe = new IdentityTransformStream();
  readonly #writer = this.#pipe.writable.getWriter();
  readonly #encoder = new TextEncoder();
  readonly #closed = new AbortController();
  #pending = 0;
  #sent = 0;
  #gone: ClientGone | undefined;
  #started!: () => void;
  /** Resolves when the first event is ready to leave. */
  readonly started = new Promise<void>((resolve) => {
    this.#started = resolve;
  });

  /** @param ping what means nothing in this body: a comment between events, white space before JSON */
  constructor(ping: string) {
    this.#ping = ping;
  }

  get body(): ReadableStream<Uint8Array> {
    return this.#pipe.readable;
  }

  /** A server-sent event. */
  send(data: unknown): Promise<void> {
    return this.write(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
  }

  /** Ends the body in the middle, so that nobody takes it for whole. */
  async break(reason: unknown): Promise<void> {
    this.#closed.abort();
    await this.#writer.abort(reason).catch(() => {});
  }

  async close(): Promise<void> {
    this.#closed.abort();
    // Closing rejects if the reader has left; then nobody needs to know.
    await this.#writer.close().catch(() => {});
  }

  /**
   * Sends pings and notices a client that does not read, until the stream is closed.
   *
   * @param onGone called once, when a ping finds the connection closed or stalled
   */
  async watch({ pingMs, stallMs }: WatchOptions, onGone: () => void): Promise<void> {
    let stalledMs = 0;
    let sent = this.#sent;
    for (;;) {
      await scheduler.wait(pingMs, { signal: this.#closed.signal }).catch(() => {});
      if (this.#closed.signal.aborted) return;
      if (this.#sent !== sent) stalledMs = 0;
      // Not awaited, because the write of a ping may itself stall.
      else if (this.#pending === 0) void this.write(this.#ping).catch(onGone);
      else if ((stalledMs += pingMs) >= stallMs) {
        await this.#writer.abort(new ClientGone("the client stopped reading")).catch(() => {});
        return onGone();
      }
      sent = this.#sent;
      if (this.#gone) return;
    }
  }

  async write(text: string): Promise<void> {
    if (this.#gone) throw this.#gone;
    this.#started();
    this.#pending++;
    try {
      for (const piece of piecesOf(text)) {
        await this.#writer.write(this.#encoder.encode(piece));
        this.#sent++;
      }
    } catch (cause) {
      throw (this.#gone ??= new ClientGone("the client closed the connection", { cause }));
    } finally {
      this.#pending--;
    }
  }
}
