import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { elements } from "../../src/convert/formats/checkpoint.ts";
import { openGguf } from "../../src/convert/formats/gguf.ts";
import { ggufType } from "../../src/convert/formats/gguf-types.ts";
import { fileSource } from "../../src/convert/inputs/bytes.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/gguf");
/** Made by generate.py beside it with the gguf package. */
const expected = JSON.parse(readFileSync(join(FIXTURES, "expected.json"), "utf8")) as {
  types: Record<string, string>;
  files: Record<string, Record<string, string>>;
};
const BLOCKS = 65536;
/** ggml's number, and where the float16 factors are in a block. */
const TYPES: Record<string, { type: number; factors: number[] }> = {
  F16: { type: 1, factors: [0] },
  BF16: { type: 30, factors: [] },
  Q4_0: { type: 2, factors: [0] },
  Q4_1: { type: 3, factors: [0, 2] },
  Q5_0: { type: 6, factors: [0] },
  Q5_1: { type: 7, factors: [0, 2] },
  Q8_0: { type: 8, factors: [0] },
  Q2_K: { type: 10, factors: [80, 82] },
  Q3_K: { type: 11, factors: [108] },
  Q4_K: { type: 12, factors: [0, 2] },
  Q5_K: { type: 13, factors: [0, 2] },
  Q6_K: { type: 14, factors: [208] },
};

function digest(values: Float32Array): string {
  return createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");
}

/** The same bytes as generate.py's: a hash of the place, and every finite float16 as a factor. */
function blocksOf(name: string, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BLOCKS * size);
  for (let i = 0; i < bytes.length; i++) {
    const mixed = Math.imul(i, 2654435761);
    bytes[i] = Math.imul(mixed ^ (mixed >>> 15), 2246822519) >>> 24;
  }
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < BLOCKS; block++) {
    if (name === "BF16")
      view.setUint16(block * size, (block & 0x7f80) === 0x7f80 ? block ^ 0x4000 : block, true);
    for (const [i, place] of TYPES[name]!.factors.entries()) {
      const bits = i === 0 ? block : Math.imul(block, 40503) & 0xffff;
      view.setUint16(block * size + place, (bits & 0x7c00) === 0x7c00 ? bits ^ 0x4000 : bits, true);
    }
  }
  return bytes;
}

describe("block types are dequantized to the bit as the gguf package does", () => {
  test.each(Object.keys(TYPES))("%s, with every finite float16 factor", (name) => {
    const { blockSize, blockBytes, dequantize, ...type } = ggufType(TYPES[name]!.type, "a", "model.gguf");
    expect(type.name).toBe(name);
    const values = new Float32Array(BLOCKS * blockSize);
    dequantize(blocksOf(name, blockBytes), values);
    expect(digest(values)).toBe(expected.types[name]);
  });
});

describe("a GGUF file's tensors", () => {
  test.each(Object.keys(expected.files))("%s", async (file) => {
    const checkpoint = await openGguf(await fileSource(join(FIXTURES, file)));
    try {
      const hashes = Object.entries(expected.files[file]!);
      expect([...checkpoint.tensors.keys()].sort()).toEqual(hashes.map(([name]) => name).sort());
      for (const [name, hash] of hashes) {
        const tensor = checkpoint.tensors.get(name)!;
        const values = await tensor.read(0, elements(tensor.shape));
        expect(digest(values), name).toBe(hash);
        const [start, count] = [Math.floor(values.length / 3), Math.floor(values.length / 5)];
        expect(await tensor.read(start, count)).toEqual(values.slice(start, start + count));
      }
    } finally {
      await checkpoint.close();
    }
  });
});
