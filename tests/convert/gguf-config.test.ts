import { describe, expect, test } from "vitest";
import { ggufConfig } from "../../src/convert/dialects/gguf-config.ts";
import { type GgufCheckpoint, openGguf } from "../../src/convert/formats/gguf.ts";
import { ggufProvenance } from "../../src/convert/formats/gguf-provenance.ts";
import { memorySource } from "../../src/convert/inputs/bytes.ts";
import { ggufChatTemplates, ggufTokenizer } from "../../src/convert/tokenizers/gguf-tokenizer.ts";
import { bytesOf, ggufFile } from "./gguf-writer.ts";

const { u8, u32, f32, text, array } = bytesOf;
const [INT32, UINT32, FLOAT32, BOOL, STRING, ARRAY] = [5, 4, 6, 7, 8, 9];

type Value = number | string | boolean | string[] | { floats: number[] } | { kinds: number[] };

/** A value as the type that files have it in: numbers with a fraction as float32, others as uint32. */
function typedValue(value: Value): [number, Uint8Array] {
  if (typeof value === "string") return [STRING, text(value)];
  if (typeof value === "boolean") return [BOOL, u8(Number(value))];
  if (typeof value === "number")
    return Number.isInteger(value) ? [UINT32, u32(value)] : [FLOAT32, f32(value)];
  if (Array.isArray(value)) return [ARRAY, array(STRING, value.map(text))];
  if ("floats" in value) return [ARRAY, array(FLOAT32, value.floats.map(f32))];
  return [ARRAY, array(INT32, value.kinds.map(u32))];
}

/** The keys of a file with a vocabulary of four, changed; undefined removes one. */
function open(
  architecture: string,
  changes: Record<string, Value | undefined> = {},
  tensors: Record<string, number[]> = {},
): Promise<GgufCheckpoint> {
  const values: Record<string, Value | undefined> = {
    "general.architecture": architecture,
    [`${architecture}.block_count`]: 2,
    [`${architecture}.context_length`]: 128,
    [`${architecture}.embedding_length`]: 64,
    [`${architecture}.feed_forward_length`]: 96,
    [`${architecture}.attention.head_count`]: 4,
    [`${architecture}.attention.layer_norm_rms_epsilon`]: 1e-5,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a"],
    "tokenizer.ggml.token_type": { kinds: [3, 3, 3, 1] },
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    ...changes,
  };
  const shapes: Record<string, number[]> = { "token_embd.weight": [64, 4], ...tensors };
  const file = ggufFile({
    values: Object.entries(values).flatMap(([key, value]): [string, number, Uint8Array][] =>
      value === undefined ? [] : [[key, ...typedValue(value)]],
    ),
    tensors: Object.entries(shapes).map(([name, dimensions]) => ({
      name,
      dimensions,
      type: 0,
      data: new Uint8Array(4 * dimensions.reduce((a, b) => a * b, 1)),
    })),
  });
  return openGguf(memorySource(file, "model.gguf"));
}

/** A file with `rope_freqs.weight`. */
async function withFactors(factors: number[], changes: Record<string, Value> = {}): Promise<GgufCheckpoint> {
  const checkpoint = await open("llama", changes);
  const tensor = {
    shape: [factors.length],
    dtype: "F32",
    read: async () => Float32Array.from(factors),
  };
  return { ...checkpoint, tensors: new Map([...checkpoint.tensors, ["rope_freqs.weight", tensor]]) };
}

