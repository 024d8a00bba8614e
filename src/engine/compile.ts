import { EdgeformerError } from "../errors.ts";
import { requireSimd } from "./engine.ts";

/**
 * Compiles engine.wasm, where a runtime allows that. Cloudflare Workers and Vercel's edge functions do not:
 * there, `import` gives the compiled module.
 *
 * @param engine the file's bytes, or an answer that holds them: `compileEngine(fetch(url))`
 * @throws EdgeformerError `unsupported_runtime` without SIMD; `io` if the answer is not a good one;
 *   `invalid_option` if the bytes are not WebAssembly
 */
export async function compileEngine(
  engine: BufferSource | Response | Promise<BufferSource | Response>,
): Promise<WebAssembly.Module> {
  requireSimd();
  const source = await engine;
  let bytes: BufferSource;
  if ("arrayBuffer" in source) {
    if (!source.ok)
      throw new EdgeformerError("io", `${source.url}: the engine's request got status ${source.status}`);
    // Not compileStreaming: it insists on a media type that many servers do not send, for 20 KB.
    bytes = await source.arrayBuffer();
  } else bytes = source;
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw new EdgeformerError(
      "invalid_option",
      `these ${bytes.byteLength} bytes are not engine.wasm (${(cause as Error).message}); is it served at this address?`,
      { param: "engine", cause },
    );
  }
}
