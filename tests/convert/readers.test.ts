import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Checkpoint, elements } from "../../src/convert/formats/checkpoint.ts";
import { halfToFloat, isFloatDtype, toFloat32 } from "../../src/convert/formats/dtype.ts";
import { readPickle } from "../../src/convert/formats/pickle.ts";
import { openSafetensors } from "../../src/convert/formats/safetensors.ts";
import { openTorch } from "../../src/convert/formats/torch.ts";
import { memorySource } from "../../src/convert/inputs/bytes.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { safetensorsFile } from "./checkpoints.ts";
import { zipArchive } from "./zip-writer.ts";

const VARIANTS = join(import.meta.dirname, "../fixtures/variants");
const FILES = {
  safetensors: {
    open: openSafetensors,
    bytes: readFileSync(join(VARIANTS, "gpt2-prefixed/model.safetensors")),
  },
  "zip pickle": { open: openTorch, bytes: readFileSync(join(VARIANTS, "gpt2-zip-pickle/pytorch_model.bin")) },
  "legacy pickle": {
    open: openTorch,
    bytes: readFileSync(join(VARIANTS, "gpt2-legacy-pickle/pytorch_model.bin")),
  },
};

/** Reads every small tensor of weights; anything but a typed error escapes. */
async function readAll(open: typeof openSafetensors, bytes: Uint8Array): Promise<boolean> {
  try {
    const checkpoint: Checkpoint = await open(memorySource(bytes, "fuzzed"));
    for (const tensor of checkpoint.tensors.values())
      if (isFloatDtype(tensor.dtype) && elements(tensor.shape) <= 100_000)
        await tensor.read(0, elements(tensor.shape));
    return true;
  } catch (error) {
    if (!(error instanceof EdgeformerError)) throw error;
    expect(["invalid_model", "unsupported_model"]).toContain(error.code);
    return false;
  }
}

