// node chromium.mjs PAGE QUERY: an engine in headless Chromium. PAGE lies beside this script and sets window.loadMs
// and window.engine; files that QUERY names lie below bench/ or are symbolic links there.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "./serve.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
const server = createServer((request, response) => {
  const file = join(root, decodeURIComponent(new URL(request.url, "http://localhost").pathname));
  if (!existsSync(file) || statSync(file).isDirectory()) return response.writeHead(404).end();
  response.writeHead(200, {
    "content-type": types[extname(file)] ?? "application/octet-stream",
    "content-length": statSync(file).size,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
  });
  createReadStream(file).pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
const page = await browser.newPage();
page.on("pageerror", (error) => console.error(error));
await page.goto(`http://127.0.0.1:${server.address().port}/peers/${process.argv[2]}?${process.argv[3]}`);
await page.waitForFunction("window.engine", undefined, { timeout: 120_000 });

/** A call of one of the engine's functions. */
const call =
  (name) =>
  (...args) =>
    page.evaluate(([name, ...args]) => window.engine[name](...args), [name, ...args]);
await serve(await page.evaluate("window.loadMs"), { run: call("run"), score: call("score") });
await browser.close();
server.close();
