import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { promisify } from "node:util";
import { Miniflare } from "miniflare";
import { type Browser, chromium } from "playwright-core";
import { bundle } from "./bundle.ts";

/** What programs/conformance.mjs gives: the results with each model, by its name. */
export type Results = Record<string, Result>;

export interface Result {
  completions: number;
  tokens: number;
  logprobs: number;
  idsDigest: string;
  logprobsDigest: string;
}

const HERE = new URL("./", import.meta.url).pathname;
const MODULES = join(HERE, "node_modules");

/** Where each runtime's executable is once `npm ci` ran in this folder. */
export const EXECUTABLES = {
  node20: join(MODULES, "node20/bin/node"),
  node22: join(MODULES, "node22/bin/node"),
  node24: join(MODULES, "node24/bin/node"),
  deno: join(MODULES, "@deno/linux-x64-glibc/deno"),
  bun: join(MODULES, "@oven/bun-linux-x64/bin/bun"),
};

const execute = promisify(execFile);

async function command(project: string, file: string, ...args: string[]): Promise<Results> {
  const { stdout } = await execute(file, args, { cwd: project });
  return JSON.parse(stdout) as Results;
}

const TYPES: Record<string, string> = { js: "text/javascript", html: "text/html", json: "application/json" };

/** Serves the installed package's engine and models, the bundles, and an empty page that runs browser.js. */
async function serve(project: string): Promise<{ url: string; server: Server }> {
  const installed = join(project, "node_modules/edgeformer");
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url!, "http://host").pathname);
    const file =
      path === "/engine.wasm"
        ? join(installed, "build/engine.wasm")
        : join(path.startsWith("/models/") ? installed : join(project, "bundles"), path);
    try {
      const body =
        path === "/"
          ? '<!doctype html><script type="module" src="/browser.js"></script>'
          : await readFile(file);
      const type = TYPES[path === "/" ? "html" : file.split(".").at(-1)!] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

/** The system's Chromium, without the sandbox that root may not have. */
export function launchChromium(flags: string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...flags],
  });
}

async function inChromium(project: string, entry: "onMainThread" | "inWorker"): Promise<Results> {
  await bundle(project, "browser.mjs");
  const { url, server } = await serve(project);
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(url);
    return await page.evaluate(
      (name) => (globalThis as unknown as Record<string, () => Promise<Results>>)[name]!(),
      entry,
    );
  } finally {
    await browser.close();
    server.close();
  }
}

/** Asks a program that runs in workerd; both its bindings, FILES and ASSETS, answer with files. */
export async function askWorkerd(
  project: string,
  entry: string,
  path: string,
  init: { method?: string; body?: string } = {},
): Promise<unknown> {
  const { outfile } = await bundle(project, entry);
  const { url, server } = await serve(project);
  const miniflare = new Miniflare({
    compatibilityDate: "2026-04-01",
    modules: [
      { type: "ESModule", path: "worker.js", contents: await readFile(outfile, "utf8") },
      {
        type: "CompiledWasm",
        path: "engine.wasm",
        contents: await readFile(join(project, "node_modules/edgeformer/build/engine.wasm")),
      },
    ],
    serviceBindings: { FILES: { external: { address: url.slice("http://".length), http: {} } } },
    assets: {
      directory: join(project, "node_modules/edgeformer/models/fable"),
      binding: "ASSETS",
      routerConfig: { has_user_worker: true, invoke_user_worker_ahead_of_assets: true },
    },
  } as ConstructorParameters<typeof Miniflare>[0]);
  try {
    const response = await miniflare.dispatchFetch(`http://worker${path}`, init);
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return JSON.parse(text);
  } finally {
    await miniflare.dispose();
    server.close();
  }
}

async function inEdgeRuntime(project: string): Promise<Results> {
  const { outfile } = await bundle(project, "edge.mjs", "iife");
  const { url, server } = await serve(project);
  try {
    return await command(project, process.execPath, join(HERE, "hosts/edge-runtime.mjs"), outfile, url);
  } finally {
    server.close();
  }
}

const { node20, node22, node24, deno, bun } = EXECUTABLES;
const DENO = ["run", "--node-modules-dir=manual", "--allow-read", "--allow-env"];

/** Every runtime: runs the conformance program in the project, whose programs/ were copied to its root. */
export const RUNTIMES: Record<string, (project: string) => Promise<Results>> = {
  "Node.js 20": (project) => command(project, node20, "node.mjs"),
  "Node.js 22": (project) => command(project, node22, "node.mjs"),
  "Node.js 24": (project) => command(project, node24, "node.mjs"),
  Deno: (project) => command(project, deno, ...DENO, "deno.mjs"),
  "Deno, edgeformer/node": (project) => command(project, deno, ...DENO, "node.mjs"),
  Bun: (project) => command(project, bun, "bun.mjs"),
  "Bun, edgeformer/node": (project) => command(project, bun, "node.mjs"),
  "Chromium, page": (project) => inChromium(project, "onMainThread"),
  "Chromium, Web Worker": (project) => inChromium(project, "inWorker"),
  workerd: async (project) => (await askWorkerd(project, "workerd.mjs", "/conformance")) as Results,
  "edge-runtime": inEdgeRuntime,
};
