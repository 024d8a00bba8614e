import { EdgeformerError } from "./errors.ts";
import type { ModelSource } from "./types.ts";

/** The chunks of a stream. Not every browser can iterate over one itself. */
export async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}

/**
 * A model directory behind a URL: a web server, a bucket, a Worker's assets binding.
 *
 * @param base URL of the directory; a relative one is resolved by `fetcher`
 * @param fetcher anything that fetches, for example `env.ASSETS.fetch.bind(env.ASSETS)` [fetch]
 */
export function fetchSource(
  base: string | URL,
  fetcher: (url: string, init?: { signal?: AbortSignal }) => Promise<Response> = (url, init) =>
    fetch(url, init),
): ModelSource {
  const root = String(base).replace(/\/?$/, "/");
  return {
    name: root,
    async open(file, signal) {
      let response: Response;
      try {
        response = await fetcher(root + file, signal === undefined ? {} : { signal });
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
