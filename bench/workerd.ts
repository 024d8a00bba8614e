import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { readerBinary } from "./bandwidth.ts";
import { CACHE } from "./models.ts";
import { bytesPerStep, SHAPES, type Shape } from "./shapes.ts";
import type { Task } from "./subject.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** workerd with the subject's bundle; models must have been made. */
export class Workerd {
  readonly #miniflare: Miniflare;

  private constructor(miniflare: Miniflare) {
    this.#miniflare = miniflare;
  }

  static async start(): Promise<Workerd> {
    const { outputFiles } = await build({
      entryPoints: [here("worker.ts")],
      bundle: true,
      format: "esm",
      target: "es2022",
      conditions: ["workerd", "worker", "browser"],
      external: ["*.wasm"],
      write: false,
    });
    const largest = Math.max(...Object.values(SHAPES).map(bytesPerStep));
    const miniflare = new Miniflare({
      compatibilityDate: "2026-01-01",
      modulesRoot: "/",
      modules: [
        { type: "ESModule", path: "/worker.js", contents: outputFiles[0]!.text },
        {
          type: "CompiledWasm",
          path: "/engine.wasm",
          contents: await readFile(here("../build/engine.wasm")),
        },
        { type: "CompiledWasm", path: "/readers.wasm", contents: readerBinary(largest) },
      ],
      serviceBindings: { MODELS: { disk: { path: CACHE, writable: false } } },
    });
    await miniflare.ready;
    return new Workerd(miniflare);
  }

  async run(shape: Shape, task: Task): Promise<number> {
    const response = await this.#miniflare.dispatchFetch("http://bench/", {
      method: "POST",
      body: JSON.stringify({ shape: shape.name, task }),
    });
    if (!response.ok) throw new Error(`workerd: ${await response.text()}`);
    return ((await response.json()) as { result: number }).result;
  }

  stop(): Promise<void> {
    return this.#miniflare.dispose();
  }
}