describe.each(Object.entries(FILES))("a damaged %s file", (_, { open, bytes }) => {
  test("is read whole when it is whole", async () => {
    expect(await readAll(open, bytes)).toBe(true);
  });

  test("is refused wherever it is cut off", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), async (length) => {
        expect(await readAll(open, bytes.subarray(0, length))).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  test("gives a typed error or tensors, whatever bytes are changed", async () => {
    // Most of the structure is at either end.
    const place = fc.oneof(
      fc.nat(4000),
      fc.integer({ min: bytes.length - 4000, max: bytes.length - 1 }),
      fc.nat(bytes.length - 1),
    );
    const change = fc.record({ place, value: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const damaged = Uint8Array.from(bytes);
        for (const { place, value } of changes) damaged[place] = value;
        await readAll(open, damaged);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a lying safetensors header", () => {
  const bytes = new Uint8Array(16);
  const two = {
    a: { dtype: "F32", shape: [2], bytes: bytes.subarray(8) },
    b: { dtype: "F32", shape: [2], bytes: bytes.subarray(8) },
  };
  const entry = (begin: number, end: number, shape: unknown = [2], dtype: unknown = "F32") => ({
    dtype,
    shape,
    data_offsets: [begin, end],
  });
  test.each<[string, unknown, string]>([
    ["offsets out of range", { a: entry(0, 8), b: entry(8, 24, [4]) }, "claims bytes"],
    ["overlapping tensors", { a: entry(0, 8), b: entry(4, 12), c: entry(12, 16, [1]) }, "overlaps"],
    ["a gap", { a: entry(0, 8), b: entry(12, 16, [1]) }, "belong to no tensor"],
    ["bytes left over", { a: entry(0, 8) }, "end at byte 8 of 16"],
    ["a shape that needs other bytes", { a: entry(0, 8, [3]), b: entry(8, 16) }, "needs 12"],
    ["an unknown dtype", { a: entry(0, 16, [2], "Q4") }, 'unknown dtype "Q4"'],
    ["half a byte", { a: entry(0, 16, [33], "F4") }, "needs 16.5"],
    ["too many dimensions", { a: entry(0, 16, new Array(65).fill(1)) }, "no valid shape"],
    ["a dtype from the prototype", { a: entry(0, 16, [2], "constructor") }, "unknown dtype"],
    ["a negative size", { a: entry(0, 16, [-2, -2]) }, "no valid shape"],
    ["a fraction of an offset", { a: entry(0, 16.5) }, "data_offsets"],
    ["offsets the wrong way round", { a: entry(16, 0) }, "claims bytes"],
    ["no entry but null", { a: null }, "unknown dtype"],
    ["a list", [], "not an object"],
  ])("with %s", async (_, header, message) => {
    const file = safetensorsFile(two, header);
    await expect(openSafetensors(memorySource(file, "x"))).rejects.toThrow(message);
  });

  test("of a length that the file does not have, or no JSON", async () => {
    const file = safetensorsFile(two);
    file.writeBigUInt64LE(2n ** 63n);
    await expect(openSafetensors(memorySource(file, "x"))).rejects.toThrow(
      "claims 9223372036854775808 bytes",
    );
    const broken = safetensorsFile(two);
    broken[8] = 0xff;
    await expect(openSafetensors(memorySource(broken, "x"))).rejects.toThrow("not JSON");
  });

  test("never escapes as another error", async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (header) => {
        await readAll(openSafetensors, safetensorsFile(two, header));
      }),
      { numRuns: 200 },
    );
  });
});

describe("a dtype that weights cannot have", () => {
  const bytes = new Uint8Array(16);
  test.each([
    ["F8_E4M3", [16]],
    ["F8_E5M2", [16]],
    ["F8_E8M0", [16]],
    ["F4", [32]],
    ["F6_E2M3", [21, 1], 12],
    ["I8", [16]],
    ["U8", [16]],
  ])("%s is no damage, and refused by name when it is read", async (dtype, shape, end = 16) => {
    const data_offsets = [0, end];
    if (dtype === "F6_E2M3") shape = [16];
    const file = safetensorsFile(
      { a: { dtype, shape, bytes: bytes.subarray(0, end) } },
      { a: { dtype, shape, data_offsets } },
    );
    const { tensors } = await openSafetensors(memorySource(file, "x"));
    expect(tensors.get("a")!.dtype).toBe(dtype);
    await expect(tensors.get("a")!.read(0, 1)).rejects.toMatchObject({
      code: "unsupported_model",
      message: `x: tensor a is ${dtype}: the checkpoint is quantized already; take the one that it was made from; weights must be one of F32, F16, BF16, F64`,
    });
  });

  test.each(["C64", "I64", "BOOL"])("%s is not taken for quantized", async (dtype) => {
    const shape = [dtype === "BOOL" ? 16 : 2];
    const { tensors } = await openSafetensors(
      memorySource(safetensorsFile({ a: { dtype, shape, bytes } }), "x"),
    );
    await expect(tensors.get("a")!.read(0, 1)).rejects.toThrow(`a is ${dtype}; weights must be`);
  });
});

/** Runs what must fail, within two seconds of work and 300 MB. */
async function refused(run: () => Promise<unknown>): Promise<string> {
  const [start, before] = [process.cpuUsage(), process.memoryUsage().rss];
  const message = await run().then(
    () => expect.unreachable("it was read"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(EdgeformerError);
      return (error as Error).message;
    },
  );
  const { user, system } = process.cpuUsage(start);
  expect(user + system).toBeLessThan(2e6);
  expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
  expect(message.length).toBeLessThan(500);
  return message;
}

describe("a file that is made to cost", () => {
  test("a safetensors header of 100 MB is refused for its size, one of 4 MB is read", async () => {
    const header = Buffer.alloc(99_000_000, " ");
    header.write("{}");
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const large = Buffer.concat([length, header]);
    expect(await refused(() => openSafetensors(memorySource(large, "x")))).toContain(
      "its header has 99000000 bytes, and at most 4000000 are read",
    );
    large.writeBigUInt64LE(4_000_000n);
    const { tensors } = await openSafetensors(memorySource(large.subarray(0, 8 + 4_000_000), "x"));
    expect(tensors.size).toBe(0);
  });

  test.each([
    ["lists", "["],
    ["objects", '{"a":'],
  ])("a safetensors header of nested %s is refused", async (_, opening) => {
    const header = Buffer.from(opening.repeat(Math.floor(3_999_000 / opening.length)));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const file = Buffer.concat([length, header]);
    await refused(() => openSafetensors(memorySource(file, "x")));
  });

  test("a safetensors header with a name of a megabyte does not repeat it", async () => {
    const entry = { dtype: "F32", shape: [3], data_offsets: [0, 8] };
    const file = safetensorsFile({}, { ["x".repeat(1_000_000)]: entry });
    await refused(() => openSafetensors(memorySource(file, "x")));
  });

  const bytes = (text: string) => Buffer.from(text, "latin1");
  test.each([
    ["dictionaries", "}"],
    ["lists", "]"],
    ["tuples", ")"],
    ["marks", "("],
    ["names", "\x8c\x01a"],
    ["numbers", "K\x01"],
    ["remembered values", "h\x00"],
    ["values to remember", "\x94"],
  ])("a pickle of %s without end is refused", async (_, piece) => {
    const pickle = Buffer.alloc(20_000_000, bytes(piece));
    const start = bytes("\x80\x02}q\x00");
    await refused(async () => readPickle(Buffer.concat([start, pickle]), 0, "x"));
    const archive = zipArchive([{ name: "a/data.pkl", content: Buffer.concat([start, pickle]) }]);
    expect(await refused(() => openTorch(memorySource(archive, "x")))).toContain(
      "data.pkl has 20000005 bytes",
    );
    const legacy = Buffer.concat([
      bytes("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02"),
      start.subarray(2),
      pickle,
    ]);
    await refused(() => openTorch(memorySource(legacy, "x")));
  });

  test("a whole number in a pickle has 16 bytes at most", async () => {
    const number = (length: number) =>
      bytes(`\x80\x02\x8a${String.fromCharCode(length)}${"\x01".repeat(length)}.`);
    expect(readPickle(number(16), 0, "x").value).toBe(((2n ** 128n - 1n) / 255n).toString());
    await refused(async () => readPickle(number(17), 0, "x"));
  });

  test("a tensor that repeats its storage is refused", async () => {
    const number = (value: number) => {
      const bytes = Buffer.alloc(5);
      bytes[0] = 0x4a;
      bytes.writeInt32LE(value, 1);
      return bytes.toString("latin1");
    };
    const storage = `(\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpu${number(4)}tQ`;
    const tensor = (shape: number[], strides: number[]) =>
      bytes(
        `\x80\x02}\x8c\x01actorch._utils\n_rebuild_tensor_v2\n(${storage}K\x00(${shape.map(number).join("")}t(${strides.map(number).join("")}t\x89)tRs.`,
      );
    const open = (pickle: Buffer) =>
      openTorch(
        memorySource(
          zipArchive([
            { name: "a/data.pkl", content: pickle },
            { name: "a/data/0", content: new Uint8Array(16) },
          ]),
          "x",
        ),
      );
    expect((await open(tensor([2, 2], [1, 2]))).tensors.get("a")!.shape).toEqual([2, 2]);
    for (const [shape, strides] of [
      [
        [100_000, 100_000],
        [0, 0],
      ],
      [
        [2, 1_000_000],
        [1, 0],
      ],
      [
        [3, 2],
        [1, 1],
      ],
    ] as const)
      expect(await refused(() => open(tensor([...shape], [...strides])))).toContain(
        `a tensor has ${shape[0] * shape[1]} elements in a storage of 4`,
      );
  });

  test("tensors that share a storage are read, and refused where they are without number", async () => {
    const storage = "(\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpuM\xe8\x03tQ";
    const tensor = `ctorch._utils\n_rebuild_tensor_v2\n(${storage}K\x00M\xe8\x03\x85K\x01\x85\x89}tR`;
    const open = (count: number) => {
      const others = Array.from({ length: count }, (_, i) => `\x8c\x03${100 + i}h\x01s`);
      return openTorch(
        memorySource(
          zipArchive([
            { name: "a/data.pkl", content: bytes(`\x80\x02}\x8c\x01a${tensor}q\x01s${others.join("")}.`) },
            { name: "a/data/0", content: new Uint8Array(4000) },
          ]),
          "x",
        ),
      );
    };
    expect((await open(11)).tensors.size).toBe(12);
    expect(await refused(() => open(40))).toContain("more than 16 times the bytes of the file");
  });

  test("an archive with a directory of 50 MB is refused", async () => {
    const archive = Buffer.from(zipArchive([{ name: "a/data.pkl", content: new Uint8Array(1) }]));
    const padded = Buffer.concat([Buffer.alloc(50_000_000), archive]);
    padded.writeUInt32LE(50_000_000, padded.length - 10);
    await refused(() => openTorch(memorySource(Buffer.concat([bytes("PK\x03\x04"), padded]), "x")));
  });
});

describe("a pickle that is a program", () => {
  const read = (text: string) => () => readPickle(Buffer.from(text, "latin1"), 0, "evil.bin");

  test.each([
    ["os.system", "\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R."],
    ["builtins.eval", "\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R."],
    ["torch.hub.load", "\x80\x02ctorch.hub\nload\n)R."],
    ["torch._utils.__reduce__", "\x80\x02ctorch._utils\n__reduce__\n)R."],
    ["torch.constructor", "\x80\x02ctorch\nconstructor\n)R."],
  ])("%s is named and not executed", (name, text) => {
    expect(read(text)).toThrow(`"${name}", which is no part of a tensor; nothing was executed`);
  });

  test.each([
    ["INST", "(ios\nsystem\n."],
    ["OBJ", "\x80\x02(o."],
    ["NEWOBJ", "\x80\x02)\x81."],
    ["EXT1", "\x80\x02\x82\x01."],
    ["NEXT_BUFFER", "\x80\x05\x97."],
  ])("the opcode %s is forbidden", (_, text) => {
    expect(read(text)).toThrow(/opcode 0x[0-9a-f]{2}, which tensors do not need/);
  });

  test.each([
    ["a storage called as a function", "\x80\x02ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage"],
    ["a storage that is none", "\x80\x02K\x01Q.", "no tensor storage"],
    ["a tensor without a storage", "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "makes no sense"],
    ["a stack that is empty", "\x80\x02R.", "damaged"],
    ["a memo that is empty", "\x80\x02h\x01.", "damaged"],
    ["no end", "\x80\x02}", "damaged"],
  ])("%s is refused", (_, text, message) => {
    expect(read(text)).toThrow(message);
  });
});

test("float16 and bfloat16 are read to the last bit", () => {
  const halves: [number, number][] = [
    [0x0000, 0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3c00, 1],
    [0x3555, 0.333251953125],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
  ];
  for (const [bits, value] of halves) expect(halfToFloat(bits)).toBe(value);
  expect(halfToFloat(0x7e00)).toBeNaN();
  expect(Object.is(halfToFloat(0x8000), -0)).toBe(true);
  const bytes = Uint8Array.of(0x80, 0x3f, 0x49, 0x40, 0x80, 0xff);
  expect([...toFloat32(bytes, "BF16")]).toEqual([1, 3.140625, Number.NEGATIVE_INFINITY]);
});