describe("the configuration of a GGUF file", () => {
  test("of llama, with defaults", async () => {
    expect(await ggufConfig(await open("llama"))).toEqual({
      model_type: "llama",
      hidden_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 4,
      head_dim: 16,
      intermediate_size: 96,
      vocab_size: 4,
      max_position_embeddings: 128,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      hidden_act: "silu",
      attention_bias: false,
      mlp_bias: false,
      tie_word_embeddings: true,
      bos_token_id: 1,
      eos_token_id: [2, 0],
    });
  });

  test("of qwen3, with a head size of its own and two key/value heads", async () => {
    const config = await ggufConfig(
      await open("qwen3", {
        "qwen3.attention.head_count_kv": 2,
        "qwen3.attention.key_length": 32,
        "qwen3.attention.value_length": 32,
        "qwen3.rope.freq_base": 1e6,
      }),
    );
    expect(config).toMatchObject({
      model_type: "qwen3",
      num_key_value_heads: 2,
      head_dim: 32,
      rope_theta: 1e6,
    });
  });

  test("of qwen2, with biases, a linear stretch and a part of the head rotated", async () => {
    const config = await ggufConfig(
      await open(
        "qwen2",
        {
          "qwen2.rope.scaling.type": "linear",
          "qwen2.rope.scaling.factor": 2.5,
          "qwen2.rope.dimension_count": 8,
        },
        { "blk.0.attn_q.bias": [64] },
      ),
    );
    expect(config).toMatchObject({
      attention_bias: true,
      rope_scaling: { rope_type: "linear", factor: 2.5 },
      partial_rotary_factor: 0.5,
    });
  });

  test("of gpt2", async () => {
    const config = await ggufConfig(await open("gpt2", { "gpt2.attention.layer_norm_epsilon": 1e-5 }));
    expect(config).toEqual({
      model_type: "gpt2",
      n_embd: 64,
      n_layer: 2,
      n_head: 4,
      n_inner: 96,
      n_positions: 128,
      layer_norm_epsilon: 1e-5,
      activation_function: "gelu_new",
      vocab_size: 4,
      tie_word_embeddings: true,
      bos_token_id: 1,
      eos_token_id: [2, 0],
    });
  });

  /** The factors that Llama 3.2 has in its files, worked out in float32 as its converter does. */
  function llama3Factors(
    count: number,
    theta: number,
    factor: number,
    original: number,
    high: number,
  ): number[] {
    return Array.from({ length: count }, (_, i) => {
      const wavelength = 2 * Math.PI * theta ** (i / count);
      if (wavelength < original / high) return 1;
      if (wavelength > original) return factor;
      const smooth = (original / wavelength - 1) / (high - 1);
      return Math.fround(1 / ((1 - smooth) / factor + smooth));
    });
  }

  test.each([
    ["Llama 3.1", 64, 500_000, 8, 8192, 4],
    ["Llama 3.2", 32, 500_000, 32, 8192, 4],
    ["another length and bound", 64, 10_000, 16, 4096, 8],
    ["a small head", 8, 500_000, 8, 8192, 4],
  ])("finds the stretch of %s in rope_freqs", async (_, count, theta, factor, original, high) => {
    const checkpoint = await withFactors(llama3Factors(count, theta, factor, original, high), {
      "llama.rope.freq_base": theta,
    });
    expect((await ggufConfig(checkpoint)).rope_scaling).toEqual({
      rope_type: "llama3",
      factor,
      low_freq_factor: 1,
      high_freq_factor: high,
      original_max_position_embeddings: original,
    });
  });

  test("refuses rope_freqs that stretch in another way", async () => {
    for (const factors of [
      [1, 2, 3, 4, 5, 6, 7, 8],
      [1, 1],
      [Number.NaN, 2],
      [Number.POSITIVE_INFINITY, 1],
    ])
      await expect(ggufConfig(await withFactors(factors))).rejects.toThrow(
        "model.gguf: rope_freqs.weight stretches positions in another way than Llama 3's",
      );
  });

  test.each<[string, string, Record<string, Value | undefined>, string]>([
    [
      "another architecture",
      "gemma2",
      {},
      'the architecture "gemma2" is not supported; supported are llama, qwen2',
    ],
    [
      "no architecture",
      "llama",
      { "general.architecture": undefined },
      "the key general.architecture is missing",
    ],
    ["a missing key", "llama", { "llama.block_count": undefined }, "the key llama.block_count is missing"],
    [
      "a count for each layer",
      "llama",
      { "llama.attention.head_count": { kinds: [4, 4] } },
      "is an array of 2",
    ],
    [
      "a text for a number",
      "llama",
      { "llama.embedding_length": "64" },
      'llama.embedding_length is "64", not an',
    ],
    [
      "a vocabulary shorter than the embedding",
      "llama",
      { "tokenizer.ggml.tokens": ["a", "b", "c"] },
      "tokenizer.ggml.tokens has 3 tokens, but token_embd.weight has 4 rows",
    ],
    [
      "values of another size than keys",
      "llama",
      { "llama.attention.key_length": 16, "llama.attention.value_length": 32 },
      "llama.attention.value_length is 32, but keys have 16",
    ],
    [
      "yarn",
      "qwen2",
      { "qwen2.rope.scaling.type": "yarn" },
      'qwen2.rope.scaling.type is "yarn"; supported are',
    ],
    [
      "an end outside of the vocabulary",
      "llama",
      { "tokenizer.ggml.eos_token_id": 4 },
      "tokenizer.ggml.eos_token_id is 4, but there are 4 tokens",
    ],
  ])("refuses %s", async (_, architecture, changes, message) => {
    await expect(ggufConfig(await open(architecture, changes))).rejects.toThrow(message);
  });
});

