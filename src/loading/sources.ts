import { EdgeformerError } from "../errors.ts";
import type { ModelSource } from "./load-options.ts";

/**
 * Bytes that are asked for at once. workerd hands an asset out in pieces of 4 KiB by itself: DistilGPT-2's 82 MB
 * take 0.7 s that way, and 0.03 s into a buffer of this size. Each read leaves about 2 KB of garbage, so smaller
 * buffers cost more memory than they save: 5 MB more with 32 KiB.
 */
const READ_BYTES = 512 * 1024;

/** The buffer of the last stream that ended, for the next one: a load then has one, and leaves none behind. */
let spare: ArrayBuffer | undefined;

/** A reader that fills our buffer, for streams that can; nothing for the others, whose chunks are their own. */
function byteReader(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return stream.getReader({ mode: "byob" });
  } catch (cause) {
    if (cause instanceof TypeError) return undefined;
    throw cause;
  }
}

/**
 * The chunks of a stream, one buffer for all where the stream allows it: a chunk is valid until the next one is
 * asked for. Leaving early cancels the stream, even before the first chunk.
 */
export function chunksOf(stream: ReadableStream<Uint8Array>): AsyncIterableIterator<Uint8Array> {
  const filling = byteReader(stream);
  const reader = filling ?? stream.getReader();
  let buffer: ArrayBuffer | undefined;
  const read = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
    if (!filling) {
      const { done, value } = await (reader as ReadableStreamDefaultReader<Uint8Array>).read();
      return done ? { done, value: undefined } : { done, value };
    }
    if (buffer === undefined) {
      buffer = spare ?? new ArrayBuffer(READ_BYTES);
      spare = undefined;
    }
    // Without `min`: Node.js 20 fails or hangs at the end of a stream with it.
    const { value } = await filling.read(new Uint8Array(buffer, 0, READ_BYTES));
    buffer = value?.buffer as ArrayBuffer | undefined;
    if (value !== undefined && value.byteLength > 0) return { done: false, value };
    // The last bytes may have come together with the end: then this read had none.
    spare = buffer;
    return { done: true, value: undefined };
  };
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: read,
    async return() {
      // A stream that failed rejects with its error, which the reads have told already.
      await reader.cancel().catch(() => {});
      return { done: true, value: undefined };
    },
  };
}

/** What is fetched with, besides the address. */
export interface FetchInit {
  signal?: AbortSignal;
  headers?: Record<string, string>;
  redirect?: "manual";
}

type Fetcher = (url: string, init?: FetchInit) => Promise<Response>;

/** Redirects that are followed one by one. */
const MAX_REDIRECTS = 10;
const REDIRECTED = new Set([301, 302, 303, 307, 308]);

/**
 * Fetches with headers that are for the address's own origin alone. Not every runtime leaves a password out where it is
 * redirected to another one: Workers do so by their compatibility date.
 */
async function fetchSecretly(
  fetcher: Fetcher,
  url: string,
  headers: Record<string, string>,
  init: FetchInit,
): Promise<Response> {
  const { origin } = new URL(url);
  let at = url;
  let isHome = true;
  for (let redirects = 0; ; redirects++) {
    const own = isHome ? { ...init, headers } : init;
    const response = await fetcher(at, { ...own, redirect: "manual" });
    // A browser shows nobody where it is sent, and leaves the headers out itself.
    if (response.type === "opaqueredirect") return fetcher(at, own);
    const location = response.headers.get("location");
    if (!REDIRECTED.has(response.status) || location === null || redirects === MAX_REDIRECTS) return response;
    await response.body?.cancel();
    at = new URL(location, at).href;
    isHome &&= new URL(at).origin === origin;
  }
}

/** A part of an address; as it is where its percent signs are no escapes. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * The address without the name and the password in it, and the header that says the same. `fetch` takes no such address,
 * and what is in it would be shown wherever a load fails.
 */
export function splitCredentials(base: string): {
  root: string;
  headers: Record<string, string> | undefined;
} {
  const url = URL.canParse(base) ? new URL(base) : undefined;
  if (url === undefined || (url.username === "" && url.password === ""))
    return { root: base, headers: undefined };
  const credentials = `${decoded(url.username)}:${decoded(url.password)}`;
  const bytes = new TextEncoder().encode(credentials);
  url.username = "";
  url.password = "";
  return { root: url.href, headers: { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` } };
}

/**
 * A model directory behind a URL: a web server, a bucket, a Worker's assets binding.
 *
 * @param base URL of the directory; a relative one is resolved by `fetcher`. A name and a password in it are sent as a
 *   header and shown nowhere.
 * @param fetcher anything that fetches, for example `env.ASSETS.fetch.bind(env.ASSETS)` [fetch]
 */
export function fetchSource(
  base: string | URL,
  fetcher: Fetcher = (url, init) => fetch(url, init),
): ModelSource {
  const { root, headers } = splitCredentials(String(base).replace(/\/?$/, "/"));
  return {
    name: root,
    async open(file, signal) {
      let response: Response;
      try {
        const init = signal === undefined ? {} : { signal };
        response = await (headers === undefined
          ? fetcher(root + file, init)
          : fetchSecretly(fetcher, root + file, headers, init));
      } catch (cause) {
        throw new EdgeformerError("io", `${file}: ${root}${file} cannot be fetched (${String(cause)})`, {
          cause,
        });
      }
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        const code = response.status === 404 ? "invalid_model" : "io";
        throw new EdgeformerError(code, `${file}: ${root}${file} answered with status ${response.status}`);
      }
      return chunksOf(response.body);
    },
  };
}

/** What `bucketSource` uses of an R2 bucket. */
export interface Bucket {
  /** The object under a key; null where there is none. */
  get(key: string): Promise<{ body: ReadableStream<Uint8Array> } | null>;
}

/**
 * A model directory in an R2 bucket.
 *
 * @param prefix what the keys begin with, for example `models/mine/` [nothing]
 */
export function bucketSource(bucket: Bucket, prefix = ""): ModelSource {
  return {
    name: `the bucket's ${prefix}`,
    async open(file) {
      let object: Awaited<ReturnType<Bucket["get"]>>;
      try {
        object = await bucket.get(prefix + file);
      } catch (cause) {
        throw new EdgeformerError(
          "io",
          `${file}: the bucket could not be read at ${prefix}${file} (${String(cause)})`,
          { cause },
        );
      }
      if (object === null)
        throw new EdgeformerError("invalid_model", `${file}: the bucket has no object ${prefix}${file}`);
      return chunksOf(object.body);
    },
  };
}
