import { describe, expect, test } from "vitest";
import { readGgufHeader } from "../../src/convert/formats/gguf-header.ts";
import { memorySource } from "../../src/convert/inputs/bytes.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { mutateGguf } from "./gguf-mutations.ts";
import { bytesOf, type GgufParts, ggufFile } from "./gguf-writer.ts";

const { u8, u32, u64, f32, text, array } = bytesOf;
const [UINT8, UINT32, FLOAT32, BOOL, STRING, ARRAY, UINT64] = [0, 4, 6, 7, 8, 9, 10];
const HUGE = 1n << 60n;

function read(parts: GgufParts) {
  return readGgufHeader(memorySource(ggufFile(parts), "model.gguf"));
}

/** A tensor of `rows` × 32 in Q8_0. */
function tensor(name: string, rows = 1) {
  return { name, dimensions: [32, rows] as (number | bigint)[], type: 8, data: new Uint8Array(34 * rows) };
}

describe("the header of a GGUF file", () => {
  test.each([2, 3])("is read in version %d", async (version) => {
    const header = await read({
      version,
      values: [
        ["general.architecture", STRING, text("llama")],
        ["llama.block_count", UINT32, u32(30)],
        ["epsilon", FLOAT32, f32(0.5)],
        ["yes", BOOL, u8(1)],
        ["wide", UINT64, u64(7)],
        ["wider", UINT64, u64(HUGE + 1n)],
        ["tokens", ARRAY, array(STRING, ["Ġa", "", "\ufeffé", "\ufffd"].map(text))],
        ["types", ARRAY, array(FLOAT32, [f32(1), f32(-2)])],
        ["general.alignment", UINT32, u32(64)],
      ],
      tensors: [tensor("a.weight", 3), tensor("b.weight")],
      alignment: 64,
    });
    expect(header.version).toBe(version);
    const { metadata } = header;
    expect(metadata.string("general.architecture")).toBe("llama");
    expect(metadata.integer("llama.block_count")).toBe(30);
    expect(metadata.number("epsilon")).toBe(0.5);
    expect(metadata.boolean("yes")).toBe(true);
    expect(metadata.get("wide")).toBe(7);
    expect(metadata.get("wider")).toBe(HUGE + 1n);
    expect(metadata.strings("tokens")).toEqual(["Ġa", "", "\ufeffé", "\ufffd"]);
    expect(metadata.numbers("types")).toEqual(Float32Array.of(1, -2));
    expect(metadata.string("missing")).toBeUndefined();
    const [a, b] = [...header.tensors.values()];
    expect(a).toMatchObject({ name: "a.weight", shape: [3, 32], type: 8, bytes: 102 });
    expect(b).toMatchObject({ shape: [1, 32], offset: a!.offset + 128, bytes: 34 });
    expect(a!.offset % 64).toBe(0);
  });

  test("is read through a source in few pieces, and nothing behind it", async () => {
    const tokens = Array.from({ length: 150_000 }, (_, i) => text(`Ġtoken ${i}`));
    const file = ggufFile({
      values: [["tokens", ARRAY, array(STRING, tokens)]],
      tensors: [{ ...tensor("a", 100_000) }],
    });
    const source = memorySource(file, "model.gguf");
    const reads: [number, number][] = [];
    const { metadata } = await readGgufHeader({
      ...source,
      read(offset, length) {
        reads.push([offset, length]);
        return source.read(offset, length);
      },
    });
    expect(metadata.strings("tokens")?.at(-1)).toBe("Ġtoken 149999");
    expect(reads.length).toBeLessThanOrEqual(4);
    expect(Math.max(...reads.map(([offset, length]) => offset + length))).toBeLessThan(4.5e6);
  });

  test("says which value has the wrong type", async () => {
    const { metadata } = await read({
      values: [
        ["count", FLOAT32, f32(1.5)],
        ["name", ARRAY, array(UINT8, [u8(1)])],
      ],
    });
    expect(() => metadata.integer("count")).toThrow("model.gguf: count is 1.5, not an integer");
    expect(() => metadata.string("name")).toThrow("model.gguf: name is an array of 1, not a text");
    expect(() => metadata.required("llama.block_count", metadata.integer)).toThrow(
      "model.gguf: the key llama.block_count is missing",
    );
  });
});

