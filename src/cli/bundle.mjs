// Bundles the command line into dist/src/cli, and the thread that its quantizer starts, with the packages that nothing but it needs: whoever installs edgeformer for
// a Worker or a browser does not get them. What is a dependency of the package itself stays outside.
import { chmod, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const OUT = join(ROOT, "dist/src");

const { dependencies } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
await rm(join(OUT, "cli"), { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ["src/cli/main.ts", "src/convert/quantize/quantizer-worker.ts"],
  outbase: "src",
  absWorkingDir: ROOT,
  outdir: OUT,
  bundle: true,
  // What only some commands need is loaded by those.
  splitting: true,
  chunkNames: "cli/[name]-[hash]",
  platform: "node",
  format: "esm",
  target: "node20.20",
  minify: true,
  metafile: true,
  legalComments: "none",
  external: Object.keys(dependencies),
  // For the packages in CommonJS.
  banner: {
    js: 'import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url);',
  },
});
await chmod(join(OUT, "cli/main.js"), 0o755);

/** The folders of the packages that are in the bundle. */
const packages = new Set(
  Object.keys(metafile.inputs).flatMap((path) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []),
);

async function licenseOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(ROOT, folder, "package.json"), "utf8"));
  const file = (await readdir(join(ROOT, folder))).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? "" : `\n${await readFile(join(ROOT, folder, file), "utf8")}`;
  return `${name} ${version}, ${license}\n${text}`;
}
const licenses = await Promise.all([...packages].sort().map(licenseOf));
await writeFile(
  join(OUT, "cli/LICENSES.txt"),
  `The command line contains these packages.\n\n${licenses.join(`\n${"-".repeat(80)}\n\n`)}`,
);
