import { describe, expect, test } from "vitest";
import { GROUP_COLUMNS } from "../../assembly/four-bit.ts";
import { type GgufCheckpoint, ggufSet, openGguf } from "../../src/convert/formats/gguf.ts";
import { memorySource } from "../../src/convert/inputs/bytes.ts";
import { bytesOf, type GgufParts, ggufFile } from "./gguf-writer.ts";

const { u32, text } = bytesOf;
const [UINT16, UINT32, STRING] = [2, 4, 8];

/** Blocks of one type, with float16 factors that are small and finite, of either sign. */
function blocks(count: number, size: number, factors: readonly number[]): Uint8Array {
  const bytes = Uint8Array.from({ length: count * size }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24);
  for (let block = 0; block < count; block++)
    for (const place of factors) bytes[block * size + place + 1]! &= 0xbf;
  return bytes;
}

describe("the file's own groups", () => {
  test.each<[string, number, number, number, number[]]>([
    ["Q4_0", 2, 32, 18, [0]],
    ["Q4_1", 3, 32, 20, [0, 2]],
    ["Q4_K", 12, 256, 144, [0, 2]],
    ["Q5_0", 6, 32, 22, [0]],
    ["Q8_0", 8, 32, 34, [0]],
  ])("of %s are its weights without any loss", async (dtype, type, blockSize, blockBytes, factors) => {
    const [rows, columns] = [7, 512];
    const data = blocks((rows * columns) / blockSize, blockBytes, factors);
    const file = ggufFile({ tensors: [{ name: "a", dimensions: [columns, rows], type, data }] });
    const { tensors } = await openGguf(memorySource(file, "model.gguf"));
    const tensor = tensors.get("a")!;
    expect(tensor).toMatchObject({ dtype, shape: [rows, columns] });
    const { codes, steps, minima, ...grouped } = await tensor.grouped!(2, 4);
    expect(grouped).toEqual({ rows: 4, columns, bits: dtype.startsWith("Q4") ? 4 : 8 });
    const values = Float32Array.from(codes, (code, i) => {
      const group = Math.floor(i / GROUP_COLUMNS);
      return steps[group]! * code + minima[group]!;
    });
    // Adding 0 makes −0 a 0, which a minimum that cancels the step is.
    expect(values).toEqual((await tensor.read(2 * columns, 4 * columns)).map((value) => value + 0));
    expect(Math.max(...codes)).toBe({ Q5_0: 15, Q8_0: 127 }[dtype] ?? 15);
  });

  test("other types have none, and steps that are not finite are refused", async () => {
    const infinite = new Uint8Array(34).fill(0x7c);
    const file = ggufFile({
      tensors: [
        { name: "a", dimensions: [4], type: 0, data: new Uint8Array(16) },
        { name: "b", dimensions: [32], type: 8, data: infinite },
      ],
    });
    const { tensors } = await openGguf(memorySource(file, "model.gguf"));
    expect(tensors.get("a")!.grouped).toBeUndefined();
    await expect(tensors.get("b")!.grouped!(0, 1)).rejects.toThrow(
      "model.gguf: tensor b holds NaN or infinite weights",
    );
  });
});

describe("a set of files", () => {
  const tensor = (name: string) => ({ name, dimensions: [1], type: 0, data: u32(0) });
  const part = (number: number, count: number, name: string, rest: GgufParts["values"] = []) =>
    ggufFile({
      values: [
        ["split.no", UINT16, Uint8Array.of(number, 0)],
        ["split.count", UINT16, Uint8Array.of(count, 0)],
        ["split.tensors.count", UINT32, u32(2)],
        ...rest,
      ],
      tensors: [tensor(name)],
    });
  const open = (...files: Uint8Array<ArrayBuffer>[]): Promise<GgufCheckpoint> =>
    openGguf(files.map((file, i) => memorySource(file, `part-${i + 1}`)));
  const first = part(0, 2, "a", [["general.name", STRING, text("model")]]);

  test("is one checkpoint with the first file's metadata", async () => {
    const { tensors, metadata } = await open(first, part(1, 2, "b"));
    expect([...tensors.keys()]).toEqual(["a", "b"]);
    expect(metadata.string("general.name")).toBe("model");
  });

  test.each<[string, Uint8Array<ArrayBuffer>[], string]>([
    ["a part alone", [first], "part-1: it says that it is part 1 of 2, but was opened as part 1 of 1"],
    [
      "a part twice",
      [first, part(0, 2, "b")],
      "part-2: it says that it is part 1 of 2, but was opened as part 2 of 2",
    ],
    ["a tensor twice", [first, part(1, 2, "a")], "part-2: tensor a is in an earlier file of the set, too"],
    [
      "a part of no set",
      [first, ggufFile({ tensors: [tensor("b")] })],
      "part-2: its name says that it is one of 2 files, but split.count does not",
    ],
    [
      "too few tensors",
      [ggufFile({ values: [["split.tensors.count", UINT32, u32(2)]], tensors: [tensor("a")] })],
      "part-1: split.tensors.count is 2, but there are 1 tensors",
    ],
  ])("%s is refused", async (_, files, message) => {
    await expect(open(...files)).rejects.toThrow(message);
  });

  test("is found by the name of any part", () => {
    const set = ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"];
    for (const name of set) expect(ggufSet(name)).toEqual(set);
    for (const name of ["m.gguf", "m-00001-of-00000.gguf", "m-1-of-2.gguf"])
      expect(ggufSet(name)).toEqual([name]);
  });
});
