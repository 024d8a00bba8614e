import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Miniflare } from "miniflare";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { openModel } from "../../src/node/index.ts";
import { flipped } from "./directory.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CHECKPOINT = join(ROOT, "tests/fixtures/odd-gpt2");
const run = promisify(execFile);

let project: string;
let miniflare: Miniflare | undefined;

/** What `npm install` would put there: the package, and the two commands of package.json's scripts. */
async function install(): Promise<void> {
  const bin = join(project, "node_modules/.bin");
  await mkdir(bin, { recursive: true });
  await symlink(ROOT, join(project, "node_modules/edgeformer"));
  for (const [command, script] of [
    ["edgeformer", "dist/src/cli/main.js"],
    ["wrangler", "node_modules/wrangler/bin/wrangler.js"],
  ] as const) {
    await writeFile(
      join(bin, command),
      `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, script)}" "$@"\n`,
    );
    await chmod(join(bin, command), 0o755);
  }
}

function npm(...parameters: string[]) {
  return run("npm", parameters, {
    cwd: project,
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", npm_config_update_notifier: "false" },
  });
}

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "edgeformer-template-"));
  await cp(join(ROOT, "examples/deploy-template"), project, { recursive: true });
  await install();
  await npm("run", "convert", "--", CHECKPOINT);
});
afterEach(async () => {
  await miniflare?.dispose();
  miniflare = undefined;
});
afterAll(() => rm(project, { recursive: true }));

/** The project's bundle, as it would be uploaded, in workerd. */
async function serve(options: object): Promise<{ url: URL; complete: () => Promise<Response> }> {
  await npm("exec", "--", "wrangler", "deploy", "--dry-run", "--outdir", "bundle");
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(project, "wrangler.toml"));
  const files = await readdir(join(project, "bundle"));
  const modules = files
    .filter((file) => /\.(js|wasm)$/.test(file))
    .map((file) => ({
      type: file.endsWith(".js") ? ("ESModule" as const) : ("CompiledWasm" as const),
      path: join(project, "bundle", file),
    }))
    .sort((a) => (a.type === "ESModule" ? -1 : 1));
  miniflare = new Miniflare({
    ...(workerOptions as object),
    name: "my-model",
    modulesRoot: join(project, "bundle"),
    modules,
    host: "127.0.0.1",
    port: 0,
    handleRuntimeStdio: () => {},
    ...options,
  } as ConstructorParameters<typeof Miniflare>[0]);
  const url = await miniflare.ready;
  return {
    url,
    complete: () =>
      fetch(new URL("/v1/completions", url), {
        method: "POST",
        body: JSON.stringify({ prompt: [1, 2, 3], max_tokens: 4, temperature: 0, ignore_eos: true }),
      }),
  };
}

/** What the library makes of the same request. */
async function expectedIds(): Promise<number[]> {
  const model = await openModel(join(project, "model"));
  return (await model.complete([1, 2, 3], { maxTokens: 4, temperature: 0, ignoreEos: true })).ids;
}

describe("examples/deploy-template", () => {
  test("has ten lines of code at most, and its README's commands exist", async () => {
    const code = (await readFile(join(project, "worker.js"), "utf8")).trimEnd().split("\n");
    expect(code.length).toBeLessThanOrEqual(10);
    const { scripts } = JSON.parse(await readFile(join(project, "package.json"), "utf8"));
    const readme = await readFile(join(project, "README.md"), "utf8");
    const used = Array.from(readme.matchAll(/^npm run (\w+)/gm), ([, name]) => name);
    expect(used).toEqual(["build", "check", "dev", "deploy"]);
    for (const name of [...used, "convert"]) expect(scripts).toHaveProperty(name!);
  });

  test("`npm run check` says that the model fits and bundles the Worker", async () => {
    const { stdout } = await npm("run", "check");
    expect(stdout).toContain("fits a 128 MB isolate");
    expect(stdout).toContain("--dry-run: exiting now");
    expect(stdout).toContain("env.ASSETS");
  });

  test("serves the user's model, and not its weights", async () => {
    const { assets, ...rest } = unstable_getMiniflareWorkerOptions(join(project, "wrangler.toml"))
      .workerOptions as { assets: object };
    const { url, complete } = await serve({
      ...rest,
      assets: { ...assets, directory: join(project, "model") },
    });
    const response = await complete();
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ model: "model", usage: { completion_tokens: 4 } });
    expect((await fetch(new URL("/weights.00.bin", url))).status).toBe(404);
    expect(await (await fetch(url)).text()).toContain("<html");
    expect((await fetch(new URL("/page/model/weights.00.bin", url))).status).toBe(404);
    expect((await fetch(new URL("/model.json", url))).status).toBe(404);
  });
});

/** The code block of docs/deploy.md that holds `text`. */
async function documented(text: string): Promise<string> {
  const guide = await readFile(join(ROOT, "docs/deploy.md"), "utf8");
  const block = Array.from(guide.matchAll(/^```\w+\n([\s\S]*?)^```/gm), ([, code]) => code!).find((code) =>
    code.includes(text),
  );
  expect(block, `a block with ${text} in docs/deploy.md`).toBeDefined();
  return block!;
}

describe("docs/deploy.md's variant with R2", () => {
  test("loads from the bucket, tells what is wrong there, and recovers", async () => {
    const template = await readFile(join(project, "wrangler.toml"), "utf8");
    const withoutAssets = template.replace(/\[assets\][\s\S]*?\n\n/, "");
    expect(withoutAssets).not.toContain("[assets]");
    await writeFile(
      join(project, "wrangler.toml"),
      `${withoutAssets}\n${await documented("[[r2_buckets]]")}`,
    );
    await writeFile(join(project, "worker.js"), await documented("bucketSource"));
    // A failed load is tried again at once here, so that the test need not wait.
    const { complete } = await serve({ r2Buckets: ["MODELS"], bindings: { LOAD_RETRY_MS: "0" } });
    const bucket = await miniflare!.getR2Bucket("MODELS");
    const put = async (file: string, bytes: Uint8Array) =>
      void (await bucket.put(`my-model/v1/${file}`, new Uint8Array(bytes).buffer));
    const refused = async (says: string) => {
      const response = await complete();
      expect(response.status).toBe(503);
      expect(await response.text()).toContain(says);
    };
    await refused("model.json");
    await put("model.json", await readFile(join(project, "model/model.json")));
    await refused("weights.00.bin");
    const weights = new Uint8Array(await readFile(join(project, "model/weights.00.bin")));
    await put("weights.00.bin", flipped(weights, 100));
    await refused("weights.00.bin");
    await put("weights.00.bin", weights);
    const responses = await Promise.all(Array.from({ length: 50 }, complete));
    for (const response of responses) {
      expect(response.status).toBe(200);
      const { choices } = (await response.json()) as { choices: { token_ids: number[] }[] };
      expect(choices[0]!.token_ids).toEqual(await expectedIds());
    }
  });
});
