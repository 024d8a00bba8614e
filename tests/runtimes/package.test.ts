import { execFile, spawn } from "node:child_process";
import { cp, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { bundle } from "./bundle.ts";
import { EXECUTABLES, launchChromium } from "./runtimes.ts";

const HERE = new URL("./", import.meta.url).pathname;
const ROOT = join(HERE, "../..");
const tarball = inject("tarball");
const project = inject("project");
const installed = join(project, "node_modules/edgeformer");
const run = promisify(execFile);

/** A checker of this folder's node_modules. */
const checker = (script: string, ...args: string[]) =>
  run(process.execPath, [join(HERE, "node_modules", script), ...args], { cwd: HERE });

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Writes a program into the project and bundles it for a browser. */
async function bundleOf(name: string, text: string, external: string[] = []) {
  await writeFile(join(project, name), text);
  const { outfile, metafile } = await bundle(project, name, "esm", external);
  return { text: await readFile(outfile, "utf8"), inputs: Object.keys(metafile.inputs) };
}

const gzipped = (text: string) => gzipSync(text, { level: 9 }).length;

const CORE = 'export * from "edgeformer";';
/** What renders chat templates, Jinja among it: `ChatTokenizer.applyChatTemplate` imports it when it is called. */
const ON_DEMAND = ["*/chat.js"];

describe("what is in the package", () => {
  let files: string[];
  beforeAll(async () => {
    files = await filesOf(installed);
  });

  test("holds the library, the engine, the model and nothing else", () => {
    const expected = [
      /^(package\.json|README\.md|LICENSE)$/,
      /^build\/((engine|quantizer)\.wasm|page-files\.js)$/,
      /^src\/(engine\.wasm|page-files)\.d\.ts$/,
      // What `edgeformer split` copies into a project.
      /^src\/convert\/split\/start\.mjs$/,
      /^models\/fable\/(model\.json|tokenizer\.bin|weights\.00\.bin|README\.md)$/,
      /^dist\/(assembly|src|worker)\/[\w/-]+(\.js|\.js\.map|\.d\.ts)$/,
      /^dist\/src\/cli\/LICENSES\.txt$/,
    ];
    expect(files.filter((file) => !expected.some((pattern) => pattern.test(file)))).toEqual([]);
    for (const pattern of expected)
      expect(
        files.some((file) => pattern.test(file)),
        String(pattern),
      ).toBe(true);
  });

  test("each module has its declarations, and a map that holds its source", async () => {
    const isLibrary = (file: string) => !/^(dist\/src\/(cli|convert)|build)\//.test(file);
    const modules = files.filter((file) => file.endsWith(".js") && isLibrary(file));
    expect(modules.length).toBeGreaterThan(100);
    for (const module of modules) {
      expect(files).toContain(module.replace(/js$/, "d.ts"));
      const map = JSON.parse(await readFile(join(installed, `${module}.map`), "utf8")) as {
        sourcesContent?: string[];
      };
      expect(map.sourcesContent?.join("").length, module).toBeGreaterThan(0);
    }
  });

  test("has no modules that only its own command line imports", () => {
    expect(files.filter((file) => /^dist\/(src\/(convert|pull)|worker\/node)\//.test(file))).toEqual([
      // A thread has an entry of its own.
      "dist/src/convert/quantize/quantizer-worker.js",
    ]);
  });

  test("every export leads to a file", async () => {
    const { exports } = JSON.parse(await readFile(join(installed, "package.json"), "utf8")) as {
      exports: Record<string, string | Record<string, string>>;
    };
    const targets = Object.values(exports).flatMap((target) =>
      typeof target === "string" ? [target] : Object.values(target),
    );
    for (const target of targets) {
      const wanted = target.slice(2).replace("*", "fable/model.json");
      expect(files).toContain(wanted);
    }
  });

  test("publint finds nothing", async () => {
    const { stdout } = await checker("publint/src/cli.js", "run", tarball, "--strict");
    expect(stdout).toContain("All good!");
  });

  test("are the types wrong? No", async () => {
    const { stdout } = await checker(
      "@arethetypeswrong/cli/dist/index.js",
      tarball,
      // An ES module only: require() of one works from Node.js 20.19, and older resolution knows no export map.
      "--profile",
      "esm-only",
      "--format",
      "json",
    );
    const { analysis } = JSON.parse(stdout) as {
      analysis: {
        entrypoints: Record<string, unknown>;
        problems: { kind: string; resolutionKind?: string }[];
      };
    };
    expect(Object.keys(analysis.entrypoints)).toEqual(
      expect.arrayContaining([".", "./node", "./worker", "./engine.wasm"]),
    );
    const ignored = ["node10", "node16-cjs"];
    expect(analysis.problems.filter(({ resolutionKind = "" }) => !ignored.includes(resolutionKind))).toEqual(
      [],
    );
  });

  test("a strict program type-checks against it, down to the declarations", async () => {
    await writeFile(
      join(project, "types.ts"),
      `import { type Completion, EdgeformerError, fetchSource, loadModel, type Model } from "edgeformer";
       import engine from "edgeformer/engine.wasm";
       import { bundledModel, openModel } from "edgeformer/node";
       import { createApp, type Env, type WorkerOptions } from "edgeformer/worker";
       export async function story(): Promise<Completion | string> {
         const model: Model = await loadModel({ module: engine, source: fetchSource("/models/fable") });
         try { return await model.complete("Once", { temperature: 0, logprobs: 2 }); }
         catch (error) { return error instanceof EdgeformerError ? error.code : "unknown"; }
       }
       export const app = (options: WorkerOptions) => createApp({ ...options, engine });
       export const assets = (env: Env) => env.ASSETS.fetch("https://assets.invalid/model.json");
       export const bundled: Promise<Model> = openModel(bundledModel(), { context: 128 });
       // @ts-expect-error: the misspelt option is noticed
       export const wrong = (model: Model) => model.complete("Once", { temprature: 0 });`,
    );
    const check = (resolution: string, module: string) =>
      run(
        process.execPath,
        [
          join(ROOT, "node_modules/typescript/bin/tsc"),
          ...["--noEmit", "--strict", "--target", "es2022", "--lib", "es2023,dom,dom.asynciterable"],
          ...["--module", module, "--moduleResolution", resolution, "--types", "", "types.ts"],
        ],
        { cwd: project },
      );
    for (const [resolution, module] of [
      ["nodenext", "nodenext"],
      ["bundler", "esnext"],
    ] as const)
      await expect(check(resolution, module)).resolves.toMatchObject({ stdout: "" });
  });
});

describe("what installing it brings", () => {
  test("what the core and the Worker need, and nothing of the command line's", async () => {
    const { packages } = JSON.parse(await readFile(join(project, "package-lock.json"), "utf8")) as {
      packages: Record<string, unknown>;
    };
    const names = Object.keys(packages).filter((path) => path !== "");
    expect(names.map((path) => path.replace("node_modules/", "")).sort()).toEqual([
      "edgeformer",
      "hono",
      "zod",
    ]);
  });

  test("tarball ≤ 7.5 MB, ≤ 3.5 MB unpacked beside the bundled model and Jinja, command line ≤ 700 KB", async () => {
    const sizes = await Promise.all(
      (await filesOf(installed)).map(async (file) => ({
        file,
        bytes: (await stat(join(installed, file))).size,
      })),
    );
    const sum = (pattern: RegExp) =>
      sizes.filter(({ file }) => pattern.test(file)).reduce((total, { bytes }) => total + bytes, 0);
    const found = {
      tarball: { bytes: (await stat(tarball)).size, limit: 7_500_000 },
      "unpacked, without the model and Jinja": {
        bytes: sum(/^(?!models\/|dist\/src\/text\/jinja\/)/),
        limit: 3_500_000,
      },
      // As much as the package that it replaced, which was installed beside this one.
      Jinja: { bytes: sum(/^dist\/src\/text\/jinja\//), limit: 414_290 },
      "command line": { bytes: sum(/^dist\/src\/cli\//), limit: 700_000 },
    };
    console.table(found);
    for (const [name, { bytes, limit }] of Object.entries(found))
      expect(bytes, name).toBeLessThanOrEqual(limit);
  });
});

describe("the command line, from the package alone", () => {
  const environment = { ...process.env, EDGEFORMER_HOME: join(project, "empty-cache") };
  const edgeformer = (...args: string[]) =>
    run("npx", ["--no", "edgeformer", ...args], { cwd: project, env: environment });

  test("converts, shows and generates", async () => {
    const out = join(project, "converted");
    await edgeformer("convert", join(ROOT, "tests/fixtures/odd-gpt2"), "--out", out);
    await edgeformer("convert", join(ROOT, "tests/fixtures/odd-gpt2"), "--out", `${out}-4`, "--bits", "4");
    expect((await edgeformer("inspect", out)).stdout).toContain("gpt2");
    const generated = await edgeformer("generate", "--model", out, "--tokens", "1,2,3", "--max-tokens", "4");
    expect(generated.stdout).toMatch(/^\d+(,\d+)*\n$/);
    expect((await edgeformer("pull", "--list")).stdout).toContain("SmolLM2-135M-Instruct");
  });

  test("serves the page and the model", async () => {
    const server = spawn("npx", ["--no", "edgeformer", "serve", "--offline", "--port", "0"], {
      cwd: project,
      env: environment,
      detached: true,
    });
    try {
      let told = "";
      const origin = await new Promise<string>((resolve, reject) => {
        server.stderr.on("data", (chunk) => {
          told += String(chunk);
          const found = / is served at (\S+)/.exec(told);
          if (found) resolve(found[1]!);
        });
        server.once("exit", () => reject(new Error(told)));
      });
      expect(await (await fetch(origin)).text()).toContain("<html");
      const body = JSON.stringify({ prompt: "Once upon a time", max_tokens: 4 });
      expect((await fetch(`${origin}/v1/completions`, { method: "POST", body })).status).toBe(200);
    } finally {
      process.kill(-server.pid!, "SIGTERM");
    }
  });
});

describe("what an app gets that imports the core", () => {
  test("nothing of Node's, of the command line, the converter or the Worker", async () => {
    const { inputs, text } = await bundleOf("core.mjs", CORE, ON_DEMAND);
    const allowed = /^(node_modules\/edgeformer\/|core\.mjs$)/;
    expect(inputs.filter((input) => !allowed.test(input))).toEqual([]);
    expect(
      inputs.filter((input) => /edgeformer\/dist\/(src\/(node|cli|convert)|worker)\//.test(input)),
    ).toEqual([]);
    expect(text).not.toMatch(/["']node:|\brequire\(|\bprocess\.|\bBuffer\./);
  });

  test("a browser bundle of the Node helpers fails: the check above can", async () => {
    await expect(bundleOf("not-core.mjs", 'export * from "edgeformer/node";')).rejects.toThrow(/node:/);
  });

  test("only what it uses", async () => {
    const { text } = await bundleOf("manifest.mjs", 'export { parseManifest } from "edgeformer";');
    // The checks of six architectures' configurations.
    expect(gzipped(text)).toBeLessThan(6_500);
    expect((await bundleOf("unused.mjs", 'import "edgeformer";')).text.trim()).toBe("");
  });

  test("engine ≤ 28 KB; JavaScript ≤ 22 KB without the tokenizer, ≤ 31 KB with it, ≤ 50 KB with chat, gzip", async () => {
    const engine = (await readFile(join(installed, "build/engine.wasm"))).length;
    const size = async (external: string[]) => gzipped((await bundleOf("core.mjs", CORE, external)).text);
    const alone = await size([...ON_DEMAND, "*/tokenizer.js", "*/chat-tokenizer.js"]);
    const withTokenizer = await size(ON_DEMAND);
    const withChat = await size([]);
    console.table({
      "engine.wasm": { bytes: engine, limit: 28 * 1024 },
      "core without tokenizer, gzip": { bytes: alone, limit: 22_000 },
      "core with tokenizer, gzip": { bytes: withTokenizer, limit: 31_000 },
      "core with chat templates, gzip": { bytes: withChat, limit: 50_000 },
    });
    expect(engine).toBeLessThanOrEqual(28 * 1024);
    expect(alone).toBeLessThanOrEqual(22_000);
    expect(withTokenizer).toBeLessThanOrEqual(31_000);
    expect(withChat).toBeLessThanOrEqual(50_000);
    expect(alone).toBeLessThan(withTokenizer);
    expect(withTokenizer).toBeLessThan(withChat);
  });
});

// V8 has no WebAssembly SIMD without SSE 4.1; other processors have no such switch.
describe.runIf(process.arch === "x64")("a runtime without SIMD", () => {
  test.each(["node20", "node22", "node24"] as const)("gets a sentence: %s", async (version) => {
    const folder = join(project, "no-simd");
    await mkdir(folder, { recursive: true });
    await cp(join(HERE, "programs/no-simd.mjs"), join(folder, "no-simd.mjs"));
    const { stdout } = await run(EXECUTABLES[version], ["--no-enable-sse4-1", "no-simd.mjs"], {
      cwd: folder,
    });
    const sentence = /^EdgeformerError unsupported_runtime this runtime has no WebAssembly SIMD; .+$/;
    const lines = stdout.trim().split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toMatch(sentence);
    const { stdout: usual } = await run(EXECUTABLES[version], ["no-simd.mjs"], { cwd: folder });
    expect(usual).toBe("loaded\nloaded\nloaded\n");
  });

  test("gets a sentence: Chromium", async () => {
    const { text } = await bundleOf(
      "no-simd-page.mjs",
      `import { compileEngine } from "edgeformer";
       globalThis.told = () => compileEngine(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)).then(() => "compiled", String);`,
    );
    const answers = [];
    for (const flags of [["--js-flags=--no-enable-sse4-1"], []]) {
      const browser = await launchChromium(flags);
      try {
        const page = await browser.newPage();
        await page.addScriptTag({ content: text, type: "module" });
        answers.push(await page.evaluate("told()"));
      } finally {
        await browser.close();
      }
    }
    expect(answers).toEqual([
      expect.stringMatching(/^EdgeformerError: this runtime has no WebAssembly SIMD; .+$/),
      "compiled",
    ]);
  });
});
