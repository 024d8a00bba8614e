import { rm } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Miniflare } from "miniflare";
import { given } from "../../src/given.ts";
import { bundleWorkers } from "./bundle-workers.ts";
import type { CutModel } from "./local-chain.ts";

const WORKERS = ["front", "coordinator", "faulty-stage"] as const;
const FLAGS = { compatibilityDate: "2026-04-01", compatibilityFlags: ["enable_request_signal"] };

/** The Workers of the tests, bundled into a directory of their own. */
export function buildChain(): Promise<string> {
  const path = (name: string) => new URL(`workers/${name}.ts`, import.meta.url).pathname;
  return bundleWorkers(Object.fromEntries(WORKERS.map((name) => [name, path(name)])));
}

interface ChainOptions {
  /** Variables of the first stage. */
  vars?: Record<string, string>;
  /** The stage that each stage is bound to, from 2, in place of the right one. */
  bindings?: Record<number, number | undefined>;
  /** Model directories of stages, from 1, in place of their own. */
  models?: Record<number, string>;
}

/** A chain in workerd: a front, and for each stage a Worker of its own with a Durable Object. */
export class WorkerdChain {
  readonly #miniflare: Miniflare;
  readonly log: string[];

  private constructor(miniflare: Miniflare, log: string[]) {
    this.#miniflare = miniflare;
    this.log = log;
  }

  static async start(bundle: string, cut: CutModel, options: ChainOptions = {}): Promise<WorkerdChain> {
    const { stages } = cut;
    const modules = (name: (typeof WORKERS)[number]) => ({
      ...FLAGS,
      modulesRoot: bundle,
      modules: [
        { type: "ESModule" as const, path: join(bundle, `${name}.js`) },
        ...(name === "front" ? [] : [{ type: "CompiledWasm" as const, path: join(bundle, "engine.wasm") }]),
      ],
    });
    const stageWorkers = Array.from({ length: stages }, (_, index) => {
      const stage = index + 1;
      const next = options.bindings && stage in options.bindings ? options.bindings[stage] : stage + 1;
      return {
        ...modules(stage === 1 ? "coordinator" : "faulty-stage"),
        name: `stage-${stage}`,
        bindings: { STAGE: String(stage), ...(stage === 1 ? options.vars : {}) },
        // Not `assets`: this Miniflare mixes up the directories of several Workers.
        serviceBindings: {
          ASSETS: { disk: { path: options.models?.[stage] ?? cut.directory(stage), writable: false } },
        },
        durableObjects: {
          ...(next === undefined || next > stages
            ? {}
            : { NEXT: { className: "Stage", scriptName: `stage-${next}`, useSQLite: true } }),
          ...(stage === 1 ? { SELF: { className: "Coordinator", useSQLite: true } } : {}),
        },
      };
    });
    const fronts = ["front", "other-front", "second-chain"].map((name) => ({
      ...modules("front"),
      name,
      ...(name === "second-chain" ? { bindings: { CHAIN_NAME: "second" } } : {}),
      durableObjects: { CHAIN: { className: "Coordinator", scriptName: "stage-1", useSQLite: true } },
    }));
    const log: string[] = [];
    const collect = (stream: NodeJS.ReadableStream) => stream.on("data", (chunk) => log.push(String(chunk)));
    const miniflare = new Miniflare({
      workers: [...fronts, ...stageWorkers],
      host: "127.0.0.1",
      port: 0,
      handleRuntimeStdio: (stdout: NodeJS.ReadableStream, stderr: NodeJS.ReadableStream) => {
        collect(stdout);
        collect(stderr);
      },
    } as ConstructorParameters<typeof Miniflare>[0]);
    await miniflare.ready;
    return new WorkerdChain(miniflare, log);
  }

  get url(): Promise<URL> {
    return this.#miniflare.ready;
  }

  /** A request on a connection of its own: workerd closes those that it keeps at moments that a client cannot know. */
  async post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    const url = new URL(path, await this.url);
    const options = { method: "POST", agent: false, ...given({ signal }) } as const;
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      request(url, options, resolve).on("error", reject).end(JSON.stringify(body));
    });
    return new Response(Readable.toWeb(message) as ReadableStream<Uint8Array>, {
      status: message.statusCode!,
      headers: Object.entries(message.headers).map(([name, value]): [string, string] => [
        name,
        String(value),
      ]),
    });
  }

  /** A request to another front than the first. */
  async through(front: "other-front" | "second-chain", path: string, body: unknown): Promise<Response> {
    const worker = await this.#miniflare.getWorker(front);
    const init = { method: "POST", body: JSON.stringify(body) };
    return worker.fetch(`http://chain${path}`, init) as unknown as Promise<Response>;
  }

  /** Makes a stage do something wrong with its next batch. */
  async fault(stage: number, fault: string): Promise<void> {
    const worker = await this.#miniflare.getWorker(`stage-${stage}`);
    await worker.fetch(`http://stage/${fault}`);
  }

  stop(): Promise<void> {
    return this.#miniflare.dispose();
  }
}

/** Removes what buildChain made. */
export async function removeChain(bundle: string): Promise<void> {
  await rm(bundle, { recursive: true, force: true });
}
