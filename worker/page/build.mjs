// Writes build/page-files.js: everything that `GET /` serves, minified, as strings that the Worker imports.
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const root = (file) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [here(entry)],
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome111", "firefox114", "safari16.4"],
    legalComments: "none",
    charset: "utf8",
    write: false,
  });
  return Buffer.from(outputFiles[0].contents);
}

/**
 * Without what the browser does not need: comments, the space between two tags (whatever stands side by side here is laid out
 * by a grid or a flexbox), indentation, quotes around attributes of one word, tags that the standard lets one leave out.
 */
function minifyHtml(html) {
  return html
    .replace(/<!--[\s\S]*?-->/g, "")
    .replace(/>\n\s*</g, "><")
    .replace(/\n\s+/g, "\n")
    .replace(/<\/?(head|body)>|<\/html>/g, "")
    .replace(/<\/(li|dt|dd)>(?=<(li|dt|dd)|<\/(ul|ol|dl|div)>)/g, "")
    .replace(
      /<\/p>(?=<(p|ul|ol|dl|div|form|section|h\d)\b|<\/(div|section|header|footer|main|details)>)/g,
      "",
    )
    .replace(/(<\w[^>]*>)/g, (tag) => tag.replace(/="([\w.-]+)"(?=[\s>])/g, "=$1"));
}

/**
 * Custom properties under names as short as they can be, as no script asks for them; and without the spaces that the bundler
 * leaves, because in a custom property they might mean something.
 */
function minifyCss(css) {
  const names = [...new Set(css.match(/--[a-z][\w-]*/g))];
  return css
    .replace(/--[a-z][\w-]*/g, (name) => `--${names.indexOf(name).toString(36)}`)
    .replace(/(--\w+:|,) /g, "$1")
    .replaceAll(" / ", "/");
}

/** Every file of the page, by path: `{ type, body, binary, etag }`. */
export async function pageFiles() {
  const [html, style, app, localRun, runner, engine] = await Promise.all([
    readFile(here("client/index.html"), "utf8"),
    bundle("client/styles/page.css"),
    bundle("client/page.ts"),
    bundle("client/local-run.ts"),
    bundle("client/runner.ts"),
    readFile(root("build/engine.wasm")),
  ]);
  const file = (type, bytes, binary = false) => ({
    type,
    body: bytes.toString(binary ? "base64" : "utf8"),
    binary,
    etag: createHash("sha256").update(bytes).digest("hex").slice(0, 16),
  });
  return {
    "/": file("text/html; charset=utf-8", Buffer.from(minifyHtml(html))),
    "/page/style.css": file("text/css; charset=utf-8", Buffer.from(minifyCss(style.toString()))),
    "/page/app.js": file("text/javascript; charset=utf-8", app),
    "/page/local-run.js": file("text/javascript; charset=utf-8", localRun),
    "/page/runner.js": file("text/javascript; charset=utf-8", runner),
    "/page/engine.wasm": file("application/wasm", engine, true),
  };
}

/** Writes the module that worker/index.ts imports. */
export async function writePage() {
  await writeFile(root("build/page-files.js"), `export default ${JSON.stringify(await pageFiles())};\n`);
}
