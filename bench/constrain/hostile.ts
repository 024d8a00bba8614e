// What sources cost that somebody sends to keep a server busy: time for an error or a first mask, and memory.
//
//   npm run constrain:hostile -- ../models/NAME
//
// Memory is the least heap in which a thread survives it, less that for a schema that says nothing: in steps of 2 MB.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { compileConstraint } from "../../src/constrain/index.ts";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";
import { HOSTILE, type Hostile } from "../../tests/constrain/hostile-sources.ts";
import { median } from "../statistics.ts";

const ROUNDS = 5;
const TOKENS = 40;
const NOTHING: Hostile = { source: { jsonSchema: true } };

const directory: string = isMainThread ? process.argv[2]! : workerData.directory;
const tokenizer = parseTokenizerTable(readFileSync(join(directory, "tokenizer.bin")));

interface Cost {
  /** Milliseconds to the error, or to the first mask. */
  first: number;
  /** The slowest of the masks behind it. */
  mask: number;
  refused: boolean;
}

/** Compiles a source and writes some tokens, always the one in the middle of those that are allowed. */
function cost({ source, options }: Hostile): Cost {
  const start = performance.now();
  let first = 0;
  let slowest = 0;
  try {
    const matcher = compileConstraint(source, { whitespace: "none", ...options }).matcher(tokenizer);
    let mask = matcher.mask();
    first = performance.now() - start;
    for (let i = 0; i < TOKENS; i++) {
      const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter(
        (id) => ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1,
      );
      if (ids.length === 0) break;
      matcher.accept(ids[ids.length >> 1]!);
      const before = performance.now();
      mask = matcher.mask();
      slowest = Math.max(slowest, performance.now() - before);
    }
    return { first, mask: slowest, refused: false };
  } catch (error) {
    if ((error as { code?: string }).code !== "invalid_option") throw error;
    return { first: performance.now() - start, mask: 0, refused: true };
  }
}

/** This file as a module for a thread, which takes no TypeScript. */
async function bundled(): Promise<URL> {
  const { buildSync } = await import("esbuild");
  const entryPoints = [new URL(import.meta.url).pathname];
  const { outputFiles } = buildSync({
    entryPoints,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "node",
    external: ["esbuild"],
    write: false,
  });
  return new URL(`data:text/javascript,${encodeURIComponent(outputFiles[0]!.text)}`);
}

/** The least heap, in MB, in which a thread survives a source. */
async function heapFor(code: URL, name: string | undefined, from: number): Promise<number> {
  for (let limit = from; ; limit += 2) {
    const survived = await new Promise<boolean>((resolve, reject) => {
      const worker = new Worker(code, {
        workerData: { name, directory },
        resourceLimits: { maxOldGenerationSizeMb: limit, maxYoungGenerationSizeMb: 2 },
      });
      worker.on("error", (error: Error & { code?: string }) =>
        error.code === "ERR_WORKER_OUT_OF_MEMORY" ? resolve(false) : reject(error),
      );
      worker.on("exit", (code) => resolve(code === 0));
    });
    if (survived) return limit;
  }
}

if (!isMainThread) {
  cost(NOTHING);
  cost(HOSTILE[workerData.name] ?? NOTHING);
} else {
  cost(NOTHING);
  for (const source of Object.values(HOSTILE)) cost(source);
  const code = await bundled();
  const base = await heapFor(code, undefined, 4);
  console.log("| source | answer | to it, ms | slowest mask, ms | memory, MB |\n|---|---|---:|---:|---:|");
  for (const [name, source] of Object.entries(HOSTILE)) {
    const costs = Array.from({ length: ROUNDS }, () => cost(source));
    const of = (part: "first" | "mask") => median(costs.map((each) => each[part])).toFixed(1);
    const memory = (await heapFor(code, name, base)) - base;
    console.log(
      `| ${name} | ${costs[0]!.refused ? "refused" : "taken"} | ${of("first")} | ${of("mask")} | ${memory} |`,
    );
  }
}
