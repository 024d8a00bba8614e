import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { convert } from "../../src/convert/convert.ts";
import { elements } from "../../src/convert/formats/checkpoint.ts";
import { openGguf } from "../../src/convert/formats/gguf.ts";
import { memorySource } from "../../src/convert/inputs/bytes.ts";
import { toIntegerGroups } from "../../src/convert/quantize/from-grouped.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { smallModel } from "./gguf-model.ts";
import { bytesOf, concat, ggufFile } from "./gguf-writer.ts";

const { u32, u64, f32, text, array } = bytesOf;

/** A file of 1.6 KB with a value of every kind and a tensor of every group of types. */
function smallFile(): Uint8Array<ArrayBuffer> {
  const data = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => (i * 37) & 63);
  return ggufFile({
    values: [
      ["general.architecture", 8, text("llama")],
      ["general.alignment", 4, u32(32)],
      ["llama.rope.freq_base", 6, f32(10000)],
      ["tokenizer.ggml.tokens", 9, array(8, ["<s>", "Ġa", "\ufffd"].map(text))],
      ["tokenizer.ggml.scores", 9, array(6, [f32(-1), f32(-2), f32(0)])],
      ["tokenizer.ggml.add_bos_token", 7, Uint8Array.of(1)],
      ["split.tensors.count", 5, u32(6)],
      ["wide", 10, u64(1n << 40n)],
    ],
    tensors: [
      { name: "a", dimensions: [3, 2], type: 0, data: data(24) },
      { name: "b", dimensions: [5], type: 1, data: data(10) },
      { name: "c", dimensions: [32, 2], type: 3, data: data(40) },
      { name: "d", dimensions: [32, 3], type: 8, data: data(102) },
      { name: "e", dimensions: [256], type: 12, data: data(144) },
      { name: "f", dimensions: [256, 2], type: 14, data: data(420) },
    ],
  });
}

/** What can happen to a file: bytes changed, a word made huge, a piece repeated or left out, the end cut off. */
function mutation(length: number): fc.Arbitrary<(bytes: Uint8Array) => Uint8Array> {
  // The structure is at the front.
  const place = fc.oneof(fc.nat(length - 1), fc.nat(Math.floor(length / 2)));
  return fc.oneof(
    fc.tuple(place, fc.nat(255)).map(([at, value]) => (bytes: Uint8Array) => {
      bytes[at % bytes.length] = value;
      return bytes;
    }),
    fc
      .tuple(place, fc.constantFrom(0n, 1n, 1n << 20n, 1n << 31n, 1n << 40n, 1n << 60n, (1n << 64n) - 1n))
      .map(([at, value]) => (bytes: Uint8Array) => {
        bytes.set(u64(value).subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length));
        return bytes;
      }),
    fc.tuple(place, fc.nat(64), fc.nat(2)).map(
      ([at, size, times]) =>
        (bytes: Uint8Array) =>
          concat([
            bytes.subarray(0, at),
            ...Array.from({ length: times }, () => bytes.subarray(at, at + size)),
            bytes.subarray(at + size),
          ]),
    ),
    place.map((at) => (bytes: Uint8Array) => bytes.slice(0, at)),
  );
}

/** Reads all that a file holds. Whatever is wrong with it must be an EdgeformerError of one line. */
async function readAll(bytes: Uint8Array): Promise<void> {
  try {
    const checkpoint = await openGguf(memorySource(bytes, "model.gguf"));
    const total = [...checkpoint.tensors.values()].reduce((sum, { shape }) => sum + elements(shape), 0);
    // At most three elements a byte, so that memory is bounded by the file.
    if (total > bytes.length * 4) throw new Error(`${total} elements in ${bytes.length} bytes`);
    for (const { shape, read, grouped } of checkpoint.tensors.values()) {
      await read(0, elements(shape));
      const rows = elements(shape.slice(0, -1));
      if (grouped !== undefined) toIntegerGroups(await grouped(0, rows));
    }
    await checkpoint.close();
  } catch (error) {
    if (!(error instanceof EdgeformerError) || error.message.includes("\n")) throw error;
  }
}

/** Tries `count` mutations of `file`. Rejects with the first that `use` rejects. */
async function mutate(
  file: Uint8Array,
  seed: number,
  count: number,
  use: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(mutation(file.length), { minLength: 1, maxLength: 3 }), (mutations) =>
      use(mutations.reduce((bytes, change) => change(bytes), new Uint8Array(file) as Uint8Array)),
    ),
    { numRuns: count, seed },
  );
}

/** Tries `count` mutations of a small file. Rejects with the first that has another outcome than a typed error. */
export function mutateGguf(seed: number, count: number): Promise<void> {
  return mutate(smallFile(), seed, count, readAll);
}

/**
 * Converts `count` mutations of a small model. Rejects with the first that has another outcome than a model or a typed
 * error of one line with nothing left behind.
 *
 * @param directory an empty one, which is empty again in the end
 */
export function mutateConversion(seed: number, count: number, directory: string): Promise<void> {
  const source = join(directory, "small.gguf");
  const out = join(directory, "model");
  return mutate(ggufFile(smallModel()), seed, count, async (bytes) => {
    writeFileSync(source, bytes);
    try {
      await convert({ source, out });
      rmSync(out, { recursive: true });
    } catch (error) {
      if (!(error instanceof EdgeformerError) || error.message.includes("\n")) throw error;
    }
    rmSync(source);
    if (readdirSync(directory).length > 0)
      throw new Error(`left behind: ${readdirSync(directory).join(", ")}`);
  });
}
