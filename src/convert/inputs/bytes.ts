import { type FileHandle, open } from "node:fs/promises";
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

/** A file on disk. */
export async function fileSource(path: string, name = path): Promise<ByteSource> {
  return handleSource(await open(path, "r"), name);
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
