import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { archivedSource } from "../../src/convert/formats/archive.ts";
import { openGguf } from "../../src/convert/formats/gguf.ts";
import { memorySource } from "../../src/convert/inputs/bytes.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { ggufFile } from "./gguf-writer.ts";
import { type ZipFile, zipArchive } from "./zip-writer.ts";

const directory = mkdtempSync(join(tmpdir(), "edgeformer-archive-"));
afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => expect(readdirSync(directory)).toEqual([]));

const gguf = ggufFile({
  tensors: [
    {
      name: "a",
      dimensions: [1 << 18],
      type: 0,
      data: new Uint8Array(new Float32Array(1 << 18).fill(3).buffer),
    },
  ],
});
const other: ZipFile = { name: "METADATA", content: new TextEncoder().encode("Name: wheel"), deflate: true };

function open(files: ZipFile[], options: Parameters<typeof archivedSource>[2] = {}) {
  return archivedSource(memorySource(zipArchive(files), "model.whl"), ".gguf", { directory, ...options });
}

describe("the only GGUF file of an archive", () => {
  test.each([false, true])("is read, deflated: %s", async (deflate) => {
    const progress: [string, number, number][] = [];
    const source = await open([other, { name: "p/model.gguf", content: gguf, deflate }], {
      onProgress: (...step) => progress.push(step),
    });
    expect(source.name).toBe("model.whl/p/model.gguf");
    expect(source.size).toBe(gguf.length);
    expect(await source.read(100, 5000)).toEqual(gguf.slice(100, 5100));
    await expect(source.read(gguf.length - 1, 2)).rejects.toThrow("the file is truncated");
    const checkpoint = await openGguf(source);
    expect(await checkpoint.tensors.get("a")!.read(5, 2)).toEqual(Float32Array.of(3, 3));
    await checkpoint.close();
    expect(progress.at(-1)).toEqual(deflate ? ["p/model.gguf", gguf.length, gguf.length] : undefined);
  });

  const good: ZipFile = { name: "model.gguf", content: gguf, deflate: true };
  test.each<[string, ZipFile[], string]>([
    ["no such file", [other], "model.whl: the archive has no .gguf file"],
    [
      "two of them",
      [good, { ...good, name: "b.gguf" }],
      "model.whl: the archive has 2 .gguf files (model.gguf, b.gguf)",
    ],
    [
      "another method",
      [{ ...good, method: 14 }],
      "model.whl/model.gguf is encrypted or packed with method 14",
    ],
    [
      "data that is no deflate",
      [{ ...good, packed: new Uint8Array(3000).fill(0xff) }],
      "it cannot be unpacked",
    ],
    [
      "data that is cut off",
      [{ ...good, packed: zipArchive([good]).slice(40, 1000) }],
      "model.whl/model.gguf: it ",
    ],
    ["more than it claims", [{ ...good, size: 5000 }], "it is longer than the 5000 bytes that it claims"],
    ["less than it claims", [{ ...good, size: gguf.length + 1 }], `it ends after ${gguf.length} of the`],
    ["a claim of gigabytes", [{ ...good, size: 0xfffffff0 }], "it claims to unpack to 4294967280 bytes"],
    ["a wrong checksum", [{ ...good, crc32: 1 }], "its checksum is wrong"],
    [
      "a stored file that is longer than the archive",
      [{ ...good, deflate: false, size: 1 << 30 }],
      "model.gguf is damaged or truncated",
    ],
  ])("%s is one clear line", async (_, files, message) => {
    const error = await open(files).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(EdgeformerError);
    expect((error as Error).message).toContain(message);
  });

  test("unpacking can be interrupted", async () => {
    const controller = new AbortController();
    await expect(
      open([good], { signal: controller.signal, onProgress: () => controller.abort() }),
    ).rejects.toMatchObject({ code: "aborted" });
  });
});