describe("a bad header is one clear line", () => {
  const good = tensor("a");
  const bad: [string, GgufParts | Uint8Array<ArrayBuffer>, string][] = [
    ["an empty file", new Uint8Array(0), "truncated: it ends at byte 0"],
    ["another magic", { magic: "GGML" }, 'not a GGUF file: it starts with "GGML"'],
    ["version 1", { version: 1 }, "GGUF version 1 cannot be read"],
    ["version 4", { version: 4 }, "GGUF version 4 cannot be read"],
    ["big-endian", { version: 0x03000000 }, "a big-endian file cannot be read"],
    ["2^60 keys", { keyCount: HUGE }, `it claims ${HUGE} keys`],
    ["2^60 tensors", { tensorCount: HUGE }, `it claims ${HUGE} tensors`],
    ["more keys than there are", { keyCount: 1n }, "truncated: it ends at byte 32"],
    ["a text of 2^60 bytes", { values: [["k", STRING, u64(HUGE)]] }, `k claims to be ${HUGE} bytes long`],
    ["a text that is cut off", { values: [["k", STRING, u64(999)]] }, "it ends at byte 64, in k"],
    [
      "an array of 2^60 texts",
      { values: [["k", ARRAY, array(STRING, [], HUGE)]] },
      `k claims ${HUGE} elements`,
    ],
    [
      "an array of 2^60 numbers",
      { values: [["k", ARRAY, array(UINT8, [], HUGE)]] },
      `k claims ${HUGE} elements`,
    ],
    [
      "an array longer than the file",
      { values: [["k", ARRAY, array(UINT32, [], 1000)]] },
      "k claims 1000 elements, but the file ends before them",
    ],
    [
      "a text of 2^60 bytes in an array",
      { values: [["k", ARRAY, array(STRING, [text("a"), u64(HUGE)])]] },
      `k[1] claims to be ${HUGE} bytes long`,
    ],
    ["an array of arrays", { values: [["k", ARRAY, array(ARRAY, [])]] }, "k is an array of arrays"],
    ["an unknown value type", { values: [["k", 13, u32(0)]] }, "k has the unknown value type 13"],
    [
      "an array of an unknown value type",
      { values: [["k", ARRAY, array(77, [])]] },
      "k is an array of the unknown value type 77",
    ],
    ["a boolean of 2", { values: [["k", BOOL, u8(2)]] }, "k is neither true nor false, but 2"],
    [
      "a boolean of 2 in an array",
      { values: [["k", ARRAY, array(BOOL, [u8(1), u8(2)])]] },
      "k has an element that is neither true nor false",
    ],
    [
      "a key twice",
      {
        values: [
          ["k", UINT32, u32(0)],
          ["k", UINT32, u32(0)],
        ],
      },
      "the key k is there twice",
    ],
    ["a key with a line break", { values: [["a\nb", 13, u32(0)]] }, '"a\\nb" has the unknown value type 13'],
    [
      "a key that is no UTF-8",
      { values: [[Uint8Array.of(0xff), UINT32, u32(0)]] },
      "the name of key 0 is not UTF-8",
    ],
    [
      "a text that is no UTF-8",
      { values: [["k", STRING, text(Uint8Array.of(0x61, 0xc3))]] },
      'k is not UTF-8: "a\ufffd"',
    ],
    [
      "a token that is no UTF-8",
      { values: [["k", ARRAY, array(STRING, [text("a"), text(Uint8Array.of(0xed, 0xa0, 0x80))])]] },
      "k[1] is not UTF-8",
    ],
    [
      "a key without end",
      { values: [["k".repeat(2000), UINT32, u32(0)]] },
      "the name of key 0 has 2000 characters",
    ],
    [
      "an alignment of 48",
      { values: [["general.alignment", UINT32, u32(48)]] },
      "general.alignment is 48, not a power of two",
    ],
    [
      "an alignment that is a text",
      { values: [["general.alignment", STRING, text("32")]] },
      'general.alignment is "32", not an integer',
    ],
    ["a tensor twice", { tensors: [good, good] }, "tensor a is there twice"],
    ["no dimensions", { tensors: [{ ...good, dimensions: [] }] }, "tensor a has 0 dimensions"],
    [
      "five dimensions",
      { tensors: [{ ...good, dimensions: [32, 1, 1, 1, 1] }] },
      "tensor a has 5 dimensions",
    ],
    ["a dimension of 0", { tensors: [{ ...good, dimensions: [32, 0] }] }, "tensor a has a dimension of 0"],
    [
      "a dimension of 2^60",
      { tensors: [{ ...good, dimensions: [HUGE] }] },
      `tensor a has a dimension of ${HUGE}`,
    ],
    [
      "a product of 2^80",
      { tensors: [{ ...good, dimensions: [1n << 40n, 1n << 40n] }] },
      "tensor a has a shape of [1099511627776,1099511627776], too many elements",
    ],
    [
      "rows that are no whole blocks",
      { tensors: [{ ...good, dimensions: [40, 4] }] },
      "tensor a has rows of 40 elements, no multiple of Q8_0's 32",
    ],
    ["an unknown type", { tensors: [{ ...good, type: 999 }] }, "tensor a has the unknown type 999"],
    [
      "IQ4_XS",
      { tensors: [{ ...good, type: 23 }] },
      "tensor a is IQ4_XS, which cannot be read; download the model's Q4_K_M",
    ],
    ["TQ1_0", { tensors: [{ ...good, type: 34 }] }, "tensor a is TQ1_0, which"],
    ["MXFP4", { tensors: [{ ...good, type: 39 }] }, "tensor a is MXFP4, which"],
    [
      "an unaligned offset",
      { tensors: [{ ...good, offset: 16n }] },
      "tensor a starts at byte 16, no multiple of 32",
    ],
    [
      "an offset of 2^60",
      { tensors: [{ ...good, offset: HUGE }] },
      "tensor a claims 34 bytes from byte 1152921504606847",
    ],
    [
      "tensors that overlap",
      { tensors: [tensor("a", 2), { ...tensor("b"), offset: 64n }] },
      "tensor b overlaps another one",
    ],
  ];

  test.each(bad)("%s", async (_, parts, message) => {
    const file = parts instanceof Uint8Array ? parts : ggufFile(parts);
    const error = await readGgufHeader(memorySource(file, "model.gguf")).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(EdgeformerError);
    expect((error as Error).message).toContain("model.gguf: ");
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toMatch(/\n/);
  });

  test("a file cut off at any byte", async () => {
    const file = ggufFile({
      values: [
        ["a", STRING, text("text")],
        ["b", ARRAY, array(STRING, [text("c")])],
        ["d", ARRAY, array(UINT32, [u32(1)])],
      ],
      tensors: [tensor("e"), tensor("f", 2)],
    });
    const dataEnd = file.length - 28; // what pads the last tensor's 68 bytes to 96
    for (let length = 0; length < dataEnd; length++)
      await expect(
        readGgufHeader(memorySource(file.subarray(0, length), "model.gguf")),
        `${length} bytes`,
      ).rejects.toBeInstanceOf(EdgeformerError);
    await readGgufHeader(memorySource(file.subarray(0, dataEnd), "model.gguf"));
  });
});

test("mutations of a file are read or refused with a typed error", () => mutateGguf(19, 500));
