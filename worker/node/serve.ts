import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { EdgeformerError } from "../../src/index.ts";
import { directorySource, engineModule, packageRoot } from "../../src/node/index.ts";
import { createApp } from "../app.ts";
import { ADDRESS_HEADER } from "../guard.ts";
import type { PageFiles } from "../page/server/page-files.ts";
import { defineWorkerGlobals } from "./globals.ts";

/** Linear memory where nothing is said: no isolate limits it here, and what is never touched is never resident. */
const MEMORY_LIMIT = "2000000000";
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

export interface ServeOptions {
  /** The model directory. */
  directory: string;
  /** An address or a name of this machine. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** The variables of docs/api.md, API_KEYS among them. */
  variables: Readonly<Record<string, string | undefined>>;
}

export interface RunningServer {
  /** "http://127.0.0.1:8787" */
  origin: string;
  /** Ends connections that are open, too. */
  stop(): Promise<void>;
}

async function readPage(): Promise<PageFiles> {
  const module = (await import(pathToFileURL(join(packageRoot(), "build", "page-files.js")).href)) as {
    default: PageFiles;
  };
  return module.default;
}

/** @throws EdgeformerError `io` naming the port */
function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === "EADDRINUSE"
          ? `port ${port} is in use; choose another one with --port`
          : error.code === "EACCES"
            ? `port ${port} may not be used by this user; choose one above 1023 with --port`
            : `${host} is no address to listen on (${error.code ?? error.message}); choose another one with --host`;
      reject(new EdgeformerError("io", reason, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
}

/**
 * Serves a model over HTTP from this process: the application of the Worker, on plain Node. Resolves once the model is
 * loaded. The model's weights are given out, so that the page can run it in the browser, only where nobody else can
 * reach the server, unless PUBLIC_MODEL says otherwise.
 *
 * @throws EdgeformerError `io` if it cannot listen there; `invalid_model` with what `/ready` says
 */
export async function serveModel({ directory, host, port, variables }: ServeOptions): Promise<RunningServer> {
  defineWorkerGlobals();
  const [engine, engineBytes, page] = await Promise.all([
    engineModule(),
    readFile(join(packageRoot(), "build", "engine.wasm")),
    readPage(),
  ]);
  const app = createApp({
    engine,
    engineDigest: createHash("sha256").update(engineBytes).digest("hex"),
    page,
    source: () => directorySource(directory),
  });
  const environment = {
    MEMORY_LIMIT,
    PUBLIC_MODEL: String(LOOPBACK.has(host)),
    ...variables,
    // Not asked: the model comes from the directory.
    ASSETS: { fetch },
  };
  const context = {
    waitUntil: (promise: Promise<unknown>) => void promise.catch(() => {}),
    passThroughOnException() {},
    props: {},
  };
  const answer = (request: Request) => app.fetch(request, environment, context);
  // Nobody in front of this server says whom a request comes from, so what a client says of itself counts for nothing.
  const answerFrom = (request: Request, { incoming }: HttpBindings) => {
    request.headers.set(ADDRESS_HEADER, incoming.socket.remoteAddress ?? "unknown");
    return answer(request);
  };
  const server = createAdaptorServer({
    fetch: (request, env) => answerFrom(request, env as HttpBindings),
    overrideGlobalObjects: false,
  }) as Server;
  const stop = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  await listen(server, host, port);
  const { address, family, port: actual } = server.address() as AddressInfo;
  const origin = `http://${family === "IPv6" ? `[${address}]` : address}:${actual}`;
  const ready = await answer(new Request(`${origin}/ready`));
  if (!ready.ok) {
    await stop();
    const { error } = (await ready.json()) as { error: { message: string } };
    throw new EdgeformerError("invalid_model", error.message);
  }
  return { origin, stop };
}
