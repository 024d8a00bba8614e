import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import { ggufDialect } from "../../src/convert/dialects/gguf.ts";
import { ggufConfig } from "../../src/convert/dialects/gguf-config.ts";
import { openGguf } from "../../src/convert/formats/gguf.ts";
import { fileSource } from "../../src/convert/inputs/bytes.ts";
import { logSoftmax } from "../../src/convert/verify/float-math.ts";
import { referenceLogits, referenceStates } from "../../src/convert/verify/reference.ts";
import { openWeights } from "../../src/convert/weights.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/gguf");

/** A model of one layer with 4 heads of 8 channels, and 2 for keys and values. */
function recipe(architecture: string, more: Record<string, unknown> = {}) {
  const sizes = { hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, vocab_size: 10 };
  const rest = { num_key_value_heads: 2, head_dim: 8, intermediate_size: 48, attention_bias: true };
  return recipeOf(new ConfigFields({ model_type: architecture, ...sizes, ...rest, ...more }, "config"));
}

/** The file's rows behind the recipe's first `rows` of queries, keys and values. */
function fileRows(architecture: string, tensors: string[] = [], more: Record<string, unknown> = {}) {
  const model = recipe(architecture, more);
  const tensor = model.tensors.find(({ role }) => role === "queryKeyValue")!;
  const dialect = ggufDialect(new Map(tensors.map((name) => [name, {}])));
  return dialect.values(tensor, model).map(({ name, rows, rowOrder }) => ({
    name,
    rows: Array.from({ length: rows }, (_, row) => rowOrder?.(row) ?? row),
  }));
}

const inOrder = (count: number, start = 0) => Array.from({ length: count }, (_, i) => start + i);
/** Even channels first, then odd ones, head by head: from pairs (0, 1), (2, 3) … to pairs (0, 4), (1, 5) …. */
const turned = (heads: number, start = 0) =>
  inOrder(heads).flatMap((head) => [0, 2, 4, 6, 1, 3, 5, 7].map((channel) => start + head * 8 + channel));

describe("rows of queries, keys and values", () => {
  test("llama's queries and keys are turned back, its values are not", () => {
    expect(fileRows("llama")).toEqual([
      { name: "blk.0.attn_q.weight", rows: turned(4) },
      { name: "blk.0.attn_k.weight", rows: turned(2) },
      { name: "blk.0.attn_v.weight", rows: inOrder(16) },
    ]);
  });

  test("also in one matrix, and in its bias", () => {
    const fused = ["blk.0.attn_qkv.weight"];
    expect(fileRows("llama", fused)).toEqual([
      { name: "blk.0.attn_qkv.weight", rows: [...turned(4), ...turned(2, 32), ...inOrder(16, 48)] },
    ]);
    const model = recipe("llama");
    const tensor = model.tensors.find(({ role }) => role === "queryKeyValue")!;
    const [bias] = ggufDialect(new Map([[fused[0]!, {}]])).bias(tensor, model);
    expect(bias).toMatchObject({ name: "blk.0.attn_qkv.bias", rows: 64 });
    expect(bias!.rowOrder!(1)).toBe(2);
  });

  test("only the channels that are turned", () => {
    const [queries] = fileRows("llama", [], { partial_rotary_factor: 0.5 });
    expect(queries!.rows.slice(0, 10)).toEqual([0, 2, 1, 3, 4, 5, 6, 7, 8, 10]);
  });

  test("the others' are in order", () => {
    for (const architecture of ["qwen2", "qwen3"])
      expect(fileRows(architecture).map(({ rows }) => rows)).toEqual([inOrder(32), inOrder(16), inOrder(16)]);
    const gpt2 = { n_embd: 32, n_layer: 1, n_head: 4, vocab_size: 10 };
    const model = recipeOf(new ConfigFields({ model_type: "gpt2", ...gpt2 }, "config"));
    const dialect = ggufDialect(new Map());
    const names = model.tensors.flatMap((tensor) => dialect.values(tensor, model).map(({ name }) => name));
    expect(names.sort()).toEqual(
      [
        ...["attn_norm", "attn_qkv", "attn_output", "ffn_norm", "ffn_up", "ffn_down"].map(
          (name) => `blk.0.${name}.weight`,
        ),
        "output_norm.weight",
        "position_embd.weight",
        "token_embd.weight",
      ].sort(),
    );
  });
});

test("a Llama file gives the log-probabilities of an independent implementation", async () => {
  const expected = JSON.parse(readFileSync(join(FIXTURES, "logprobs.json"), "utf8")) as {
    file: string;
    ids: number[];
    token_logprobs: (number | null)[];
  };
  const checkpoint = await openGguf(await fileSource(join(FIXTURES, expected.file)));
  const config = await ggufConfig(checkpoint);
  const weights = await openWeights(checkpoint, config, ggufDialect(checkpoint.tensors));
  const { vocabSize } = weights.recipe;
  const logits = await referenceLogits(weights, await referenceStates(weights, [expected.ids]));
  await weights.close();
  for (const [i, id] of expected.ids.entries()) {
    if (i === 0) continue;
    const logprobs = logSoftmax(logits, (i - 1) * vocabSize, vocabSize);
    expect(Math.abs(logprobs[id]! - expected.token_logprobs[i]!)).toBeLessThan(1e-4);
  }
});
