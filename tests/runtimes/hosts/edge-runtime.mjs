// `node edge-runtime.mjs BUNDLE FILES_URL`: dispatches one request to a program in Vercel's edge-runtime.
import { readFile } from "node:fs/promises";
import { EdgeRuntime } from "edge-runtime";

const [bundle, files] = process.argv.slice(2);
const runtime = new EdgeRuntime({ initialCode: await readFile(bundle, "utf8") });
const response = await runtime.dispatchFetch("https://edge.invalid/", { headers: { "x-files": files } });
console.log(await response.text());
process.exit(response.ok ? 0 : 1);
