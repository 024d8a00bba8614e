import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import type { ConvertOptions } from "../../src/convert/convert-options.ts";
import { openTokenizer } from "../../src/node/index.ts";
import { cli } from "../cli/run.ts";
import { temporaryDirectory } from "./checkpoints.ts";
import { smallModel, TOKENS } from "./gguf-model.ts";
import { mutateConversion } from "./gguf-mutations.ts";
import { bytesOf, type GgufParts, ggufFile } from "./gguf-writer.ts";
import { COMMIT, HubServer } from "./hub-server.ts";
import { zipArchive } from "./zip-writer.ts";

const { u32, text } = bytesOf;
const [UINT16, UINT32, STRING] = [2, 4, 8];
const temporary = temporaryDirectory();
const source = join(temporary, "source");
const models = join(temporary, "models");
const out = join(models, "out");
const good = ggufFile(smallModel());

beforeEach(() => {
  mkdirSync(source);
  mkdirSync(models);
});
afterEach(() => {
  rmSync(source, { recursive: true });
  rmSync(models, { recursive: true });
});

function put(name: string, content: Uint8Array | string): string {
  writeFileSync(join(source, name), content);
  return join(source, name);
}

/** The source's directory, with these files. */
function directory(files: Record<string, Uint8Array | string>): string {
  for (const [name, content] of Object.entries(files)) put(name, content);
  return source;
}

/** The hashes of the parts that the file itself gives. */
async function expectedParts(): Promise<unknown> {
  const reference = join(temporary, "reference");
  const { parts } = await convert({ source: put("reference.gguf", good), out: reference, force: true });
  rmSync(join(source, "reference.gguf"));
  return parts;
}

/** The model in two files, as llama.cpp's gguf-split cuts it. */
function split(): [Uint8Array, Uint8Array] {
  const { values, tensors } = smallModel();
  const part = (number: number): GgufParts["values"] => [
    ["split.no", UINT16, Uint8Array.of(number, 0)],
    ["split.count", UINT16, Uint8Array.of(2, 0)],
    ["split.tensors.count", UINT32, u32(tensors.length)],
  ];
  return [
    ggufFile({ values: [...values, ...part(0)!], tensors: tensors.slice(0, 4) }),
    ggufFile({ values: part(1)!, tensors: tensors.slice(4) }),
  ];
}

describe("a GGUF file becomes a model", () => {
  test("with the file's own codes, configuration, tokenizer, templates and licence", async () => {
    const manifest = await convert({ source: put("small.gguf", good), out });
    expect(manifest.tensors.map(({ name, kind }) => [name, kind])).toEqual([
      ["rotary", "float32"],
      ["blocks.0.inputNorm", "float32"],
      // Its values have five bits: the finer kind holds all of it.
      ["blocks.0.queryKeyValue", "int8-steps"],
      ["blocks.0.attentionOutput", "four-bit"],
      ["blocks.0.mlpNorm", "float32"],
      ["blocks.0.mlpInput", "four-bit"],
      ["blocks.0.mlpOutput", "int8"],
      ["finalNorm", "float32"],
      ["embedding", "int8-steps"],
    ]);
    expect(manifest.config).toMatchObject({ hidden_size: 32, bos_token_id: [259], eos_token_id: [258] });
    expect(manifest.provenance).toMatchObject({ source: "small.gguf", name: "Small", license: "mit" });
    expect(manifest.named_chat_templates).toEqual({ tool_use: "{{ tools }}" });
    const stored = JSON.parse(readFileSync(join(out, "model.json"), "utf8"));
    expect(stored).toMatchObject({ named_chat_templates: { tool_use: "{{ tools }}" } });
    const card = readFileSync(join(out, "README.md"), "utf8");
    expect(card).toContain("- Licence: mit\n");
    expect(card).toContain("- Made by: A \\*star\\* of two lines\n");
    const tokenizer = await openTokenizer(out);
    expect(tokenizer.encode("the th")).toEqual([257, 32, 256]);
    expect(TOKENS[257]).toBe("the");
    expect(readdirSync(models)).toEqual(["out"]);
  });

  test.each<[string, () => string]>([
    ["whatever it is called", () => put("model.bin", good)],
    ["as the only one of a directory", () => directory({ "small.gguf": good })],
    [
      "beside a config.json, as many repositories have it",
      () => directory({ "config.json": "{}", "a.gguf": good }),
    ],
    ["named by --file", () => directory({ "a.gguf": good, "b.gguf": "no" })],
    [
      "from a wheel",
      () => put("small.whl", zipArchive([{ name: "p/small.gguf", content: good, deflate: true }])),
    ],
    ["from an archive", () => put("small.zip", zipArchive([{ name: "small.gguf", content: good }]))],
    [
      "from a set, by any of its names",
      () => {
        const [first, second] = split();
        put("m-00001-of-00002.gguf", first);
        return put("m-00002-of-00002.gguf", second);
      },
    ],
  ])("%s", async (name, prepare) => {
    const parts = await expectedParts();
    const path = prepare();
    const file = name === "named by --file" ? ["--file", "a.gguf"] : [];
    const { code, stderr } = await cli(["convert", path, ...file, "--out", out]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(join(out, "model.json"), "utf8")).parts).toEqual(parts);
  });
});

