// wrangler runs this before it bundles. It writes two modules that the Worker imports: build/page-files.js, and
// build/engine-digest.js with the engine's SHA-256 for `system_fingerprint`, because a compiled module no longer has
// its bytes.
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { writePage } from "./page/build.mjs";

const build = new URL("../build/", import.meta.url);
const engine = await readFile(new URL("engine.wasm", build)).catch(() => {
  console.error("build/engine.wasm is missing; run `npm run build` first.");
  process.exit(1);
});
const digest = createHash("sha256").update(engine).digest("hex");
await writeFile(new URL("engine-digest.js", build), `export default "${digest}";\n`);
await writePage();
