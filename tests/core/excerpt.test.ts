import { describe, expect, test } from "vitest";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { excerpt } from "../../src/excerpt.ts";
import { parseManifest } from "../../src/format/manifest.ts";

const deep = JSON.parse("[".repeat(200_000) + "]".repeat(200_000));

test("an error's message is one line that is not long, whatever a file puts into it", () => {
  const { message } = new EdgeformerError("invalid_model", `tensor a\nb\u2028c: ${"x".repeat(1e7)}`);
  expect(message).toMatch(/^tensor a b c: x+…$/);
  expect(message).toHaveLength(2001);
});

describe("a value in a message", () => {
  test.each<[unknown, string]>([
    [12, "12"],
    ["a\nb", '"a\\nb"'],
    [{ a: [1] }, '{"a":[1]}'],
    [undefined, "undefined"],
    ["x".repeat(1000), `"${"x".repeat(99)}…`],
    [deep, "[…]"],
    [{ deep }, "{…}"],
  ])("is one short line: %#", (value, text) => {
    expect(excerpt(value)).toBe(text);
  });

  const gpt2 = { model_type: "gpt2", n_embd: 32, n_head: 2, n_layer: 2 };
  const llama = {
    model_type: "llama",
    hidden_size: 32,
    num_attention_heads: 2,
    num_hidden_layers: 1,
    intermediate_size: 32,
  };
  const fields = [
    ...Object.keys({ ...gpt2, activation_function: 0, tie_word_embeddings: 0, layer_norm_epsilon: 0 }).map(
      (name) => ({ ...gpt2, [name]: deep }),
    ),
    ...Object.keys({ ...llama, rope_scaling: 0, rope_theta: 0, num_experts: 0, quantization_config: 0 }).map(
      (name) => ({ ...llama, [name]: deep }),
    ),
    { ...llama, rope_scaling: { rope_type: deep } },
    { ...llama, model_type: "qwen3", layer_types: [deep] },
  ];
  test.each(fields)("a configuration with a field that is nested 200,000 deep is refused", (config) => {
    try {
      recipeOf(new ConfigFields(config));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(EdgeformerError);
      expect((error as Error).message.length).toBeLessThan(500);
    }
  });

  test("what is left of such a field is not kept", () => {
    const config = new ConfigFields({
      ...llama,
      rope_scaling: { rope_type: "linear", factor: 2, more: deep },
    });
    recipeOf(config);
    expect(config.resolved.rope_scaling).toEqual({ rope_type: "linear", factor: 2 });
  });

  test.each(["version", "config", "architecture", "tensors", "parts", "provenance", "name"])(
    "a manifest whose %s is nested 200,000 deep is refused",
    (name) => {
      const value = { format: "edgeformer", version: 3, architecture: "gpt2", config: gpt2, [name]: deep };
      expect(() => parseManifest(value)).toThrow(EdgeformerError);
    },
  );
});
