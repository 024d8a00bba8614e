import { join } from "node:path";
import { build, type Plugin } from "esbuild";

/** Leaves the engine to the runtime, under the name that it has beside the bundle. */
const engineBeside: Plugin = {
  name: "engine-beside",
  setup({ onResolve }) {
    onResolve({ filter: /^edgeformer\/engine\.wasm$/ }, () => ({ path: "./engine.wasm", external: true }));
  },
};

/** Bundles a program of the project as a browser app would be: an import of Node's fails. */
export async function bundle(
  project: string,
  entry: string,
  format: "esm" | "iife" = "esm",
  external: string[] = [],
) {
  const outfile = join(project, "bundles", entry.replace(/\.\w+$/, ".js"));
  const { metafile } = await build({
    entryPoints: [join(project, entry)],
    absWorkingDir: project,
    bundle: true,
    minify: true,
    platform: "browser",
    target: "es2022",
    metafile: true,
    logLevel: "silent",
    format,
    outfile,
    external,
    plugins: [engineBeside],
  });
  return { outfile, metafile };
}
