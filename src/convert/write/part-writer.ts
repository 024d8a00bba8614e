import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { PartInfo } from "../../format/manifest.ts";

/** Writes a stream of bytes into files of at most `maxBytes`, each with its SHA-256. */
export class PartWriter {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #first: number;
  readonly #parts: PartInfo[] = [];
  #file: FileHandle | undefined;
  #hash: Hash | undefined;
  #bytes = 0;

  /** @param first number of the first file */
  constructor(directory: string, maxBytes: number, first = 0) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
    this.#first = first;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      if (this.#file === undefined) {
        this.#file = await open(join(this.#directory, this.#name()), "wx");
        this.#hash = createHash("sha256");
        this.#bytes = 0;
      }
      const piece = bytes.subarray(done, done + this.#maxBytes - this.#bytes);
      for (let written = 0; written < piece.length; )
        written += (await this.#file.write(piece, written)).bytesWritten;
      this.#hash?.update(piece);
      this.#bytes += piece.length;
      done += piece.length;
      if (this.#bytes === this.#maxBytes) await this.#finish();
    }
  }

  #name(): string {
    return `weights.${String(this.#first + this.#parts.length).padStart(2, "0")}.bin`;
  }

  async #finish(): Promise<void> {
    if (this.#file === undefined || this.#hash === undefined) return;
    const part = { file: this.#name(), bytes: this.#bytes, sha256: this.#hash.digest("hex") };
    await this.#file.sync();
    await this.#file.close();
    this.#file = undefined;
    this.#parts.push(part);
  }

  async end(): Promise<PartInfo[]> {
    await this.#finish();
    return this.#parts;
  }

  /** Closes without finishing, after a failure. */
  async abandon(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
