/** @module edgeformer/worker */

import { Hono } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import type * as z from "zod";
import {
  fetchSource,
  type LoadOptions,
  loadModel,
  type Model,
  type ModelSource,
  type SharingOptions,
} from "../src/index.ts";
import { readBody } from "./body.ts";
import { dropBody, type Pace } from "./body-reader.ts";
import { type Env, readConfig } from "./config.ts";
import type { RequestContext, WorkerEnv } from "./context.ts";
import { streamingDigest } from "./digest.ts";
import { HttpError, invalidField, toHttpError } from "./errors.ts";
import { fingerprint } from "./fingerprint.ts";
import { guard } from "./guard.ts";
import { ModelHost } from "./host.ts";
import { requestLog } from "./log.ts";
import { LongTexts } from "./long-texts.ts";
import { type HeldTo, planCompletion } from "./openai/completions-plan.ts";
import { completionRequest } from "./openai/completions-schema.ts";
import { completionsWording } from "./openai/completions-wording.ts";
import type { ConstraintFields } from "./openai/constraint-schema.ts";
import { checkModelName, describeModel, listModels } from "./openai/models.ts";
import { complete } from "./openai/respond.ts";
import { detokenize, detokenizeRequest, tokenize, tokenizeRequest } from "./openai/tokenize.ts";
import type { PageFiles } from "./page/server/page-files.ts";
import { isPagePath, mountPage } from "./page/server/routes.ts";
import { RequestMemory } from "./request-memory.ts";
import { sendJson } from "./send-json.ts";

export type { Env } from "./config.ts";

/** What createApp needs, and what it can be told. */
export interface WorkerOptions {
  /** The compiled engine: `import engine from "edgeformer/engine.wasm"`. */
  engine: WebAssembly.Module;
  /** SHA-256 of the engine's bytes, for `system_fingerprint`. A compiled module no longer has its bytes. [left out] */
  engineDigest?: string;
  /** Where the model directory is. [the root of the `ASSETS` binding] */
  source?: (env: Env) => ModelSource;
  /** Makes the model. [loadModel] */
  load?: (options: LoadOptions) => Promise<Model>;
  /** What `GET /` shows: `import page from "edgeformer/page"`. [no page] */
  page?: PageFiles;
}

function assetsSource(env: Env): ModelSource {
  return fetchSource("https://assets.invalid/", (input, init) => env.ASSETS.fetch(input, init));
}

/**
 * workerd looks at a few sockets in each turn of its event loop. With one turn between two steps of many rows, a request
 * that came among many others was seen a second later (measured); a turn takes a thirtieth of such a step.
 */
const ROWS_PER_PAUSE = 4;

/** Routes that need no key even where keys are configured: they only tell how to use the others. */
const OPEN = new Set(["/health", "/ready", "/openapi.json"]);

/** OpenAI's routes begin with /v1, but not every client writes that. */
const versioned = (path: string) => [`/v1${path}`, path];

/**
 * What a completion is held to. What compiles it is loaded when somebody asks for it.
 *
 * @throws HttpError 400 naming the field
 */
async function constraintOf(
  { tokenizer }: Model,
  request: ConstraintFields,
  group: string,
): Promise<HeldTo | undefined> {
  const { response_format, structured_outputs } = request;
  if (structured_outputs === undefined && (response_format?.type ?? "text") === "text") return undefined;
  const field = structured_outputs === undefined ? "response_format" : "structured_outputs";
  if (!tokenizer) throw invalidField(field, "This model has no tokenizer: its answers are token ids.");
  const { formatConstraint } = await import("./openai/constraints.ts");
  return formatConstraint(request, tokenizer, group);
}