describe("several files and no choice", () => {
  test("are listed with sizes, and which would fit an isolate", async () => {
    put("m-Q4_1.gguf", good);
    const [first, second] = split();
    put("m-F16-00001-of-00002.gguf", first);
    put("m-F16-00002-of-00002.gguf", second);
    const { values, tensors } = smallModel();
    put("m-IQ4_XS.gguf", ggufFile({ values, tensors: [{ ...tensors[0]!, type: 23 }] }));
    const { code, stderr } = await cli(["convert", source, "--out", out]);
    expect(code).toBe(2);
    const lines = stderr.trim().split("\n");
    expect(lines[0]).toMatch(
      /^note: m-F16-00001-of-00002\.gguf +0\.0 MB {2}fits an isolate at a context of 64 tokens$/,
    );
    expect(lines[1]).toMatch(/^note: m-IQ4_XS\.gguf .*token_embd\.weight is IQ4_XS, which cannot be read/);
    expect(lines[2]).toMatch(/^note: m-Q4_1\.gguf .*fits an isolate/);
    expect(lines[3]).toBe("edgeformer: source has 3 GGUF files; choose one with --file");
    expect(readdirSync(models)).toEqual([]);
  });
});

describe("from the hub", () => {
  const ID = "someone/small-GGUF";
  let server: HubServer;
  let count = 0;

  async function serve(): Promise<ConvertOptions> {
    server = new HubServer(ID, source);
    return { source: ID, out, hubUrl: await server.start(), cacheDir: join(temporary, `cache-${++count}`) };
  }
  afterEach(() => server.stop());

  test.each([
    ["a quantization's name", `${ID}:Q4_1`, undefined],
    ["in small letters", `${ID}:q4_1`, undefined],
    ["a file's name", ID, "small-Q4_1.gguf"],
  ])("by %s", async (_, id, file) => {
    const parts = await expectedParts();
    put("small-Q4_1.gguf", good);
    put("small-Q4_1_M.gguf", good);
    const options = await serve();
    const manifest = await convert({ ...options, source: id, ...(file !== undefined && { file }) });
    expect(manifest.parts).toEqual(parts);
    expect(manifest.provenance).toMatchObject({ source: ID, revision: COMMIT });
    expect(server.downloads("small-Q4_1_M.gguf")).toEqual([]);
  });

  test("what cannot be converted costs its header and no more", async () => {
    const { values, tensors } = smallModel();
    const [embedding, ...rest] = tensors;
    const data = new Uint8Array(34 * 100_000);
    const wide = { ...embedding!, dimensions: [32, 100_000], data };
    put("wide-Q8_0.gguf", ggufFile({ values, tensors: [wide, ...rest] }));
    const options = await serve();
    await expect(convert(options)).rejects.toThrow(
      "tokenizer.ggml.tokens has 260 tokens, but token_embd.weight has 100000 rows",
    );
    expect(server.downloads("wide-Q8_0.gguf")).toEqual(["bytes=0-1048575"]);
  });

  test("a name that no file has, and two choices at once, are refused", async () => {
    put("small-Q4_1.gguf", good);
    const options = await serve();
    await expect(convert({ ...options, source: `${ID}:Q8_0` })).rejects.toThrow(
      "has no GGUF file called …-Q8_0.gguf, and 1 of other names",
    );
    await expect(convert({ ...options, file: "x.gguf" })).rejects.toThrow("has no file x.gguf");
    await expect(convert({ ...options, source: `${ID}:Q4_1`, file: "x.gguf" })).rejects.toMatchObject({
      code: "invalid_option",
    });
    expect(readdirSync(models)).toEqual([]);
  });
});

