import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { EdgeformerError } from "../../errors.ts";
import { syntaxMessage } from "../../excerpt.ts";
import { type ByteSource, fileSource, readWhole } from "./bytes.ts";

/** A file that a checkpoint has. */
export interface FileEntry {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

/** Where a checkpoint's files come from. */
export interface CheckpointSource {
  /** For provenance: a hub id, or the last part of a local path. */
  readonly label: string;
  /** The hub's commit; null for local files. */
  readonly revision: string | null;
  /** The file that holds the weights, where the user named one. */
  readonly weightsFile?: string;
  /** Which of several GGUF files the user named, by what the files' names end with: "Q4_1". */
  readonly quantization?: string;
  /** The directory, if it is a local one. */
  readonly directory?: string;
  /** Whether the checkpoint has a file of that name. */
  has(name: string): Promise<boolean>;
  /** Local path of a file of the checkpoint; undefined if it has none of that name. */
  file(name: string): Promise<string | undefined>;
  /** A file of the checkpoint that is read in pieces, from the hub by ranges; undefined if it has none of that name. */
  open(name: string): Promise<ByteSource | undefined>;
  /** The files whose names end with `ending`, by name. */
  list(ending: string): Promise<FileEntry[]>;
}

/** Largest tokenizer file that is read; Gemma's has 33 MB. */
export const MAX_TOKENIZER_BYTES = 40 * 1024 * 1024;
/** Largest configuration. Those that are published have a few kilobytes. */
export const MAX_CONFIG_BYTES = 1024 * 1024;

/** @throws EdgeformerError `invalid_model` for what a read may wait at forever: pipes, devices, sockets */
async function kind(path: string): Promise<"file" | "directory" | undefined> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) return "directory";
    if (stats.isFile()) return "file";
    throw new EdgeformerError("invalid_model", `${path}: neither a file nor a directory`);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/**
 * A directory in Hugging Face's layout, or one weights file with its config.json beside it.
 * Undefined if there is nothing at `path`.
 */
export async function localSource(path: string): Promise<CheckpointSource | undefined> {
  const found = await kind(path);
  if (found === undefined) return undefined;
  const directory = found === "directory" ? resolve(path) : dirname(resolve(path));
  const file = async (name: string) => {
    const candidate = join(directory, name);
    return (await kind(candidate)) === "file" ? candidate : undefined;
  };
  return {
    label: basename(resolve(path)),
    revision: null,
    directory,
    ...(found === "file" ? { weightsFile: basename(path) } : {}),
    has: async (name) => (await file(name)) !== undefined,
    file,
    async open(name) {
      const path = await file(name);
      return path === undefined ? undefined : fileSource(path, name);
    },
    list: (ending) => listFiles(directory, ending),
  };
}

/** The files of a directory whose names end with `ending`, links to files included, by name. */
export async function listFiles(directory: string, ending: string): Promise<FileEntry[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(ending)).sort();
  const stats = await Promise.all(names.map((name) => stat(join(directory, name)).catch(() => undefined)));
  return names.flatMap((name, i) => {
    const found = stats[i];
    return found?.isFile() ? [{ name, size: found.size }] : [];
  });
}

/**
 * A file of the checkpoint, whole; undefined if there is none.
 *
 * @throws EdgeformerError `invalid_model` if it is larger than `maximum` bytes, or no file
 */
export async function readFileOf(
  source: CheckpointSource,
  name: string,
  maximum: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const path = await source.file(name);
  return path === undefined ? undefined : readWhole(path, name, maximum);
}

/** A JSON file of the checkpoint; undefined if there is none. */
export async function readJson(
  source: CheckpointSource,
  name: string,
  maximum = MAX_TOKENIZER_BYTES,
): Promise<unknown> {
  const bytes = await readFileOf(source, name, maximum);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new EdgeformerError("invalid_model", `${name} is not JSON: ${syntaxMessage(cause)}`, { cause });
  }
}
