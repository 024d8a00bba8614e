// What `npm start` runs after the build: the Worker on this machine, with nothing sent anywhere.
import { spawn } from "node:child_process";
import { setTimeout } from "node:timers/promises";

const PORT = 8787;
const ORIGIN = `http://localhost:${PORT}`;

console.log(
  `Once it is ready, open ${ORIGIN} or try:  curl -N ${ORIGIN}/v1/completions -d '{"prompt": "Once upon a time", "max_tokens": 120, "stream": true}'`,
);
const wrangler = spawn(
  process.execPath,
  [
    "node_modules/wrangler/bin/wrangler.js",
    "dev",
    "--port",
    String(PORT),
    "--show-interactive-dev-session=false",
    // On this machine the page may run the model in the browser. A deployment keeps its weights to itself.
    "--var",
    "PUBLIC_MODEL:true",
  ],
  {
    cwd: new URL("..", import.meta.url),
    stdio: "inherit",
    // Offline, wrangler would otherwise look up this machine's place and report a failure.
    env: { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: "false", WRANGLER_SEND_METRICS: "false" },
  },
);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => wrangler.kill(signal));
wrangler.on("exit", (code) => process.exit(code ?? 0));

// The first request loads the model. This one does, so that nobody has to wait for it.
while (!(await fetch(`${ORIGIN}/ready`).catch(() => undefined))) await setTimeout(250);
