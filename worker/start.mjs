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
    // On this machine the page may run the model in the browser. A deployment does not give its weights away.
    "--var",
    "PUBLIC_MODEL:true",
  ],
  {
    cwd: new URL("..", import.meta.url),
    stdio: "inherit",
    // Without this, wrangler looks up where this machine is, and reports a failure when it is offline.
    env: { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: "false", WRANGLER_SEND_METRICS: "false" },
  },
);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => wrangler.kill(signal));
wrangler.on("exit", (code) => process.exit(code ?? 0));

// The first request loads the model. This is the first one, so that no visitor has to wait for the load.
while (!(await fetch(`${ORIGIN}/ready`).catch(() => undefined))) await setTimeout(250);
