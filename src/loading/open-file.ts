import { EdgeformerError } from "../errors.ts";
import type { ModelSource } from "./load-options.ts";

/** A file of the model directory that is being opened or read. Every failure names it. */
export class OpenFile {
  readonly file: string;
  readonly #source: ModelSource;
  readonly #signal: AbortSignal | undefined;
  readonly #iterator: Promise<AsyncIterator<Uint8Array>>;

  constructor(source: ModelSource, file: string, signal: AbortSignal | undefined) {
    this.file = file;
    this.#source = source;
    this.#signal = signal;
    this.#iterator = this.#open();
    // Whoever reads the file is told; a file that nobody gets to read has nobody to tell.
    this.#iterator.catch(() => {});
  }

  async #open(): Promise<AsyncIterator<Uint8Array>> {
    const chunks = await this.#source.open(this.file, this.#signal);
    return chunks[Symbol.asyncIterator]();
  }

  /** The next chunk; undefined behind the last. */
  async next(): Promise<Uint8Array | undefined> {
    try {
      const iterator = await this.#orAborted(this.#iterator);
      const { done, value } = await this.#orAborted(iterator.next());
      return done ? undefined : value;
    } catch (cause) {
      if (cause instanceof EdgeformerError) throw cause;
      throw new EdgeformerError(
        "io",
        `${this.file}: reading ${this.#source.name} failed (${String(cause)}); try again`,
        { cause },
      );
    }
  }

  /** Lets go of the stream, wherever it is. Not awaited: a stream that hangs may never answer. */
  close(): void {
    this.#iterator.then((iterator) => iterator.return?.()).catch(() => {});
  }

  /** What the promise gives, or the error of an abort: not every source listens to its signal. */
  #orAborted<T>(promise: Promise<T>): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) return promise;
    return new Promise((resolve, reject) => {
      const onAbort = () =>
        reject(new EdgeformerError("aborted", `${this.file}: loading was aborted`, { cause: signal.reason }));
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    });
  }
}

/** A whole file, which must not be longer than `maximum` bytes. */
export async function readWhole(
  source: ModelSource,
  name: string,
  maximum: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = new OpenFile(source, name, signal);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (let chunk = await file.next(); chunk !== undefined; chunk = await file.next()) {
      length += chunk.length;
      if (length > maximum)
        throw new EdgeformerError(
          "invalid_model",
          `${name}: longer than the ${maximum} bytes that it may have`,
        );
      // A source may fill one buffer again and again.
      chunks.push(chunk.slice());
    }
  } finally {
    file.close();
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
