import { createHash, type Hash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import {
  downloadFile,
  fileDownloadInfo,
  getHFHubCachePath,
  getRepoFolderName,
  modelInfo,
  type PathInfo,
  pathsInfo,
} from "@huggingface/hub";
import { EdgeformerError } from "../../errors.ts";
import { given } from "../../given.ts";
import { splitCredentials } from "../../loading/sources.ts";
import { type ByteSource, checkRange, fileSource } from "./bytes.ts";
import { type CheckpointSource, type FileEntry, listFiles } from "./files.ts";

/** Attempts to continue a download that broke off, each from where the last one ended. */
const ATTEMPTS = 4;
/** How long the hub may take to answer a request, and how long a download may bring nothing, unless told otherwise. */
const PATIENCE_MS = 30_000;
/** The longest answer that is not a file: a repository of 100,000 files is listed in 10 MB. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export interface HubOptions {
  /** Branch, tag or commit. ["main"] */
  revision?: string;
  /** For private and gated repositories. [none] */
  token?: string;
  /** ["https://huggingface.co"] */
  hubUrl?: string;
  /** Shared with Hugging Face's own libraries. [their default: HF_HUB_CACHE, or hub/ in HF_HOME] */
  cacheDir?: string;
  /** A request without an answer after this long has failed. [30,000] */
  answerMs?: number;
  /** A download that brings nothing for this long has broken off. [30,000] */
  stallMs?: number;
  /** SHA-256 by file name: a file of which the hub says another one is not downloaded. [what the hub says counts] */
  expected?: Readonly<Record<string, string>>;
  onProgress?: (file: string, done: number, total: number) => void;
  onWarning?: (message: string) => void;
  signal?: AbortSignal;
}

/** Whether a text can be the id of a repository: `owner/name`, or a bare name from the hub's first days. */
export function isHubId(text: string): boolean {
  return /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/.test(text) && !text.includes("..");
}

/** Whether the file system refused (disk full, no permission), which has nothing to do with the hub. */
function isLocal(error: unknown): boolean {
  return ["write", "open", "mkdir", "rename", "symlink"].includes(
    (error as NodeJS.ErrnoException).syscall ?? "",
  );
}

/** A failed request as one sentence that says what to do. */
function hubError(cause: unknown, what: string, options: HubOptions): Error {
  if (cause instanceof EdgeformerError || isLocal(cause)) return cause as Error;
  if (options.signal?.aborted)
    return new EdgeformerError("aborted", "interrupted; nothing was written", { cause });
  const status = (cause as { statusCode?: number }).statusCode;
  const hint =
    status === 401
      ? "the hub does not know it, or it is private: check the id, or set HF_TOKEN to a token that may read it"
      : status === 403
        ? "access is restricted: accept the model's terms on its page and set HF_TOKEN to a token that may read it"
        : status === 404
          ? `not found: check the id${options.revision === undefined ? "" : " and the revision"}`
          : status === undefined
            ? `the hub could not be reached or broke off (${messageOf(cause)}); try again, the download goes on where it stopped`
            : `the hub answered with status ${status}; try again later`;
  return new EdgeformerError("io", `${what}: ${hint}`, { cause });
}

