import type { Hono } from "hono";
import type { Manifest, Model, ModelSource } from "../../../src/index.ts";
import { type Env, readConfig } from "../../config.ts";
import type { RequestContext, WorkerEnv } from "../../context.ts";
import { HttpError } from "../../errors.ts";
import { fingerprint } from "../../fingerprint.ts";
import type { Facts } from "../shared/facts.ts";
import { modelFacts, standInFor } from "./model-facts.ts";
import type { PageFile, PageFiles } from "./page-files.ts";

/**
 * Only scripts of this server run, and none that stand in the HTML. Nothing is loaded from another server.
 * 'wasm-unsafe-eval' lets the page's Web Worker compile the engine; it does not allow JavaScript's eval.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src data:",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export interface PageOptions {
  files: PageFiles;
  engineDigest: string;
  modelOf: (c: RequestContext) => Promise<Model>;
  source: (env: Env) => ModelSource;
}

/** Whether a path belongs to the page. The page needs no API key; its routes to the model check access themselves. */
export function isPagePath(path: string): boolean {
  return path === "/" || path.startsWith("/page/");
}

async function answer(
  c: RequestContext,
  type: string,
  etag: string,
  body: () => BodyInit | Promise<BodyInit>,
): Promise<Response> {
  const headers = {
    "content-type": type,
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cache-control": "no-cache",
    etag: `"${etag}"`,
  };
  if (c.req.header("if-none-match")?.includes(etag)) return c.body(null, 304, headers);
  return new Response(await body(), { headers });
}

function bodyOf(file: PageFile): BodyInit {
  return file.binary ? Uint8Array.from(atob(file.body), (char) => char.charCodeAt(0)) : file.body;
}

/** The files that loading the model reads, by name. Other files of the model directory are not served. */
function modelFiles({ parts, tokenizer }: Manifest): Map<string, Pick<PageFile, "type" | "etag">> {
  const etag = parts.map(({ sha256 }) => sha256.slice(0, 16)).join("");
  return new Map([
    ["model.json", { type: "application/json", etag }],
    ...[...parts, ...(tokenizer ? [tokenizer] : [])].map(
      ({ file, sha256 }) => [file, { type: "application/octet-stream", etag: sha256 }] as const,
    ),
  ]);
}

/** Refuses a request for the model itself where PUBLIC_MODEL is not set; where it is, nobody needs a key for it. */
function refuseModel(c: RequestContext): void {
  if (!readConfig(c.env).PUBLIC_MODEL)
    throw new HttpError(404, "This server does not give its weights away: PUBLIC_MODEL is not set.", {
      code: "model_not_public",
    });
}

function streamOf(chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      // A copy, because a source may reuse its buffer for the next chunk.
      else controller.enqueue(value.slice());
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

/** `GET /`: a page to try the model, and what it needs to run the model in the browser. */
export function mountPage(app: Hono<WorkerEnv>, { files, engineDigest, modelOf, source }: PageOptions): void {
  const closed = new Set(["/page/engine.wasm", "/page/local-run.js", "/page/runner.js"]);
  for (const [path, file] of Object.entries(files))
    app.get(path, async (c) => {
      if (closed.has(path)) refuseModel(c);
      return answer(c, file.type, file.etag, () => bodyOf(file));
    });

  app.get("/page/facts.json", async (c) => {
    const config = readConfig(c.env);
    const model = await modelOf(c);
    c.header("cache-control", "no-store");
    return c.json({
      ...modelFacts(model),
      engineBytes: atob(files["/page/engine.wasm"]?.body ?? "").length,
      fingerprint: await fingerprint(model.manifest, engineDigest),
      maxTokens: Math.min(model.context, config.MAX_TOKENS ?? model.context),
      needsKey: config.API_KEYS !== undefined,
      publicModel: config.PUBLIC_MODEL,
      standIn: standInFor(config.STAND_IN_FOR),
    } satisfies Facts);
  });

  app.get("/page/model/:file", async (c) => {
    refuseModel(c);
    const { manifest } = await modelOf(c);
    const name = c.req.param("file");
    const file = modelFiles(manifest).get(name);
    if (!file) throw new HttpError(404, `The model has no file ${name.slice(0, 64)}.`);
    return answer(c, file.type, file.etag, async () => streamOf(await source(c.env).open(name)));
  });
}
