import { type FileHandle, open, stat } from "node:fs/promises";
import { EdgeformerError } from "../../errors.ts";

/** A file that is read in pieces, so that a checkpoint larger than memory can be converted. */
export interface ByteSource {
  /** What to call it in errors. */
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes from `offset` on, in a buffer of their own. Rejects if they are not there. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** A clone without git-lfs has these in place of large files (the Git LFS specification: below 1,024 bytes). */
const LFS_POINTER = "version https://git-lfs.github.com/spec/v1";
const MAX_POINTER_BYTES = 1024;

/**
 * A file on disk.
 *
 * @throws EdgeformerError `invalid_model` if it is something else, such as a pipe, or stands for a file that is not there
 */
export async function fileSource(path: string, name = path): Promise<ByteSource> {
  // Before it is opened: that alone waits for whoever writes into a pipe.
  if (!(await stat(path)).isFile())
    throw new EdgeformerError("invalid_model", `${name}: neither a file nor a directory`);
  const source = await handleSource(await open(path, "r"), name);
  try {
    await refusePointer(source);
    return source;
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function refusePointer(source: ByteSource): Promise<void> {
  if (source.size < LFS_POINTER.length || source.size > MAX_POINTER_BYTES) return;
  const start = new TextDecoder().decode(await source.read(0, LFS_POINTER.length));
  if (start === LFS_POINTER)
    throw new EdgeformerError(
      "invalid_model",
      `${source.name}: a Git LFS pointer and not the file that it stands for; run "git lfs pull" where it was cloned, or give the model's id on the hub`,
    );
}

/**
 * The bytes of a file that is read whole.
 *
 * @throws EdgeformerError `invalid_model` if it is larger than `maximum`; as `fileSource` does
 */
export async function readWhole(
  path: string,
  name: string,
  maximum: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const source = await fileSource(path, name);
  try {
    if (source.size > maximum)
      throw new EdgeformerError(
        "invalid_model",
        `${name}: it has ${source.size} bytes, and at most ${maximum} are read`,
      );
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}

/** A file that is open. The source owns the handle and closes it. */
export async function handleSource(handle: FileHandle, name: string): Promise<ByteSource> {
  const { size } = await handle.stat();
  return {
    name,
    size,
    async read(offset, length) {
      checkRange(name, size, offset, length);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0)
          throw new EdgeformerError("io", `${name}: the file became shorter while it was read`);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

/** Bytes that are already in memory. */
export function memorySource(bytes: Uint8Array, name: string): ByteSource {
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      checkRange(name, bytes.length, offset, length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
    async close() {},
  };
}

/** @throws EdgeformerError `invalid_model` if a file of `size` bytes does not have these */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > size)
    throw new EdgeformerError(
      "invalid_model",
      `${name}: the file is truncated: it ends at byte ${size}, but byte ${offset + length} is needed; download it again`,
    );
}
