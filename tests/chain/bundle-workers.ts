import { copyFile, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

/**
 * Bundles Workers of a chain into a directory of their own, with the engine beside them.
 *
 * @param entries each script's path, by the name that its bundle gets
 */
export async function bundleWorkers(
  entries: Readonly<Record<string, string>>,
  minify = false,
): Promise<string> {
  const bundle = await mkdtemp(join(tmpdir(), "edgeformer-chain-workers-"));
  await build({
    entryPoints: Object.entries(entries).map(([out, file]) => ({ out, in: file })),
    outdir: bundle,
    bundle: true,
    minify,
    format: "esm",
    target: "es2022",
    external: ["cloudflare:workers"],
    conditions: ["workerd", "worker", "browser"],
    plugins: [
      {
        name: "wasm",
        setup: ({ onResolve }) =>
          onResolve({ filter: /\.wasm$/ }, () => ({ path: "./engine.wasm", external: true })),
      },
    ],
  });
  await copyFile(new URL("../../build/engine.wasm", import.meta.url), join(bundle, "engine.wasm"));
  return bundle;
}
