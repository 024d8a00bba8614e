import { randomUUID } from "node:crypto";
import { type FileHandle, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32, createInflateRaw } from "node:zlib";
import { EdgeformerError } from "../../errors.ts";
import { quotedName } from "../../excerpt.ts";
import { type ByteSource, checkRange, handleSource } from "../inputs/bytes.ts";
import { readZipDirectory, type ZipEntry, zipDataOffset } from "./zip.ts";

const STORED = 0;
const DEFLATED = 8;
const CHUNK_BYTES = 1 << 20;
/** Deflate makes at most 258 bytes of two bits; what claims more is damaged or meant to fill the disk. */
const MAX_RATIO = 1032;

export interface ArchiveOptions {
  /** Where a compressed file is unpacked while it is read. [the system's folder for temporary files] */
  directory?: string;
  onProgress?: (file: string, done: number, total: number) => void;
  signal?: AbortSignal;
}

/**
 * The only file of a ZIP archive (a wheel is one) whose name ends with `ending`. A stored one is read in its place.
 * A deflated one is unpacked to a temporary file, which is gone once the source is closed or this rejects. The
 * source owns `archive` and closes it; it stays open if this rejects.
 *
 * @throws EdgeformerError `invalid_model` if there is none, or more than one, or it is damaged;
 *   `unsupported_model` if it is encrypted or compressed in another way; `aborted`
 */
export async function archivedSource(
  archive: ByteSource,
  ending: string,
  options: ArchiveOptions = {},
): Promise<ByteSource> {
  const entries = [...(await readZipDirectory(archive)).values()];
  const found = entries.filter(({ name }) => name.endsWith(ending));
  const [entry] = found;
  if (entry === undefined || found.length > 1)
    throw new EdgeformerError(
      "invalid_model",
      entry === undefined
        ? `${archive.name}: the archive has no ${ending} file`
        : `${archive.name}: the archive has ${found.length} ${ending} files (${found
            .slice(0, 10)
            .map(({ name }) => quotedName(name))
            .join(", ")}); unpack it and give one of them`,
    );
  const start = await zipDataOffset(archive, entry);
  const name = entryName(archive, entry);
  if (entry.method === STORED && entry.size === entry.compressedSize)
    return {
      name,
      size: entry.size,
      async read(offset, length) {
        checkRange(name, entry.size, offset, length);
        return archive.read(start + offset, length);
      },
      close: () => archive.close(),
    };
  if (entry.method !== DEFLATED)
    throw new EdgeformerError(
      "unsupported_model",
      `${name} is encrypted or packed with method ${entry.method}; unpack the archive and give the file`,
    );
  if (entry.size > entry.compressedSize * MAX_RATIO)
    throw damaged(archive, entry, `it claims to unpack to ${entry.size} bytes`);
  return unpack(archive, entry, start, options);
}

function entryName(archive: ByteSource, entry: ZipEntry): string {
  return `${archive.name}/${quotedName(entry.name)}`;
}

function damaged(archive: ByteSource, entry: ZipEntry, message: string, cause?: unknown): EdgeformerError {
  return new EdgeformerError(
    "invalid_model",
    `${entryName(archive, entry)}: ${message}; the archive is damaged, download it again`,
    { cause },
  );
}

async function unpack(
  archive: ByteSource,
  entry: ZipEntry,
  start: number,
  { directory = tmpdir(), onProgress, signal }: ArchiveOptions,
): Promise<ByteSource> {
  const path = join(directory, `edgeformer-${randomUUID()}`);
  const handle = await open(path, "wx+");
  const close = async () => {
    await handle.close();
    await rm(path, { force: true });
  };
  try {
    // An open file without a name goes away even if the process is killed. Windows does not allow it: `close` does.
    await rm(path).catch(() => {});
    await inflate(archive, entry, start, handle, onProgress, signal);
    const file = await handleSource(handle, entryName(archive, entry));
    return {
      ...file,
      async close() {
        await Promise.all([close(), archive.close()]);
      },
    };
  } catch (error) {
    await close();
    if (signal?.aborted)
      throw new EdgeformerError("aborted", "interrupted; nothing was written", { cause: error });
    throw error;
  }
}

async function inflate(
  archive: ByteSource,
  entry: ZipEntry,
  start: number,
  handle: FileHandle,
  onProgress: ArchiveOptions["onProgress"],
  signal: AbortSignal | undefined,
): Promise<void> {
  async function* packed() {
    for (let at = 0; at < entry.compressedSize; at += CHUNK_BYTES)
      yield archive.read(start + at, Math.min(CHUNK_BYTES, entry.compressedSize - at));
  }
  let [done, sum] = [0, 0];
  /** What `write` failed with: the pipeline may say only that it was stopped. */
  let failure: unknown;
  const write = async (chunks: AsyncIterable<Uint8Array>) => {
    try {
      for await (const chunk of chunks) {
        if (done + chunk.length > entry.size)
          throw damaged(archive, entry, `it is longer than the ${entry.size} bytes that it claims`);
        for (let at = 0; at < chunk.length; ) at += (await handle.write(chunk, at)).bytesWritten;
        sum = crc32(chunk, sum);
        done += chunk.length;
        onProgress?.(entry.name, done, entry.size);
      }
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  try {
    await pipeline(Readable.from(packed()), createInflateRaw({ chunkSize: CHUNK_BYTES }), write, {
      ...(signal && { signal }),
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith("Z_")) throw damaged(archive, entry, "it cannot be unpacked", error);
    throw failure ?? error;
  }
  if (done !== entry.size)
    throw damaged(archive, entry, `it ends after ${done} of the ${entry.size} bytes that it claims`);
  if (sum !== entry.crc32) throw damaged(archive, entry, "its checksum is wrong");
}
