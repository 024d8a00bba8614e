// node wllama.mjs MODEL.gguf: llama.cpp's wasm build, one thread, in headless Chromium. MODEL lies below bench/.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serveRounds } from "./rounds.mjs";

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
const model = encodeURIComponent(`/${relative(root, process.argv[2])}`);
await page.goto(`http://127.0.0.1:${server.address().port}/peers/wllama.html?model=${model}`);
await page.waitForFunction("window.measure", undefined, { timeout: 120_000 });

await serveRounds((...sizes) => page.evaluate((args) => window.measure(...args), sizes));
await browser.close();
server.close();
