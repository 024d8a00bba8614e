import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { type Heap, openHeap } from "./heap.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The bundle that `wrangler deploy` would upload, in a directory of its own. */
export async function buildWorker(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "edgeformer-worker-"));
  await promisify(execFile)(
    process.execPath,
    ["node_modules/wrangler/bin/wrangler.js", "deploy", "--dry-run", "--outdir", directory],
    { cwd: ROOT, env: { ...process.env, WRANGLER_SEND_METRICS: "false" } },
  );
  return directory;
}

export interface StartOptions {
  /** Variables and secrets, as wrangler.toml would have them. */
  vars?: Record<string, string>;
  /** Model directory. [the one of wrangler.toml] */
  model?: string;
  /** Answers for the assets binding, instead of a directory. */
  files?: (path: string) => Promise<Response> | Response;
  /** Requests per minute and key. [no limit] */
  rateLimit?: number;
  /** Opens the inspector, for `heap`. */
  inspect?: boolean;
}

/** A line of the Worker's log. */
export type LogLine = Record<string, unknown> & { event: string };

export interface RunningWorker {
  url: URL;
  log: LogLine[];
  /** Waits for a line; those that came before count. */
  logged(matches: (line: LogLine) => boolean): Promise<LogLine>;
  /** The isolate's heap; needs `inspect`. */
  heap(): Promise<Heap>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  stop(): Promise<void>;
}

/** Serves a built Worker in workerd on a port of its own. */
export async function startWorker(bundle: string, options: StartOptions = {}): Promise<RunningWorker> {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(ROOT, "wrangler.toml"));
  const files = await readdir(bundle);
  const wasm = files.filter((file) => file.endsWith(".wasm"));
  const log: LogLine[] = [];
  const listeners = new Set<() => void>();
  const collect = (stream: NodeJS.ReadableStream) => {
    let rest = "";
    stream.on("data", (chunk) => {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith('{"event"')) log.push(JSON.parse(line) as LogLine);
      for (const listener of listeners) listener();
    });
  };
  const { assets, ...rest } = workerOptions;
  const miniflare = new Miniflare({
    ...(rest as object),
    name: "edgeformer",
    modulesRoot: bundle,
    modules: [
      { type: "ESModule", path: join(bundle, "index.js") },
      ...wasm.map((file) => ({ type: "CompiledWasm" as const, path: join(bundle, file) })),
    ],
    bindings: { ...(rest as { bindings?: object }).bindings, ...options.vars },
    ...(options.files === undefined
      ? { assets: { ...(assets as object), ...(options.model ? { directory: options.model } : {}) } }
      : {
          serviceBindings: {
            ASSETS: (request: Request) => options.files?.(new URL(request.url).pathname.slice(1)),
          },
        }),
    ...(options.rateLimit === undefined
      ? {}
      : { ratelimits: { RATE_LIMITER: { simple: { limit: options.rateLimit, period: 60 } } } }),
    host: "127.0.0.1",
    port: 0,
    ...(options.inspect ? { inspectorPort: 0 } : {}),
    handleRuntimeStdio: (stdout: NodeJS.ReadableStream, stderr: NodeJS.ReadableStream) => {
      collect(stdout);
      collect(stderr);
    },
  } as ConstructorParameters<typeof Miniflare>[0]);
  const url = await miniflare.ready;
  return {
    url,
    log,
    logged: (matches) =>
      new Promise((resolve) => {
        const look = () => {
          const found = log.find(matches);
          if (!found) return;
          listeners.delete(look);
          resolve(found);
        };
        listeners.add(look);
        look();
      }),
    heap: async () => openHeap(await miniflare.getInspectorURL(), "edgeformer"),
    post: (path, body, headers = {}) =>
      fetch(new URL(path, url), {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    stop: () => miniflare.dispose(),
  };
}

/** Removes what buildWorker made. */
export async function removeBundle(bundle: string): Promise<void> {
  await rm(bundle, { recursive: true, force: true });
}

/** The data of each event of a finished stream. */
export async function eventsOf(response: Response): Promise<string[]> {
  const text = await response.text();
  return text.split("\n\n").flatMap((event) => (event.startsWith("data: ") ? [event.slice(6)] : []));
}
