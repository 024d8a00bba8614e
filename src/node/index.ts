/** @module edgeformer/node */

import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileEngine } from "../engine/compile.ts";
import { EdgeformerError } from "../errors.ts";
import { loadModel, loadTokenizer } from "../loading/load.ts";
import type { LoadOptions, ModelSource, StreamingDigest } from "../loading/load-options.ts";
import type { Model } from "../model.ts";
import type { ChatTokenizer } from "../text/chat-tokenizer.ts";

/** The chunks of a file, opened by the first one that is asked for: a file that nobody reads stays closed. */
async function* readChunks(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path, { highWaterMark: 1 << 20 });
}

/** A model directory on disk. */
export function directorySource(directory: string): ModelSource {
  return {
    name: directory,
    async open(file) {
      const path = join(directory, file);
      const stats = statSync(path, { throwIfNoEntry: false });
      if (stats === undefined)
        throw new EdgeformerError("invalid_model", `${file}: there is no such file in ${directory}`);
      // A pipe or a device may never end.
      if (!stats.isFile()) throw new EdgeformerError("invalid_model", `${file}: not a file in ${directory}`);
      return readChunks(path);
    },
  };
}

/** Node's own SHA-256. */
function nodeDigest(): StreamingDigest {
  const hash = createHash("sha256");
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() };
}

/** The package's root: the nearest folder above this file with a package.json. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory);
  return directory;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** The engine that comes with the package, compiled once per process. */
export function engineModule(): Promise<WebAssembly.Module> {
  compiled ??= readFile(join(packageRoot(), "build", "engine.wasm")).then(compileEngine);
  return compiled;
}

/** Directory of the bundled story model. */
export function bundledModel(): string {
  return join(packageRoot(), "models", "fable");
}

/** The tokenizer of a model directory on disk, without its weights; errors are loadTokenizer's. */
export async function openTokenizer(directory: string): Promise<ChatTokenizer> {
  return loadTokenizer(directorySource(directory));
}

/** Loads a model directory from disk with the package's engine; options and errors are loadModel's. */
export async function openModel(
  directory: string,
  options: Partial<Omit<LoadOptions, "source">> = {},
): Promise<Model> {
  return loadModel({
    // Unlike a zero timeout, which takes a millisecond, this costs a few microseconds per token.
    pause: () => new Promise((resolve) => setImmediate(resolve)),
    digest: nodeDigest,
    ...options,
    module: options.module ?? (await engineModule()),
    source: directorySource(directory),
  });
}
