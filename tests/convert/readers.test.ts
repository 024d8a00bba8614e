import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import { type Checkpoint, elements } from "../../src/convert/formats/checkpoint.ts";
import { halfToFloat, isFloatDtype, toFloat32 } from "../../src/convert/formats/dtype.ts";
import { readPickle } from "../../src/convert/formats/pickle.ts";
import { openSafetensors } from "../../src/convert/formats/safetensors.ts";
import { openTorch } from "../../src/convert/formats/torch.ts";
import { memorySource } from "../../src/convert/inputs/bytes.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { safetensorsFile } from "./checkpoints.ts";

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
    ["an unknown dtype", { a: entry(0, 16, [2], "Q4") }, "unknown dtype"],
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

describe("config.json", () => {
  const gpt2 = { model_type: "gpt2", n_embd: 32, n_head: 2, n_layer: 2 };

  test.each<[string, unknown, string]>([
    [
      "another architecture",
      { model_type: "mamba" },
      'model_type "mamba": this architecture is not supported; supported are GPT-2',
    ],
    ["the first GPT", { afn: "gelu", n_embd: 768 }, "supported are GPT-2"],
    ["an unknown activation", { ...gpt2, activation_function: "mish" }, "gelu_new"],
    ["heads that do not divide the width", { ...gpt2, n_head: 3 }, "n_head (3) must divide n_embd"],
    ["a size that is no number", { ...gpt2, n_layer: "2" }, "n_layer must be a positive integer"],
    ["no size", { model_type: "gpt2", n_head: 2, n_layer: 2 }, "n_embd is missing"],
    ["cross-attention", { ...gpt2, add_cross_attention: true }, "cross-attention"],
    ["an epsilon of zero", { ...gpt2, layer_norm_epsilon: 0 }, "layer_norm_epsilon"],
    [
      "attention types for other layers",
      { model_type: "gpt_neo", hidden_size: 8, num_heads: 1, num_layers: 3 },
      "each of the 3 layers",
    ],
    ["too many layers", { ...gpt2, n_layer: 1e6 }, "1024"],
  ])("with %s is refused", (_, value, message) => {
    expect(() => recipeOf(new ConfigFields(value))).toThrow(message);
  });

  test("is an error with a code, whatever it holds", () => {
    const keys = [
      "n_embd",
      "n_head",
      "n_layer",
      "n_inner",
      "vocab_size",
      "attention_types",
      "eos_token_id",
      "window_size",
      "tie_word_embeddings",
    ];
    const fields = fc.dictionary(fc.constantFrom(...keys), fc.oneof(fc.jsonValue(), fc.nat(64)));
    fc.assert(
      fc.property(fields, fc.constantFrom("gpt2", "gpt_neo"), (config, model_type) => {
        try {
          recipeOf(new ConfigFields({ ...gpt2, ...config, model_type }));
        } catch (error) {
          expect(error).toBeInstanceOf(EdgeformerError);
        }
      }),
    );
  });
});
