import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ModelSource } from "../../src/index.ts";
import { bundledModel } from "../../src/node/index.ts";

export type Files = Map<string, Uint8Array<ArrayBuffer>>;

export const PARTS = ["weights.00.bin", "weights.01.bin", "weights.02.bin", "weights.03.bin"];

/** The bundled model cut into four parts, the last one short, as larger models come. */
export async function fourParts(): Promise<Files> {
  const manifest = JSON.parse(await readFile(join(bundledModel(), "model.json"), "utf8"));
  const image = new Uint8Array(await readFile(join(bundledModel(), "weights.00.bin")));
  const size = Math.ceil(image.length / 3.5 / 64) * 64;
  const files: Files = new Map(PARTS.map((file, i) => [file, image.slice(i * size, (i + 1) * size)]));
  manifest.parts = Array.from(files, ([file, bytes]) => ({
    file,
    bytes: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  }));
  files.set("tokenizer.bin", new Uint8Array(await readFile(join(bundledModel(), "tokenizer.bin"))));
  return files.set("model.json", new TextEncoder().encode(JSON.stringify(manifest)));
}

export function flipped(bytes: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
}

/** A source that hands out one buffer again and again, and keeps a record of what happens to its files. */
export class FakeSource implements ModelSource {
  readonly name = "fake";
  readonly record: string[] = [];
  /** Files that are open now. */
  readonly stillOpen = new Set<string>();
  mostOpen = 0;

  constructor(
    private readonly files: Files,
    private readonly chunkBytes = 100_000,
    /** Called before each chunk of a file. */
    private readonly before: (file: string, chunk: number) => Promise<void> | void = () => {},
  ) {}

  async open(file: string): Promise<AsyncIterable<Uint8Array>> {
    const bytes = this.files.get(file);
    this.record.push(`open ${file}`);
    if (!bytes) throw new Error("no such file");
    this.stillOpen.add(file);
    this.mostOpen = Math.max(this.mostOpen, this.stillOpen.size);
    const buffer = new Uint8Array(this.chunkBytes);
    let at = 0;
    const close = () => {
      if (this.stillOpen.delete(file)) this.record.push(`close ${file}`);
    };
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          await this.before(file, at / this.chunkBytes);
          if (at >= bytes.length) {
            close();
            return { done: true, value: undefined };
          }
          if (at === 0) this.record.push(`read ${file}`);
          const chunk = bytes.subarray(at, at + this.chunkBytes);
          buffer.fill(0xff);
          buffer.set(chunk);
          at += this.chunkBytes;
          return { done: false, value: buffer.subarray(0, chunk.length) };
        },
        return: async () => {
          close();
          return { done: true, value: undefined };
        },
      }),
    };
  }
}
