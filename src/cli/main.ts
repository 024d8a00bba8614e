#!/usr/bin/env node
import { run } from "./program.ts";

const controller = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => controller.abort());
// A reader that has seen enough (`| head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});
const code = await run(process.argv.slice(2), process, controller.signal);
// Once everything is written. By itself the process would stay as long as a name is being looked up that nobody waits for.
process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
