import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { cli } from "../cli/run.ts";
import { type RawTensor, temporaryDirectory } from "./checkpoints.ts";
import { type Change, float, spoil } from "./spoil.ts";

const FAMILY = join(import.meta.dirname, "../fixtures/llama-family");
const temporary = temporaryDirectory();
const source = join(temporary, "source");
const models = join(temporary, "models");

afterEach(() => {
  rmSync(source, { recursive: true, force: true });
});

/** The one line that says why the changed checkpoint is refused; nothing may be left behind. */
async function refusal(name: string, change: Change): Promise<string> {
  mkdirSync(models, { recursive: true });
  spoil(join(FAMILY, name), source, change);
  const { code, stdout, stderr } = await cli(["convert", source, "--out", join(models, "out")]);
  expect({ code, stdout, left: readdirSync(models) }).toEqual({ code: 1, stdout: "", left: [] });
  const line = stderr.replace(/^note: .*\n/gm, "").trim();
  expect(line.split("\n")).toHaveLength(1);
  return line;
}

describe("a field of config.json that cannot be", () => {
  test.each<[string, unknown, string]>([
    ["num_attention_heads", 0, "num_attention_heads must be a positive integer, not 0"],
    ["num_attention_heads", 2.5, "num_attention_heads must be a positive integer, not 2.5"],
    ["num_attention_heads", "4", 'num_attention_heads must be a positive integer, not "4"'],
    ["num_key_value_heads", 0, "num_key_value_heads must be a positive integer, not 0"],
    ["num_key_value_heads", 3, "num_key_value_heads (3) must divide num_attention_heads (4)"],
    ["num_key_value_heads", 8, "num_key_value_heads (8) must divide num_attention_heads (4)"],
    ["head_dim", 0, "head_dim must be a positive integer, not 0"],
    ["head_dim", -24, "head_dim must be a positive integer, not -24"],
    [
      "head_dim",
      23,
      "rotary embedding turns pairs of channels, but head_dim 23 × partial_rotary_factor 1 gives 23",
    ],
    ["num_hidden_layers", 0, "num_hidden_layers must be a positive integer, not 0"],
    ["num_hidden_layers", 1e9, "num_hidden_layers is 1000000000; the most that is supported is 1024"],
    ["intermediate_size", true, "intermediate_size must be a positive integer, not true"],
    ["rms_norm_eps", 0, "rms_norm_eps must be above 0 and below 1, not 0"],
    ["rms_norm_eps", "1e-5", 'rms_norm_eps must be above 0 and below 1, not "1e-5"'],
    ["rope_theta", 0, "rope_theta must be a number above 1, not 0"],
    ["rope_theta", -10_000, "rope_theta must be a number above 1, not -10000"],
    ["rope_theta", "10000", 'rope_theta must be a number above 1, not "10000"'],
    ["rope_scaling", "linear", 'rope_scaling must be an object or null, not "linear"'],
    ["rope_scaling", [2], "rope_scaling must be an object or null, not [2]"],
    ["rope_scaling", { type: "linear" }, "rope_scaling.factor must be a positive number, not null"],
    ["rope_scaling", { type: "linear", factor: 0 }, "rope_scaling.factor must be a positive number, not 0"],
    [
      "rope_scaling",
      { type: "linear", factor: "2" },
      'rope_scaling.factor must be a positive number, not "2"',
    ],
    ["rope_scaling", { rope_type: "yarn", factor: 2 }, 'rope_scaling of the type "yarn" is not supported'],
    ["rope_scaling", { rope_type: 7, factor: 2 }, "rope_scaling of the type 7 is not supported"],
    ["partial_rotary_factor", 0, "partial_rotary_factor must be above 0 and at most 1, not 0"],
    ["partial_rotary_factor", "half", 'partial_rotary_factor must be above 0 and at most 1, not "half"'],
    ["hidden_act", "swiglu_oai", 'hidden_act "swiglu_oai" is not supported'],
    ["attention_bias", 1, "attention_bias must be true or false, not 1"],
    ["tie_word_embeddings", "no", 'tie_word_embeddings must be true or false, not "no"'],
  ])("%s %j", async (field, value, sentence) => {
    const line = await refusal("tiny-llama", ({ config }) => void (config[field] = value));
    expect(line).toContain(`config.json: ${sentence}`);
  });

  test.each<[string, unknown, string]>([
    ["low_freq_factor", 0, "rope_scaling.low_freq_factor must be a positive number, not 0"],
    ["low_freq_factor", 4, "rope_scaling.high_freq_factor (4) must be above low_freq_factor (4)"],
    ["high_freq_factor", null, "rope_scaling.high_freq_factor must be a positive number, not null"],
    [
      "original_max_position_embeddings",
      "8192",
      'rope_scaling.original_max_position_embeddings must be a positive number, not "8192"',
    ],
  ])("rope_scaling.%s %j", async (field, value, sentence) => {
    const line = await refusal("tiny-llama3", ({ config }) => {
      (config.rope_scaling as Record<string, unknown>)[field] = value;
    });
    expect(line).toContain(`config.json: ${sentence}`);
  });
});