/** The small model with some keys replaced (undefined removes one) and its tensors changed. */
function changed(
  keys: Record<string, [number, Uint8Array] | undefined>,
  tensors: (tensors: Required<GgufParts>["tensors"]) => Required<GgufParts>["tensors"] = (same) => same,
): Uint8Array {
  const model = smallModel();
  const left = model.values.filter(([key]) => !Object.hasOwn(keys, key as string));
  const added = Object.entries(keys).flatMap(([key, value]): typeof left => (value ? [[key, ...value]] : []));
  return ggufFile({ values: [...left, ...added], tensors: tensors(model.tensors) });
}

const without = (name: string) => changed({}, (tensors) => tensors.filter((tensor) => tensor.name !== name));
const withTensor = (name: string, change: Partial<Required<GgufParts>["tensors"][number]>) =>
  changed({}, (tensors) => tensors.map((one) => (one.name === name ? { ...one, ...change } : one)));

describe("a bad file is one line with its key or tensor, exit code 1, and nothing left behind", () => {
  test.each<[string, Uint8Array, string]>([
    ["another magic", ggufFile({ ...smallModel(), magic: "GGML" }), 'not a GGUF file: it starts with "GGML"'],
    ["version 1", ggufFile({ ...smallModel(), version: 1 }), "GGUF version 1 cannot be read"],
    ["big-endian", ggufFile({ ...smallModel(), version: 0x03000000 }), "a big-endian file cannot be read"],
    ["nothing", new Uint8Array(0), "truncated: it ends at byte 0"],
    ["half of it", good.slice(0, good.length / 2), "but the file ends at byte"],
    ["half of its header", good.slice(0, 1000), "truncated"],
    [
      "2^60 tensors",
      ggufFile({ ...smallModel(), tensorCount: 1n << 60n }),
      "it claims 1152921504606846976 tensors",
    ],
    [
      "no architecture",
      changed({ "general.architecture": undefined }),
      "the key general.architecture is missing",
    ],
    [
      "another architecture",
      changed({ "general.architecture": [STRING, text("mamba")] }),
      '"mamba" is not supported',
    ],
    [
      "no width",
      changed({ "llama.embedding_length": undefined }),
      "the key llama.embedding_length is missing",
    ],
    [
      "no heads",
      changed({ "llama.attention.head_count": [UINT32, u32(0)] }),
      "llama.attention.head_count must be a positive integer, not 0",
    ],
    [
      "a width that is a text",
      changed({ "llama.embedding_length": [STRING, text("32")] }),
      'llama.embedding_length is "32"',
    ],
    [
      "heads that do not divide",
      changed({ "llama.attention.head_count_kv": [UINT32, u32(3)] }),
      "llama.attention.head_count_kv (3) must divide llama.attention.head_count (2)",
    ],
    [
      "another width",
      changed({ "llama.embedding_length": [UINT32, u32(64)] }),
      "blk.0.attn_norm.weight is [32] instead of [64]",
    ],
    [
      "a vocabulary shorter than the embedding",
      changed({ "tokenizer.ggml.tokens": [9, bytesOf.array(STRING, TOKENS.slice(0, 259).map(text))] }),
      "tokenizer.ggml.tokens has 259 tokens, but token_embd.weight has 260 rows",
    ],
    [
      "an unknown pre-tokenizer",
      changed({ "tokenizer.ggml.pre": [STRING, text("tekken")] }),
      'tokenizer.ggml.pre is "tekken"',
    ],
    [
      "an unknown tokenizer",
      changed({ "tokenizer.ggml.model": [STRING, text("bert")] }),
      'tokenizer.ggml.model is "bert"',
    ],
    [
      "a special token that is none",
      changed({ "tokenizer.ggml.eos_token_id": [UINT32, u32(260)] }),
      "tokenizer.ggml.eos_token_id is 260",
    ],
    ["no embedding", without("token_embd.weight"), "the tensor token_embd.weight is missing"],
    ["no norm", without("output_norm.weight"), "missing tensors: output_norm.weight"],
    [
      "a tensor too many",
      changed({}, (all) => [...all, { ...all[1]!, name: "blk.7.extra" }]),
      "does not have: blk.7.extra",
    ],
    [
      "a tensor twice",
      changed({}, (all) => [...all, all[1]!]),
      "tensor blk.0.attn_norm.weight is there twice",
    ],
    [
      "an unsupported type",
      withTensor("blk.0.attn_q.weight", { type: 23 }),
      "tensor blk.0.attn_q.weight is IQ4_XS",
    ],
    [
      "an offset outside",
      withTensor("output_norm.weight", { offset: 1n << 50n }),
      "tensor output_norm.weight claims 128 bytes from byte",
    ],
    [
      "an offset between",
      withTensor("output_norm.weight", { offset: 33n }),
      "tensor output_norm.weight starts at byte 33",
    ],
    ["offsets that overlap", withTensor("output_norm.weight", { offset: 0n }), "overlaps another one"],
    [
      "infinite steps",
      withTensor("blk.0.attn_output.weight", { data: new Uint8Array(640).fill(0x7c) }),
      "tensor blk.0.attn_output.weight holds NaN or infinite weights",
    ],
    [
      "infinite floats",
      withTensor("blk.0.ffn_down.weight", { data: new Uint8Array(8192).fill(0xff) }),
      "blk.0.ffn_down.weight holds NaN or infinite weights",
    ],
    [
      "an infinite norm",
      withTensor("output_norm.weight", { data: new Uint8Array(128).fill(0xff) }),
      "output_norm.weight holds NaN or infinite weights",
    ],
  ])("%s", async (_, bytes, sentence) => {
    const path = put("bad.gguf", bytes);
    const { code, stdout, stderr } = await cli(["convert", path, "--out", out]);
    expect(stderr).toContain(sentence);
    expect({ code, stdout, lines: stderr.trim().split("\n").length }).toEqual({
      code: 1,
      stdout: "",
      lines: 1,
    });
    expect(readdirSync(models)).toEqual([]);
  });

  test.each<[string, () => string, string]>([
    [
      "an archive without one",
      () => put("a.zip", zipArchive([{ name: "x.txt", content: good }])),
      "the archive has no .gguf file",
    ],
    [
      "a part alone",
      () => put("m-00001-of-00002.gguf", split()[0]),
      "m-00002-of-00002.gguf is missing; the model is a set of 2 files",
    ],
    ["an adapter", () => put("small.gguf", good), "a LoRA adapter cannot be merged into a GGUF file"],
  ])("%s", async (name, prepare, sentence) => {
    const path = prepare();
    const adapter = join(import.meta.dirname, "../fixtures/variants/lora/adapter");
    const { code, stderr } = await cli([
      "convert",
      path,
      "--out",
      out,
      ...(name === "an adapter" ? ["--lora", adapter] : []),
    ]);
    expect(stderr).toContain(sentence);
    expect({ code, lines: stderr.trim().split("\n").length }).toEqual({ code: 1, lines: 1 });
    expect(readdirSync(models)).toEqual([]);
  });
});

test("100 mutations convert or are refused with a typed error, and leave nothing behind", async () => {
  await mutateConversion(42, 100, models);
});