/** The innermost message: fetch hides the reason in `cause`. */
function messageOf(error: unknown): string {
  const { cause, message } = error as { cause?: unknown; message?: string };
  return cause === undefined ? (message ?? String(error)) : messageOf(cause);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * A model on the Hugging Face hub. Files are downloaded when asked for, into the same cache that Hugging
 * Face's libraries use; a download that broke off is continued, and every file is checked against its hash.
 *
 * @throws EdgeformerError `io` when the repository or revision cannot be read
 */
export async function hubSource(id: string, options: HubOptions = {}): Promise<CheckpointSource> {
  const revision = options.revision ?? "main";
  if (!/^[\w./-]+$/.test(revision) || revision.split("/").includes(".."))
    throw new EdgeformerError("invalid_option", `${revision} is not a revision`, { param: "revision" });
  if (options.token !== undefined && !options.token.startsWith("hf_"))
    throw new EdgeformerError("invalid_option", 'the hub\'s access tokens start with "hf_"', {
      param: "token",
    });
  const folder = join(
    options.cacheDir ?? getHFHubCachePath(),
    getRepoFolderName({ type: "model", name: id }),
  );
  const reference = join(folder, "refs", revision);
  const request = requestOptions(options);
  let commit: string;
  let files: Set<string> | undefined;
  try {
    const info = await modelInfo({ name: id, revision, additionalFields: ["sha", "filePaths"], ...request });
    commit = info.sha;
    files = new Set(info.filePaths.filter(isPlainPath));
    if (!/^[0-9a-f]{40}$/.test(commit)) throw new TypeError("the answer names no commit");
  } catch (error) {
    const cached = isUnreachable(error) ? await cachedCommit(folder, reference, revision) : undefined;
    if (cached === undefined || options.signal?.aborted) throw hubError(error, id, options);
    options.onWarning?.("the hub could not be reached; using the files in the cache");
    commit = cached;
  }
  if (revision !== commit && files !== undefined) {
    await mkdir(dirname(reference), { recursive: true });
    await writeFile(reference, commit);
  }
  const download = new HubDownload(id, commit, folder, options);
  return {
    label: id,
    revision: commit,
    has: async (name) => files?.has(name) ?? exists(join(folder, "snapshots", commit, name)),
    async file(name) {
      const path = join(folder, "snapshots", commit, name);
      if (await exists(path)) return path;
      if (files === undefined || !files.has(name)) return undefined;
      await download.fetch(name, path);
      return path;
    },
    async open(name) {
      const path = join(folder, "snapshots", commit, name);
      if (await exists(path)) return fileSource(path, name);
      return files?.has(name) ? download.ranges(name) : undefined;
    },
    async list(ending) {
      if (files === undefined) return listFiles(join(folder, "snapshots", commit), ending);
      return download.sizes([...files].filter((name) => name.endsWith(ending)).sort());
    },
  };
}

function isUnreachable(error: unknown): boolean {
  return (error as { statusCode?: number }).statusCode === undefined;
}

/** The commit that a revision was when it was last downloaded. */
async function cachedCommit(
  folder: string,
  reference: string,
  revision: string,
): Promise<string | undefined> {
  if (await exists(join(folder, "snapshots", revision))) return revision;
  const commit = (await readFile(reference, "utf8").catch(() => "")).trim();
  return /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
}

/** A path within a repository, which becomes one within the cache. */
function isPlainPath(path: string): boolean {
  return !/[\0\\]/.test(path) && !path.split("/").some((part) => ["", ".", ".."].includes(part));
}

/** The bytes of an answer, given up when none come for a while, or more than there should be. */
function patientBody(body: ReadableStream<Uint8Array>, stallMs: number, most: number) {
  const reader = body.getReader();
  let left = most;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        let timer: NodeJS.Timeout | undefined;
        const stalled = new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(new Error(`nothing came for ${stallMs / 1000} s`)), stallMs);
        });
        try {
          const { done, value } = await Promise.race([reader.read(), stalled]);
          left -= value?.length ?? 0;
          if (left < 0) throw new Error("it sent more than was asked for");
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          reader.cancel(error).catch(() => {});
          throw error;
        } finally {
          clearTimeout(timer);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** How many bytes the answer to a request may have. */
function mostBytes(url: string, headers: Headers, isError: boolean): number {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
  if (isError || new URL(url).pathname.includes("/api/")) return MAX_ANSWER_BYTES;
  return last === undefined ? Number.POSITIVE_INFINITY : Number(last) - Number(first) + 1;
}

/**
 * fetch, given up when `signal` fires, when there is no answer in time, and when its body stalls or does not end.
 *
 * @param credentials sent to the hub's own address, unless there is an access token
 */
function patientFetch(
  { answerMs = PATIENCE_MS, stallMs = PATIENCE_MS, signal }: HubOptions,
  hubUrl: string | undefined,
  credentials: Record<string, string> | undefined,
): typeof fetch {
  return async (url, init) => {
    const headers = new Headers(init?.headers);
    if (credentials && String(url).startsWith(`${hubUrl}/`))
      for (const [name, value] of Object.entries(credentials))
        if (!headers.has(name)) headers.set(name, value);
    const patience = new AbortController();
    const timer = setTimeout(
      () => patience.abort(new Error(`no answer within ${answerMs / 1000} s`)),
      answerMs,
    );
    const signals = [patience.signal, ...(signal ? [signal] : [])];
    try {
      const answer = await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
      if (answer.body === null) return answer;
      const most = mostBytes(answer.url, headers, !answer.ok);
      const patient = new Response(patientBody(answer.body, stallMs, most), answer);
      // Where redirects led to: a Response that somebody makes has none.
      return Object.defineProperty(patient, "url", { value: answer.url });
    } finally {
      clearTimeout(timer);
    }
  };
}

function requestOptions(options: HubOptions) {
  const { token } = options;
  // A name and a password in the address would be shown wherever a request fails, and fetch takes no such address.
  const { root, headers } = options.hubUrl === undefined ? {} : splitCredentials(options.hubUrl);
  const hubUrl = root?.replace(/\/+$/, "");
  return {
    fetch: patientFetch(options, hubUrl, headers),
    ...(token === undefined ? {} : { accessToken: token }),
    ...(hubUrl === undefined ? {} : { hubUrl }),
  };
}

/** Downloads files of one commit into the cache: blobs/HASH, and a link to it in snapshots/COMMIT. */
class HubDownload {
  readonly #id: string;
  readonly #commit: string;
  readonly #folder: string;
  readonly #options: HubOptions;

  constructor(id: string, commit: string, folder: string, options: HubOptions) {
    this.#id = id;
    this.#commit = commit;
    this.#folder = folder;
    this.#options = options;
  }

  async fetch(name: string, path: string): Promise<void> {
    const where = { repo: this.#id, revision: this.#commit, ...requestOptions(this.#options) };
    try {
      const [info] = await pathsInfo({ ...where, paths: [name] });
      const hash = info?.lfs?.oid ?? info?.oid;
      if (info === undefined || hash === undefined || !/^[0-9a-f]{40,64}$/.test(hash))
        throw new EdgeformerError("io", `${this.#id}: the hub's answer about ${name} makes no sense`);
      const expected = this.#options.expected?.[name] ?? hash;
      if (hash !== expected)
        throw new EdgeformerError(
          "io",
          `${this.#id}: ${name} is another file there, with the hash ${hash} instead of ${expected}`,
        );
      const blob = join(this.#folder, "blobs", hash);
      if (!(await exists(blob))) await this.#download(name, info, blob);
      await link(blob, path);
    } catch (error) {
      throw hubError(error, `${this.#id}, ${name}`, this.#options);
    }
  }

  /** A file whose bytes are fetched when they are read, and not kept. */
  async ranges(name: string): Promise<ByteSource> {
    const what = `${this.#id}, ${name}`;
    const request = async <T>(send: () => Promise<T>): Promise<T> => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await send();
        } catch (error) {
          if (attempt === ATTEMPTS || !this.#mayPass(error)) throw hubError(error, what, this.#options);
        }
      }
    };
    const where = { repo: this.#id, path: name, revision: this.#commit, ...requestOptions(this.#options) };
    const file = await request(async () => downloadFile({ ...where, xet: false }));
    if (file === null) throw new EdgeformerError("io", `${what}: the hub no longer has it; try again`);
    return {
      name,
      size: file.size,
      async read(offset, length) {
        checkRange(name, file.size, offset, length);
        return request(async () => {
          const bytes = new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
          if (bytes.length !== length) throw new Error(`it sent ${bytes.length} bytes instead of ${length}`);
          return bytes;
        });
      },
      async close() {},
    };
  }

  async sizes(names: string[]): Promise<FileEntry[]> {
    if (names.length === 0) return [];
    const where = { repo: this.#id, revision: this.#commit, ...requestOptions(this.#options) };
    try {
      const infos = await pathsInfo({ ...where, paths: names });
      return infos.map(({ path, size, lfs }) => ({ name: path, size: lfs?.size ?? size }));
    } catch (error) {
      throw hubError(error, this.#id, this.#options);
    }
  }

  /** Whether the same request may succeed another time. */
  #mayPass(error: unknown): boolean {
    const status = (error as { statusCode?: number }).statusCode ?? 500;
    return status >= 500 && !isLocal(error) && !this.#options.signal?.aborted;
  }

  /** Fills blob.incomplete, checks it and renames it. */
  async #download(name: string, info: PathInfo, blob: string): Promise<void> {
    const incomplete = `${blob}.incomplete`;
    await mkdir(dirname(blob), { recursive: true });
    const size = info.lfs?.size ?? info.size;
    const isRight = async () => {
      const hash =
        info.lfs === undefined ? createHash("sha1").update(`blob ${size}\0`) : createHash("sha256");
      if ((await digest(incomplete, hash)) === (info.lfs?.oid ?? info.oid)) return true;
      await rm(incomplete);
      return false;
    };
    const inPieces = await this.#fill(name, incomplete, size);
    if (!(await isRight())) {
      // Pieces may be of two files: what a killed run left, or the hub changed it meanwhile.
      if (inPieces) await this.#fill(name, incomplete, size);
      if (!inPieces || !(await isRight()))
        throw new EdgeformerError("io", `${this.#id}: ${name} was damaged on the way; try again`);
    }
    await rename(incomplete, blob);
  }

  /** Appends what is missing, however many attempts that takes; whether it was more than one in the end. */
  async #fill(name: string, incomplete: string, size: number): Promise<boolean> {
    const wasThere = await exists(incomplete);
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#continue(name, incomplete, size);
        return wasThere || attempt > 1;
      } catch (error) {
        if (attempt === ATTEMPTS || !this.#mayPass(error)) throw error;
      }
    }
  }

  /** Appends what is missing. */
  async #continue(name: string, incomplete: string, size: number): Promise<void> {
    let have = await stat(incomplete).then(
      (stats) => stats.size,
      () => 0,
    );
    if (have > size) {
      await rm(incomplete);
      have = 0;
    }
    const { onProgress, signal } = this.#options;
    onProgress?.(name, have, size);
    if (have === size && size > 0) return;
    const where = { repo: this.#id, path: name, revision: this.#commit, ...requestOptions(this.#options) };
    const downloadInfo = await fileDownloadInfo(where);
    // Plain HTTP ranges rather than the xet protocol: they resume at any byte.
    const file = downloadInfo && (await downloadFile({ ...where, downloadInfo, xet: false }));
    if (!file) throw new EdgeformerError("io", `${this.#id} has no file ${name}`);
    const count = async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        have += chunk.length;
        if (have > size) throw new Error(`${name} is longer than the ${size} bytes that it should have`);
        onProgress?.(name, have, size);
        yield chunk;
      }
    };
    await pipeline(
      (have > 0 ? file.slice(have, size) : file).stream(),
      count,
      createWriteStream(incomplete, { flags: "a" }),
      given({ signal }),
    );
    if (have !== size) throw new Error(`${name} ended after ${have} of ${size} bytes`);
  }
}

async function digest(path: string, hash: Hash): Promise<string> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** A relative link, as Hugging Face's libraries make it; a copy where links are not allowed. */
async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  try {
    await symlink(relative(dirname(path), target), path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    if (code !== "EPERM" && code !== "ENOTSUP") throw error;
    await copyFile(target, path);
  }
}
