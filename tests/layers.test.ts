import { readdir, readFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = new URL("../", import.meta.url).pathname;

interface Layer {
  name: string;
  holds: (path: string) => boolean;
  /** Layers further in that it may import, besides itself. */
  inner: string[];
  /** Packages that it may import; `node:` stands for all of Node's own. */
  packages: string[];
}

/** The layers, innermost first; a file belongs to the first one that holds it. */
const LAYERS: Layer[] = [
  { name: "assembly", holds: (path) => path.startsWith("assembly/"), inner: [], packages: [] },
  {
    // Who runs next is plain data: nothing here knows what computes it.
    name: "scheduling",
    holds: (path) => /^src\/serving\/(?!engine-stage\.ts$)/.test(path),
    inner: ["assembly", "core"],
    packages: [],
  },
  {
    name: "engine",
    holds: (path) => /^src\/(engine\/|serving\/engine-stage\.ts$)/.test(path),
    inner: ["assembly", "scheduling", "core"],
    packages: [],
  },
  {
    // Text in, tokens out: nothing here knows a model.
    name: "constraints",
    holds: (path) => path.startsWith("src/constrain/"),
    inner: ["core"],
    packages: [],
  },
  {
    name: "core",
    holds: (path) => /^src\/(?!node\/|cli\/|convert\/|pull\/)/.test(path),
    inner: ["assembly", "scheduling", "engine", "constraints"],
    packages: [],
  },
  {
    name: "node",
    holds: (path) => path.startsWith("src/node/"),
    inner: ["assembly", "scheduling", "engine", "constraints", "core"],
    packages: ["node:"],
  },
  {
    name: "convert",
    holds: (path) => path.startsWith("src/convert/"),
    inner: ["assembly", "scheduling", "engine", "constraints", "core", "node"],
    packages: ["node:", "@huggingface/hub", "@huggingface/tokenizers"],
  },
  {
    name: "pull",
    holds: (path) => path.startsWith("src/pull/"),
    inner: ["core", "node", "convert"],
    packages: ["node:"],
  },
  {
    // The Worker's application in a process of Node's.
    name: "server on Node",
    holds: (path) => path.startsWith("worker/node/"),
    inner: ["core", "node", "worker"],
    packages: ["node:", "@hono/node-server"],
  },
  {
    name: "cli",
    holds: (path) => path.startsWith("src/cli/"),
    inner: [
      "assembly",
      "scheduling",
      "engine",
      "constraints",
      "core",
      "node",
      "convert",
      "pull",
      "server on Node",
    ],
    packages: ["node:", "commander", "@huggingface/hub"],
  },
  {
    // What both ends of the wire know.
    name: "wire",
    holds: (path) => path.startsWith("worker/openai/wire/"),
    inner: ["scheduling", "engine", "constraints", "core"],
    packages: [],
  },
  {
    // What the page's server sends and its client reads.
    name: "page's shared data",
    holds: (path) => path.startsWith("worker/page/shared/"),
    inner: [],
    packages: [],
  },
  {
    name: "page's client",
    holds: (path) => path.startsWith("worker/page/client/"),
    inner: ["scheduling", "engine", "constraints", "core", "wire", "page's shared data"],
    packages: [],
  },
  {
    name: "worker",
    holds: (path) => path.startsWith("worker/"),
    inner: ["assembly", "scheduling", "engine", "constraints", "core", "wire", "page's shared data"],
    packages: ["cloudflare:", "hono", "zod"],
  },
];

function layerOf(path: string): Layer | undefined {
  return LAYERS.find((layer) => layer.holds(path));
}

/** Specifiers of every static and dynamic import, re-export and type import. The formatter puts each at a line's start. */
function importsOf(text: string): string[] {
  const fixed = text.matchAll(/^(?:import|export)\b(?:[^;:"'`=()]*\bfrom)?\s*"([^"]+)"/gm);
  const dynamic = text.matchAll(/^(?!\s*(?:\/\/|\*)).*?\bimport\(\s*"([^"]+)"/gm);
  return [...fixed, ...dynamic].map((match) => match[1]!);
}

/** What is wrong with a file's imports; a sentence for each. */
function violations(path: string, text: string): string[] {
  const layer = layerOf(path);
  if (layer === undefined) return [`${path} belongs to no layer`];
  return importsOf(text).flatMap((specifier) => {
    if (!specifier.startsWith(".")) {
      const allowed = layer.packages.some((name) =>
        name.endsWith(":")
          ? specifier.startsWith(name)
          : specifier === name || specifier.startsWith(`${name}/`),
      );
      return allowed ? [] : [`${path} (${layer.name}) imports the package ${specifier}`];
    }
    const target = targetOf(path, specifier);
    // What the build makes of assembly/.
    if (layer.name === "worker" && target.startsWith("build/")) return [];
    const other = layerOf(target);
    if (other === layer || (other !== undefined && layer.inner.includes(other.name))) return [];
    return [`${path} (${layer.name}) imports ${target} (${other?.name ?? "no layer"})`];
  });
}

/** The file that a relative import means: AssemblyScript leaves the suffix out. */
function targetOf(path: string, specifier: string): string {
  const target = normalize(join(dirname(path), specifier));
  return /\.\w+$/.test(target) ? target : `${target}.ts`;
}

/** Files that import each other in a circle, the first one named again at the end; one circle for each way back. */
function circles(texts: Map<string, string>): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const visit = (path: string, way: string[]): void => {
    if (way.includes(path)) found.push([...way.slice(way.indexOf(path)), path]);
    else if (!done.has(path)) {
      for (const specifier of importsOf(texts.get(path) ?? ""))
        if (specifier.startsWith(".")) visit(targetOf(path, specifier), [...way, path]);
      done.add(path);
    }
  };
  for (const path of texts.keys()) visit(path, []);
  return found;
}

async function sources(): Promise<string[]> {
  const folders = await Promise.all(
    ["assembly", "src", "worker"].map(async (folder) =>
      (await readdir(join(ROOT, folder), { recursive: true })).map((file) => `${folder}/${file}`),
    ),
  );
  return folders.flat().filter((file) => file.endsWith(".ts"));
}

describe("layers", () => {
  test("every import points inwards", async () => {
    const files = await sources();
    for (const layer of LAYERS) expect(files.filter(layer.holds), layer.name).not.toEqual([]);
    const found = await Promise.all(
      files.map(async (file) => violations(file, await readFile(join(ROOT, file), "utf8"))),
    );
    expect(found.flat()).toEqual([]);
  });

  test("no file imports itself by way of others", async () => {
    const files = await sources();
    const texts = await Promise.all(files.map((file) => readFile(join(ROOT, file), "utf8")));
    expect(circles(new Map(files.map((file, i) => [file, texts[i]!])))).toEqual([]);
  });

  test("a circle is found wherever it begins, a type in it or not", () => {
    const texts = new Map([
      ["worker/index.ts", 'import { app } from "./app.ts";'],
      ["worker/app.ts", 'import { log } from "./log.ts";\nimport { page } from "./page/routes.ts";'],
      ["worker/log.ts", 'import type { Variables } from "./app.ts";'],
      ["worker/page/routes.ts", 'import { log } from "../log.ts";'],
    ]);
    expect(circles(texts)).toEqual([["worker/app.ts", "worker/log.ts", "worker/app.ts"]]);
    texts.set("worker/log.ts", "");
    expect(circles(texts)).toEqual([]);
  });

  test.each([
    ["src/model.ts", 'import { readFile } from "node:fs";'],
    ["src/model.ts", 'import type {\n  Model,\n} from "./node/index.ts";'],
    ["src/model.ts", 'export * from "./convert/convert.ts";'],
    ["src/model.ts", 'import { Hono } from "hono";'],
    ["src/model.ts", 'const app = await import("../worker/app.ts");'],
    ["src/serving/scheduler.ts", 'import type { Engine } from "../engine/engine.ts";'],
    ["src/serving/step.ts", 'import { EngineStage } from "./engine-stage.ts";'],
    ["src/node/index.ts", 'import "../cli/main.ts";'],
    ["src/node/index.ts", 'import { createApp } from "../../worker/app.ts";'],
    ["src/convert/convert.ts", 'import { main } from "../cli/main.ts";'],
    ["src/convert/convert.ts", 'import { pull } from "../pull/pull.ts";'],
    ["src/node/index.ts", 'import { serveModel } from "../../worker/node/serve.ts";'],
    ["worker/app.ts", 'import { serveModel } from "./node/serve.ts";'],
    ["src/pull/pull.ts", 'import { downloadFile } from "@huggingface/hub";'],
    ["src/cli/main.ts", 'import type { Env } from "../../worker/config.ts";'],
    ["worker/app.ts", 'import { openModel } from "../src/node/index.ts";'],
    ["worker/app.ts", 'import { readFile } from "node:fs/promises";'],
    ["worker/app.ts", 'import { convert } from "../src/convert/convert.ts";'],
    ["worker/page/client/page.ts", 'import type { Env } from "../../config.ts";'],
    ["worker/page/client/page.ts", 'import { mountPage } from "../server/routes.ts";'],
    ["worker/page/client/page.ts", 'import type { Plan } from "../../openai/completions-plan.ts";'],
    ["worker/page/client/page.ts", 'import * as z from "zod";'],
    ["worker/page/shared/facts.ts", 'import type { Model } from "../../../src/index.ts";'],
    ["worker/page/server/routes.ts", 'import { element } from "../client/dom.ts";'],
    ["worker/openai/wire/choice.ts", 'import { HttpError } from "../../errors.ts";'],
    ["worker/openai/wire/choice.ts", 'import * as z from "zod";'],
    ["assembly/forward.ts", 'import { Model } from "../src/model";'],
    ["assembly/forward.ts", 'import { instantiate } from "@assemblyscript/loader";'],
    ["elsewhere/file.ts", ""],
  ])("%s may not hold %j", (path, text) => {
    expect(violations(path, text)).toHaveLength(1);
  });

  test.each([
    ["src/convert/quantize/quantizer-pool.ts", 'import { Worker } from "node:worker_threads";'],
    ["src/node/index.ts", 'import { loadModel } from "../load.ts";'],
    ["src/model.ts", ' * import { readFile } from "node:fs";\n// import x from "hono";'],
    ["worker/index.ts", 'import engine from "../build/engine.wasm";'],
    ["worker/page/client/runner.ts", 'import { Choice } from "../../openai/wire/choice.ts";'],
    ["worker/page/server/routes.ts", 'import type { Facts } from "../shared/facts.ts";'],
  ])("%s may hold %j", (path, text) => {
    expect(violations(path, text)).toEqual([]);
  });
});