const LAYER = "model.layers.1";

function zeros(length: number): RawTensor {
  return { dtype: "F32", shape: [length], bytes: new Uint8Array(4 * length) };
}

describe("tensors that config.json contradicts, or that are no numbers", () => {
  test.each<[string, string, Change, string]>([
    [
      "fewer key heads than the tensors have",
      "tiny-qwen3",
      ({ config }) => void (config.num_key_value_heads = 1),
      "layers.0.self_attn.k_proj.weight is [64,64] instead of [32,64]",
    ],
    [
      "another head size than the tensors have",
      "tiny-llama",
      ({ config }) => void (config.head_dim = 16),
      "layers.0.self_attn.q_proj.weight is [96,64] instead of [64,64]",
    ],
    [
      "a smaller vocabulary than the embedding's",
      "tiny-llama",
      ({ config }) => void (config.vocab_size = 500),
      "embed_tokens.weight is [600,64] instead of [500,64]",
    ],
    [
      "a matrix that lies on its side",
      "tiny-qwen2",
      ({ tensors }) => void tensors[`${LAYER}.mlp.down_proj.weight`]!.shape.reverse(),
      "layers.1.mlp.down_proj.weight is [160,64] instead of [64,160]",
    ],
    [
      "no bias on the keys",
      "tiny-qwen2",
      ({ tensors }) => void delete tensors[`${LAYER}.self_attn.k_proj.bias`],
      "missing tensors: layers.1.self_attn.k_proj.bias",
    ],
    [
      "no norm on the queries",
      "tiny-qwen3",
      ({ tensors }) => void delete tensors[`${LAYER}.self_attn.q_norm.weight`],
      "missing tensors: layers.1.self_attn.q_norm.weight",
    ],
    [
      "a norm of all heads in place of each head's",
      "tiny-qwen3",
      ({ tensors }) => void (tensors[`${LAYER}.self_attn.k_norm.weight`] = zeros(64)),
      "layers.1.self_attn.k_norm.weight is [64] instead of [32]",
    ],
    [
      "biases that the configuration does not speak of",
      "tiny-llama",
      ({ tensors }) => void (tensors[`${LAYER}.self_attn.o_proj.bias`] = zeros(64)),
      "tensors that llama does not have: layers.1.self_attn.o_proj.bias",
    ],
    [
      "a layer less than the configuration has",
      "tiny-llama",
      ({ config }) => void (config.num_hidden_layers = 4),
      "missing tensors: layers.3.input_layernorm.weight",
    ],
    [
      "a layer more",
      "tiny-llama",
      ({ config }) => void (config.num_hidden_layers = 2),
      "tensors that llama does not have: layers.2.",
    ],
    [
      "no head, and none that is tied",
      "tiny-llama3",
      ({ config }) => void (config.tie_word_embeddings = false),
      "missing tensors: lm_head.weight",
    ],
    [
      "a NaN among the keys' weights",
      "tiny-llama",
      ({ tensors }) => tensors[`${LAYER}.self_attn.k_proj.weight`]!.bytes.set(float(Number.NaN), 64),
      "layers.1.self_attn.k_proj.weight holds NaN or infinite weights",
    ],
    [
      "an infinite bias",
      "tiny-qwen2",
      ({ tensors }) =>
        tensors[`${LAYER}.self_attn.k_proj.bias`]!.bytes.set(float(Number.POSITIVE_INFINITY), 8),
      "layers.1.self_attn.k_proj.bias holds NaN or infinite weights",
    ],
    [
      "an infinite norm",
      "tiny-qwen3",
      ({ tensors }) =>
        tensors[`${LAYER}.self_attn.k_norm.weight`]!.bytes.set(float(Number.NEGATIVE_INFINITY), 8),
      "layers.1.self_attn.k_norm.weight holds NaN or infinite weights",
    ],
  ])("%s", async (_, name, change, sentence) => {
    expect(await refusal(name, change)).toContain(sentence);
  });
});