/** The HTTP endpoint around one model. Everything in it is per isolate; nothing is computed before a request. */
export function createApp(options: WorkerOptions): Hono<WorkerEnv> {
  const { engineDigest = "", load = loadModel } = options;
  // A slash at a path's end makes no other path.
  const app = new Hono<WorkerEnv>({ strict: false });
  const host = new ModelHost();
  const source = options.source ?? assetsSource;

  const longTexts = new LongTexts(host);
  let memory: RequestMemory | undefined;

  const paceOf = (c: RequestContext): Pace => ({
    stallMs: readConfig(c.env).BODY_STALL_MS,
    piece: () => longTexts.piece(),
  });

  const read = <Schema extends z.ZodType>(c: RequestContext, schema: Schema): Promise<z.infer<Schema>> => {
    const config = readConfig(c.env);
    return readBody(c.req.raw, schema, {
      limit: config.MAX_BODY_BYTES,
      pace: paceOf(c),
      lease: c.var.lease,
      turn: (bytes) => longTexts.turn(bytes),
    });
  };

  const sharingOf = (
    c: RequestContext,
    request: { cache_salt?: string | undefined },
  ): SharingOptions & { cacheSalt: string } => {
    const { client } = c.var;
    const group = readConfig(c.env).CACHE_SHARING === "all" ? "" : client;
    return {
      owner: { client, request: crypto.randomUUID() },
      cacheSalt: JSON.stringify([group, request.cache_salt ?? ""]),
    };
  };

  const modelOf = (c: RequestContext): Promise<Model> => {
    const config = readConfig(c.env);
    return host.model({
      stallMs: config.LOAD_STALL_MS,
      retryMs: config.LOAD_RETRY_MS,
      keepAlive: (promise) => c.executionCtx.waitUntil(promise),
      load: (onProgress, signal) =>
        load({
          module: options.engine,
          source: source(c.env),
          context: config.CONTEXT,
          maxSequences: config.MAX_SEQUENCES,
          kvBlocks: config.KV_BLOCKS,
          memoryLimit: config.MEMORY_LIMIT,
          maxQueue: config.MAX_QUEUE,
          maxWaitSteps: config.MAX_WAIT_STEPS,
          pause: () => scheduler.wait(0),
          rowsPerPause: ROWS_PER_PAUSE,
          digest: streamingDigest,
          onProgress,
          signal,
        }),
      prepare: async ({ tokenizer }) => {
        if (!tokenizer) return;
        const { prepareTokenizer } = await import("../src/constrain/index.ts");
        await prepareTokenizer(tokenizer, () => scheduler.wait(0));
      },
    });
  };

  app.use(async (c, next) => {
    await next();
    await dropBody(c.req.raw, paceOf(c));
  });
  app.use(requestId());
  app.use(requestLog);
  app.use(secureHeaders({ crossOriginResourcePolicy: "cross-origin" }));
  app.use((c, next) =>
    cors({
      origin: readConfig(c.env).CORS_ORIGIN,
      allowMethods: ["GET", "POST", "OPTIONS"],
      exposeHeaders: ["x-request-id", "retry-after"],
      maxAge: 86_400,
    })(c, next),
  );
  app.use(async (c, next) => {
    const open =
      OPEN.has(c.req.path.replace(/(?<=.)\/$/, "")) || (options.page !== undefined && isPagePath(c.req.path));
    c.set("client", await guard(c.req.raw.headers, open, readConfig(c.env), c.env.RATE_LIMITER));
    await next();
  });
  app.use(async (c, next) => {
    memory ??= new RequestMemory(readConfig(c.env).REQUEST_MEMORY);
    const lease = memory.lease();
    c.set("lease", lease);
    await next();
    if (c.var.tail) c.executionCtx.waitUntil(c.var.tail.then(() => lease.release()));
    else lease.release();
  });

  app.get("/health", (c) => c.json({ status: "ok", model: host.state }));
  app.get("/ready", async (c) => {
    await modelOf(c);
    return c.json({ status: "ok", model: host.state });
  });
  // Chat and the API description are loaded when somebody asks for them: together they take 2 MB of the isolate.
  let description: string | undefined;
  app.get("/openapi.json", async (c) => {
    if (description === undefined) {
      const { openapi } = await import("./openai/openapi.ts");
      description = JSON.stringify(openapi());
    }
    return c.body(description, 200, { "content-type": "application/json" });
  });
  app.on("GET", versioned("/models"), async (c) => c.json(listModels(await modelOf(c))));
  app.on("GET", versioned("/models/:id{.+}"), async (c) => {
    const model = await modelOf(c);
    checkModelName(model, c.req.param("id")?.replace(/\/$/, ""));
    return c.json(describeModel(model));
  });

  app.on("POST", versioned("/completions"), async (c) => {
    const config = readConfig(c.env);
    const request = await read(c, completionRequest);
    const model = await modelOf(c);
    checkModelName(model, request.model);
    const sharing = sharingOf(c, request);
    return complete(c, {
      model,
      plan: await longTexts.inTurns(
        planCompletion(model, request, config, await constraintOf(model, request, sharing.cacheSalt)),
        c.req.raw.signal,
      ),
      wording: completionsWording,
      config,
      fingerprint: await fingerprint(model.manifest, engineDigest),
      sharing,
    });
  });

  app.on("POST", versioned("/chat/completions"), async (c) => {
    const config = readConfig(c.env);
    const model = await modelOf(c);
    const [{ chatTemplate, mayCall, planChatInParts }, { chatRequest }, { chatWording }] = await Promise.all([
      import("./openai/chat-plan.ts"),
      import("./openai/chat-schema.ts"),
      import("./openai/chat-wording.ts"),
    ]);
    chatTemplate(model);
    const request = await read(c, chatRequest);
    checkModelName(model, request.model);
    const sharing = sharingOf(c, request);
    return complete(c, {
      model,
      plan: await longTexts.inTurns(
        planChatInParts(model, request, config, sharing.cacheSalt),
        c.req.raw.signal,
      ),
      wording: chatWording(mayCall(request)),
      config,
      fingerprint: await fingerprint(model.manifest, engineDigest),
      sharing,
    });
  });

  app.on("POST", versioned("/tokenize"), async (c) => {
    const config = readConfig(c.env);
    const request = await read(c, tokenizeRequest);
    const model = await modelOf(c);
    checkModelName(model, request.model);
    return sendJson(c, await longTexts.inTurns(tokenize(model, request, config), c.req.raw.signal), config);
  });

  app.on("POST", versioned("/detokenize"), async (c) => {
    const config = readConfig(c.env);
    const request = await read(c, detokenizeRequest);
    const model = await modelOf(c);
    checkModelName(model, request.model);
    return sendJson(c, detokenize(model, request, config), config);
  });

  if (options.page) mountPage(app, { files: options.page, engineDigest, modelOf, source });

  const methods = new Map<string, string[]>();
  for (const { path, method } of app.routes)
    if (method !== "ALL") methods.set(path, [...(methods.get(path) ?? []), method]);
  for (const [path, allowed] of methods)
    app.all(path, (c) => {
      throw new HttpError(405, `${c.req.method} is not allowed here; use ${allowed.join(" or ")}.`, {
        code: "method_not_allowed",
        headers: { allow: allowed.join(", ") },
      });
    });
  app.notFound((c) => {
    throw new HttpError(404, `Unknown route: ${c.req.method} ${c.req.path.slice(0, 128)}`, {
      code: "unknown_url",
    });
  });
  app.onError((cause, c) => {
    const error = toHttpError(cause);
    c.var.log.error = error;
    if (c.req.raw.signal.aborted) c.var.log.clientGone = true;
    return c.json(error.body(), error.status as 400, error.headers);
  });
  return app;
}
