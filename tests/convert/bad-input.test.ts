import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { cli } from "../cli/run.ts";
import { temporaryDirectory } from "./checkpoints.ts";
import { type Change, float, spoil } from "./spoil.ts";

const disk = vi.hoisted(() => ({ room: Number.POSITIVE_INFINITY }));

// A disk that is full once `disk.room` bytes of weights are written.
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const open: typeof real.open = async (path, ...rest) => {
    const handle = await real.open(path, ...rest);
    if (!String(path).includes("weights.")) return handle;
    const write = handle.write.bind(handle) as (...args: unknown[]) => unknown;
    handle.write = ((bytes: Uint8Array, ...args: unknown[]) => {
      disk.room -= bytes.length;
      if (disk.room >= 0) return write(bytes, ...args);
      const error = Object.assign(new Error("ENOSPC: no space left on device, write"), {
        code: "ENOSPC",
        syscall: "write",
      });
      return Promise.reject(error);
    }) as typeof handle.write;
    return handle;
  };
  return { ...real, open };
});

const VARIANTS = join(import.meta.dirname, "../fixtures/variants");
const GOOD = join(VARIANTS, "gpt2-prefixed");
const temporary = temporaryDirectory();
const source = join(temporary, "source");
const models = join(temporary, "models");
const out = join(models, "out");

afterEach(() => {
  disk.room = Number.POSITIVE_INFINITY;
  rmSync(source, { recursive: true, force: true });
  rmSync(models, { recursive: true, force: true });
});

