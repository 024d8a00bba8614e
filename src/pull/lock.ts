import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { isRunning } from "../node/is-running.ts";

/** How often the holder of a lock shows that it is alive. */
const BEAT_MS = 5_000;
/** A lock whose holder has not shown itself for this long is nobody's. */
const DEAD_MS = 60_000;
const POLL_MS = 200;

interface Holder {
  id: string;
  pid: number;
  host: string;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** Who holds a lock; undefined if its file is gone or was not written to its end. */
async function holderOf(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Holder;
  } catch (error) {
    if (error instanceof SyntaxError || codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Whether whoever holds the lock is gone: killed on this machine, or silent for long. */
async function isAbandoned(path: string, holder: Holder | undefined): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return false;
  if (Date.now() - stats.mtimeMs > DEAD_MS) return true;
  return holder !== undefined && holder.host === hostname() && !isRunning(holder.pid);
}

/** Takes an abandoned lock away. Renaming it shows whether somebody was faster: then it is put back. */
async function clear(path: string, abandoned: Holder | undefined): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  const taken = await holderOf(aside);
  if (taken !== undefined && taken.id !== abandoned?.id)
    await writeFile(path, JSON.stringify(taken), { flag: "wx" }).catch(() => {});
  await rm(aside, { force: true });
}

/**
 * Runs `work` while no other process runs one for the same `path`. It spares a second download; nothing that is written is
 * safe only because of it. A lock whose holder was killed is taken over.
 *
 * @param onWait called once if another process is at it
 */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  { onWait, signal }: { onWait?: () => void; signal?: AbortSignal } = {},
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const me: Holder = { id: randomUUID(), pid: process.pid, host: hostname() };
  for (let waited = false; ; waited = true) {
    try {
      await writeFile(path, JSON.stringify(me), { flag: "wx" });
      break;
    } catch (error) {
      // On a full disk the file is there without its text, and nobody else's.
      if (codeOf(error) === "ENOSPC") await rm(path, { force: true });
      if (codeOf(error) !== "EEXIST") throw error;
    }
    const holder = await holderOf(path);
    if (await isAbandoned(path, holder)) {
      await clear(path, holder);
      continue;
    }
    if (!waited) onWait?.();
    await setTimeout(POLL_MS, undefined, { ...(signal && { signal }) });
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if ((await holderOf(path).catch(() => undefined))?.id === me.id) await rm(path, { force: true });
  }
}
