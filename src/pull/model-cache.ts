import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { EdgeformerError } from "../errors.ts";
import { type FileInfo, FORMAT_VERSION, type Manifest } from "../format/manifest.ts";
import { loadManifest } from "../loading/load.ts";
import { directorySource } from "../node/index.ts";
import type { CatalogueModel } from "./catalogue.ts";

/** Where pulled models are kept: EDGEFORMER_HOME, or else a folder in the one that the platform has for caches. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const { EDGEFORMER_HOME, XDG_CACHE_HOME, LOCALAPPDATA } = environment;
  if (EDGEFORMER_HOME) return resolve(EDGEFORMER_HOME);
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "edgeformer");
  if (process.platform === "win32")
    return join(LOCALAPPDATA || join(homedir(), "AppData", "Local"), "edgeformer", "Cache");
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "edgeformer");
}

/** The model directory of a model, one for each version of the format. */
export function modelFolder(home: string, { name }: CatalogueModel): string {
  return join(home, "models", `${name}-format-${FORMAT_VERSION}`);
}

/** Where what is fetched of a model lies until it is converted. */
export function downloadFolder(home: string, { name }: CatalogueModel): string {
  return join(home, "downloads", name);
}

async function isWhole(directory: string, { file, bytes, sha256 }: FileInfo, verify: boolean) {
  const path = join(directory, file);
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isFile() || stats.size !== bytes) return false;
  if (!verify) return true;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex") === sha256;
}

/**
 * Whether a model directory holds a model of the catalogue, whole. The files' sizes are looked at; their hashes too if
 * `verify`. Loading a model checks the hashes in any case.
 */
export async function isCached(directory: string, model: CatalogueModel, verify: boolean): Promise<boolean> {
  let manifest: Manifest;
  try {
    manifest = await loadManifest(directorySource(directory));
  } catch (error) {
    if (error instanceof EdgeformerError) return false;
    throw error;
  }
  if (model.sha256 !== undefined && manifest.provenance.sha256 !== model.sha256) return false;
  for (const file of [...manifest.parts, ...(manifest.tokenizer ? [manifest.tokenizer] : [])])
    if (!(await isWhole(directory, file, verify))) return false;
  return true;
}
