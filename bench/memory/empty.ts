import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A Worker without a model: `/` says so, `/asset` reads one small asset, and `/read` reads every part and keeps
 * nothing, in chunks as they come or into one buffer, as the loader does.
 */
const SCRIPT = `
const parts = async (env) => (await (await env.ASSETS.fetch("https://assets.invalid/model.json")).json()).parts;
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/") return new Response("empty");
    if (pathname === "/asset") return new Response(String((await parts(env)).length));
    const files = await parts(env);
    const start = Date.now();
    let bytes = 0;
    for (const { file } of files) {
      const { body } = await env.ASSETS.fetch("https://assets.invalid/" + file);
      if (pathname === "/read/chunks") for await (const chunk of body) bytes += chunk.length;
      else {
        const reader = body.getReader({ mode: "byob" });
        for (let buffer = new ArrayBuffer(524288); ; ) {
          const { value } = await reader.read(new Uint8Array(buffer));
          if (!value?.byteLength) break;
          bytes += value.byteLength;
          buffer = value.buffer;
        }
      }
    }
    return Response.json({ bytes, ms: Date.now() - start });
  },
};
`;

/** Writes it to a directory of its own. */
export async function emptyWorker(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "edgeformer-empty-"));
  await writeFile(join(directory, "index.js"), SCRIPT);
  return directory;
}