describe("the tokenizer of a GGUF file", () => {
  test("is handed on as it is, with every token that ends an answer", async () => {
    const { metadata } = await open("llama", {
      "tokenizer.ggml.pre": "smollm",
      "tokenizer.ggml.merges": ["a b"],
      "tokenizer.ggml.scores": { floats: [0, -1, -2, -3] },
      "tokenizer.ggml.add_bos_token": false,
      "tokenizer.ggml.eot_token_id": 3,
      "tokenizer.chat_template": "{{ messages }}",
      "tokenizer.chat_template.tool_use": "{{ tools }}",
      "tokenizer.chat_templates": ["tool_use"],
    });
    expect(ggufTokenizer(metadata)).toMatchObject({
      file: "model.gguf",
      model: "gpt2",
      pre: "smollm",
      merges: ["a b"],
      scores: Float32Array.of(0, -1, -2, -3),
      tokenTypes: Int32Array.of(3, 3, 3, 1),
      bosId: 1,
      eosId: 2,
      eosTokenIds: [2, 3, 0],
      unknownId: undefined,
      addBos: false,
      addSpacePrefix: undefined,
    });
    expect(ggufChatTemplates(metadata)).toEqual({
      template: "{{ messages }}",
      named: { tool_use: "{{ tools }}" },
    });
  });

  test("takes a spelling for an end only where it is a control token", async () => {
    const { metadata } = await open("llama", { "tokenizer.ggml.token_type": { kinds: [1, 3, 3, 1] } });
    expect(ggufTokenizer(metadata).eosTokenIds).toEqual([2]);
  });

  test("refuses lists of another length", async () => {
    const { metadata } = await open("llama", { "tokenizer.ggml.token_type": { kinds: [1, 3] } });
    expect(() => ggufTokenizer(metadata)).toThrow(
      "model.gguf: tokenizer.ggml.token_type has 2 elements for 4 tokens",
    );
  });
});

test("provenance is what general.* says", async () => {
  const { metadata } = await open("llama", {
    "general.name": "Tiny",
    "general.author": "",
    "general.license": "apache-2.0",
    "general.license.link": "https://example.org/license",
    "general.languages": ["en"],
    "general.url": 7,
    "general.base_model.count": 2,
    "general.base_model.0.name": "Base",
    "general.base_model.1.repo_url": "https://example.org/base",
  });
  expect(ggufProvenance(metadata)).toEqual({
    name: "Tiny",
    license: "apache-2.0",
    license_link: "https://example.org/license",
    languages: ["en"],
    base_models: ["Base", "https://example.org/base"],
  });
});
