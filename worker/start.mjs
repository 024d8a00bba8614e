// What `npm start` runs: the build, if anything changed since the last one, then the Worker on this machine, with nothing
// sent anywhere. It serves the default model, which is pulled first if need be; where that cannot be had, the bundled
// story model stands in for it.
//   npm start -- [--model DIR|NAME] [--port N] [--offline]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const DEFAULT_MODEL = "SmolLM2-135M-Instruct";
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Ends with one line. */
function fail(message, code = 1) {
  console.error(`npm start: ${message}`);
  process.exit(code);
}

function readFlags() {
  const options = {
    model: { type: "string" },
    port: { type: "string", default: "8787" },
    offline: { type: "boolean", default: false },
  };
  try {
    const { values } = parseArgs({ options });
    if (!/^\d{1,5}$/.test(values.port) || values.port < 1 || values.port > 65_535)
      fail(`--port must be an integer from 1 to 65535, not ${values.port}`, 2);
    return values;
  } catch (error) {
    return fail(`${error.message}. Usage: npm start -- [--model DIR|NAME] [--port N] [--offline]`, 2);
  }
}

/** What the build reads, and the last file that it writes. */
const SOURCES = [
  "assembly",
  "src",
  "worker",
  "package.json",
  "package-lock.json",
  "asconfig.json",
  "tsconfig.json",
  "tsconfig.build.json",
];
const BUILT = "dist/src/cli/main.js";

async function isBuilt() {
  const built = statSync(resolve(ROOT, BUILT), { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined) return false;
  for (const source of SOURCES) {
    const path = resolve(ROOT, source);
    const files = statSync(path).isDirectory() ? await readdir(path, { recursive: true }) : [""];
    if (files.some((file) => statSync(resolve(path, file)).mtimeMs > built)) return false;
  }
  return true;
}

/** Runs a program in the checkout; its exit code, and what it wrote to standard output if that is asked for. */
async function run(program, args, stdout) {
  const child = spawn(program, args, { cwd: ROOT, stdio: ["ignore", stdout, "inherit"] });
  end = () => child.kill();
  let output = "";
  child.stdout?.on("data", (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, "close");
  if (interrupted) process.exit(130);
  return { code, output };
}

async function checkPort(port) {
  const server = createServer().listen(port, "localhost");
  try {
    await once(server, "listening");
    server.close();
  } catch (error) {
    const next = `npm start -- --port ${Number(port) + 1}`;
    fail(error.code === "EADDRINUSE" ? `port ${port} is in use; choose another one: ${next}` : error.message);
  }
}

const { model, port, offline } = readFlags();
const origin = `http://localhost:${port}`;

/** What a signal ends. */
let end = () => {};
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => {
    interrupted = true;
    end();
  });

/** The directory of a model that has a name; undefined, after a line that says why, if it cannot be had. */
async function pull(name) {
  const args = ["dist/src/cli/main.js", "pull", name, ...(offline ? ["--offline"] : [])];
  const { code, output } = await run(process.execPath, args, "pipe");
  return code === 0 ? output.trim() : undefined;
}

async function chooseModel() {
  if (model === undefined) {
    const directory = await pull(DEFAULT_MODEL);
    if (directory !== undefined) return { directory };
    console.error(`npm start: ${DEFAULT_MODEL} is missing; the bundled story model is served instead.`);
    return { directory: resolve(ROOT, "models/fable"), standInFor: DEFAULT_MODEL };
  }
  // npm runs this in the checkout, wherever it was called.
  const path = resolve(process.env.INIT_CWD ?? process.cwd(), model);
  const directory = existsSync(path) ? path : await pull(model);
  if (directory === undefined) process.exit(1);
  return { directory };
}

async function readManifest(directory) {
  try {
    return JSON.parse(await readFile(resolve(directory, "model.json"), "utf8"));
  } catch (error) {
    return fail(`${directory} is no model directory (${error.message}); "npx edgeformer convert" makes one`);
  }
}

await checkPort(port);
// It takes a second or two to load, in which the rest goes on.
const wrangler = import("wrangler");
if (!(await isBuilt())) {
  // npm's own program, whatever it is called on this platform.
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ["npm"];
  const { code } = await run(npm[0], [...npm.slice(1), "run", "build"], "inherit");
  if (code !== 0) fail("the build failed");
}
const { directory, standInFor } = await chooseModel();
const { name, chat_template } = await readManifest(directory);
// Without this, wrangler looks up where this machine is, and reports a failure when it is offline.
Object.assign(process.env, { CLOUDFLARE_CF_FETCH_ENABLED: "false", WRANGLER_SEND_METRICS: "false" });
const text = (value) => ({ type: "plain_text", value });
const { unstable_startWorker } = await wrangler;
const worker = await unstable_startWorker({
  config: resolve(ROOT, "wrangler.toml"),
  assets: directory,
  bindings: {
    // On this machine the page may run the model in the browser. A deployment does not give its weights away.
    PUBLIC_MODEL: text("true"),
    ...(standInFor && { STAND_IN_FOR: text(standInFor) }),
  },
  // What wrangler.toml's command writes, the build has written.
  build: { custom: { command: "" } },
  dev: {
    server: { hostname: "localhost", port: Number(port) },
    // `wrangler dev` has no switch for it, and its inspector is told of each piece of the weights that the Worker reads.
    inspector: false,
    watch: false,
    persist: false,
  },
});

async function stop(code) {
  await worker.dispose();
  process.exit(code);
}
end = () => void stop(0);
if (interrupted) await stop(130);

// The first request loads the model. This is the first one, so that no visitor has to wait for the load.
await worker.ready;
const ready = await fetch(`${origin}/ready`);
if (ready.ok) {
  const call = chat_template
    ? `${origin}/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Why is the sky blue?"}], "stream": true}'`
    : `${origin}/v1/completions -d '{"prompt": "Once upon a time", "max_tokens": 120, "stream": true}'`;
  console.log(`\n${name} is ready. Open ${origin} or try:\n  curl -N ${call}\n`);
} else {
  const { error } = await ready.json();
  console.error(`npm start: ${error.message}`);
  await stop(1);
}
