import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** workerd as such, without Miniflare around it. */
const WORKERD = createRequire(import.meta.url).resolve("workerd/bin/workerd");

/** Writes what workerd needs to serve `worker.js` and `engine.wasm` of a directory, with a model directory bound to it. */
export async function writeConfig(directory: string, model: string): Promise<string> {
  const path = join(directory, `config-${model.replace(/\W/g, "_")}.capnp`);
  await writeFile(
    path,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "model", disk = (path = ${JSON.stringify(model)}, writable = false)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "engine.wasm", wasm = embed "engine.wasm"),
  ],
  bindings = [(name = "MODEL", service = "model")],
  compatibilityDate = "2026-01-01",
);
`,
  );
  return path;
}

/** A process that serves a configuration; `listening` says how many milliseconds that took. */
export class WorkerdProcess {
  readonly #child: ChildProcess;
  readonly url: string;
  readonly startMs: number;

  private constructor(child: ChildProcess, url: string, startMs: number) {
    this.#child = child;
    this.url = url;
    this.startMs = startMs;
  }

  static async start(config: string): Promise<WorkerdProcess> {
    const start = performance.now();
    const child = spawn(WORKERD, ["serve", config, "--control-fd=3"], {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
    });
    for await (const line of createInterface({ input: child.stdio[3] as Readable })) {
      const message = JSON.parse(line) as { event: string; port?: number };
      if (message.event === "listen")
        return new WorkerdProcess(child, `http://127.0.0.1:${message.port}/`, performance.now() - start);
    }
    throw new Error("workerd ended before it listened; its message is above");
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}
