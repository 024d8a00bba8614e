// `npm start`: the whole chain on this machine, each Worker by itself in one workerd, and nothing sent anywhere.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptionsOf } from "wrangler";

const ROOT = import.meta.dirname;
const PORT = Number(process.env.PORT ?? 8787);
const wrangler = join(createRequire(import.meta.url).resolve("wrangler/package.json"), "../bin/wrangler.js");

const bundles = new Map();

/** What would be uploaded. Stages have the same code, which is bundled once. */
function bundle(folder) {
  const code = readFileSync(join(ROOT, folder, "worker.js"), "utf8");
  const known = bundles.get(code);
  if (known !== undefined) return known;
  const directory = join(ROOT, ".wrangler", "chain", folder);
  bundles.set(code, directory);
  const config = join(ROOT, folder, "wrangler.toml");
  execFileSync(
    process.execPath,
    [wrangler, "deploy", "--dry-run", "--outdir", directory, "--config", config],
    {
      cwd: ROOT,
      env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  return directory;
}

/** A Worker as it would be deployed, but for its assets: Miniflare mixes up the directories of several Workers. */
function worker(folder) {
  const { assets, ...options } = workerOptionsOf(join(ROOT, folder, "wrangler.toml")).workerOptions;
  const modulesRoot = bundle(folder);
  const modules = readdirSync(modulesRoot).filter((file) => /\.(js|wasm)$/.test(file));
  return {
    ...options,
    ...(assets && { serviceBindings: { [assets.binding]: { disk: { path: assets.directory } } } }),
    name: folder,
    modulesRoot,
    modules: modules
      .sort((a, b) => Number(b.endsWith(".js")) - Number(a.endsWith(".js")))
      .map((file) => ({
        type: file.endsWith(".js") ? "ESModule" : "CompiledWasm",
        path: join(modulesRoot, file),
      })),
    // Here a Worker is called like its folder.
    durableObjects: Object.fromEntries(
      Object.entries(options.durableObjects).map(([name, { scriptName, ...object }]) => [
        name,
        { ...object, useSQLite: true, scriptName: scriptName?.replace(/^.*-(?=stage-\d+$)/, "") },
      ]),
    ),
  };
}

const folders = readdirSync(ROOT).filter((folder) => /^stage-\d+$/.test(folder));
const miniflare = new Miniflare({
  workers: ["front", ...folders].map(worker),
  host: "127.0.0.1",
  port: PORT,
});
const url = await miniflare.ready;
console.log(`The chain of ${folders.length} is at ${url.origin}. Loading …`);
await fetch(new URL("/ready", url)).then(async (response) => console.log(await response.text()));