describe("a bad checkpoint is one clear sentence, exit code 1, and nothing left behind", () => {
  test.each<[string, Change, string]>([
    ["no config.json", ({ remove }) => remove("config.json"), "no config.json"],
    ["config.json that is no JSON", ({ write }) => write("config.json", "{"), "config.json is not JSON"],
    ["another architecture", ({ config }) => void (config.model_type = "mamba"), "supported are GPT-2"],
    [
      "weights of few bits",
      ({ config }) => void (config.quantization_config = { quant_method: "gptq", bits: 4 }),
      "quantized already; take the original one",
    ],
    ["no weights", ({ remove }) => remove("model.safetensors"), "no weights"],
    [
      "a missing tensor",
      ({ tensors }) => void delete tensors["transformer.h.1.mlp.c_fc.bias"],
      "missing tensors: h.1.mlp.c_fc.bias",
    ],
    [
      "a missing head",
      ({ config }) => void (config.tie_word_embeddings = false),
      "missing tensors: lm_head.weight",
    ],
    [
      "an extra tensor",
      ({ tensors }) => void (tensors.extra = { dtype: "F32", shape: [1], bytes: float(1) }),
      "does not have: extra",
    ],
    [
      "a tensor twice",
      ({ tensors }) => void (tensors["wte.weight"] = tensors["transformer.wte.weight"]!),
      "two tensors called wte.weight",
    ],
    [
      "a wrong shape",
      ({ tensors }) => void (tensors["transformer.wpe.weight"]!.shape = [32, 24]),
      "wpe.weight is [32,24] instead of [24,32]",
    ],
    ["another width in config.json", ({ config }) => void (config.n_embd = 64), "instead of"],
    [
      "a NaN",
      ({ tensors }) => tensors["transformer.wte.weight"]!.bytes.set(float(Number.NaN), 400),
      "wte.weight holds NaN or infinite",
    ],
    [
      "an infinity",
      ({ tensors }) => tensors["transformer.h.0.ln_1.bias"]!.bytes.set(float(Number.NEGATIVE_INFINITY), 4),
      "h.0.ln_1.bias holds NaN or infinite",
    ],
    [
      "a vocabulary beyond all bounds",
      ({ config }) => void (config.vocab_size = 2_000_000),
      "vocab_size is 2000000; the most that is supported is 1048576",
    ],
    [
      "a size that no memory holds, even if there are no weights",
      ({ write, remove }) => {
        write("config.json", '{"model_type":"llama"}');
        remove("model.safetensors");
      },
      "of WebAssembly memory at a context of 128 tokens",
    ],
    [
      "a chat template that model.json cannot hold",
      ({ write }) =>
        write("tokenizer_config.json", JSON.stringify({ chat_template: `{# ${"x".repeat(4_200_000)} #}` })),
      "chat_template: the chat template",
    ],
    [
      "integer weights",
      ({ tensors }) => void (tensors["transformer.ln_f.bias"]!.dtype = "I32"),
      "weights must be one of F32",
    ],
    [
      "a truncated file",
      ({ write }) =>
        write("model.safetensors", readFileSync(join(GOOD, "model.safetensors")).subarray(0, 90_000)),
      "download it again",
    ],
    [
      "an index to another folder",
      ({ remove, write }) => {
        remove("model.safetensors");
        write("model.safetensors.index.json", JSON.stringify({ weight_map: { x: "../secret.safetensors" } }));
      },
      "not the name of a weights file",
    ],
    [
      "an index to a missing shard",
      ({ remove, write }) => {
        remove("model.safetensors");
        write("model.safetensors.index.json", JSON.stringify({ weight_map: { x: "a.safetensors" } }));
      },
      "no file a.safetensors",
    ],
    [
      "a pickle that runs a command",
      ({ remove, write }) => {
        remove("model.safetensors");
        write("pytorch_model.bin", Buffer.from("\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.", "latin1"));
      },
      "nothing was executed",
    ],
    [
      "weights that are a web page",
      ({ remove, write }) => {
        remove("model.safetensors");
        write("pytorch_model.bin", "<!doctype html>");
      },
      "not a file that torch.save wrote",
    ],
  ])("%s", async (_, change, sentence) => {
    mkdirSync(models, { recursive: true });
    spoil(GOOD, source, change);
    const { code, stdout, stderr } = await cli(["convert", source, "--out", out]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(sentence);
    expect(
      stderr
        .replace(/^note: .*\n/gm, "")
        .trim()
        .split("\n"),
    ).toHaveLength(1);
    expect(readdirSync(models)).toEqual([]);
  });
});

test("a model.json that no load would read is not written", async () => {
  mkdirSync(models);
  const name = "x".repeat(4_200_000);
  await expect(convert({ source: GOOD, out, name })).rejects.toThrow("at most 4194304 are read: is its name");
  expect(readdirSync(models)).toEqual([]);
});

describe("a head for another task than text", () => {
  test.each(["v_head.summary.weight", "score.weight", "classifier.bias", "transformer.score.weight"])(
    "%s is left out, and said to be",
    async (name) => {
      spoil(
        GOOD,
        source,
        ({ tensors }) => void (tensors[name] = { dtype: "F32", shape: [1], bytes: float(1) }),
      );
      const { code, stderr } = await cli(["convert", source, "--out", out]);
      expect(stderr).toContain(
        `note: ${name.replace("transformer.", "")}: a head for another task than text, which is left out\n`,
      );
      expect(code).toBe(0);
    },
  );
});

describe("an interrupted conversion", () => {
  test("leaves nothing behind, whatever it had written", async () => {
    mkdirSync(models);
    let steps = 0;
    await convert({ source: GOOD, out, onProgress: () => void steps++ });
    rmSync(out, { recursive: true });
    expect(steps).toBeGreaterThan(20);
    for (let stop = 1; stop <= steps; stop += 7) {
      const controller = new AbortController();
      let step = 0;
      const onProgress = () => {
        if (++step === stop) controller.abort();
      };
      await expect(
        convert({ source: GOOD, out, onProgress, signal: controller.signal }),
      ).rejects.toMatchObject({ code: "aborted" });
      expect(readdirSync(models)).toEqual([]);
    }
  });

  test("keeps the model that it was to replace", async () => {
    await convert({ source: GOOD, out, name: "old" });
    disk.room = 1000;
    await expect(convert({ source: GOOD, out, force: true })).rejects.toThrow("ENOSPC");
    expect(readdirSync(models)).toEqual(["out"]);
    expect(JSON.parse(readFileSync(join(out, "model.json"), "utf8")).name).toBe("old");
  });

  test.each([0, 5000, 25_000])(
    "a disk that is full after %i bytes is named, and nothing is left",
    async (room) => {
      mkdirSync(models);
      disk.room = room;
      const { code, stderr } = await cli(["convert", GOOD, "--out", out]);
      expect(code).toBe(1);
      expect(stderr).toContain("edgeformer: the disk is full\n");
      expect(readdirSync(models)).toEqual([]);
    },
  );
});
