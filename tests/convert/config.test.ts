import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import { EdgeformerError } from "../../src/errors.ts";

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
    ["too many tokens", { ...gpt2, vocab_size: 2_000_000 }, "vocab_size is 2000000; the most"],
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

  // What GPT2Config(), GPTNeoConfig() … of transformers 5.24 give.
  test.each<[string, object]>([
    ["gpt2", { hiddenSize: 768, numHeads: 12, innerSize: 3072, vocabSize: 50257, maxPositions: 1024 }],
    ["gpt_neo", { hiddenSize: 2048, numHeads: 16, innerSize: 8192, vocabSize: 50257, maxPositions: 2048 }],
    ["llama", { hiddenSize: 4096, numKeyValueHeads: 32, innerSize: 11008, vocabSize: 32000, headSize: 128 }],
    ["mistral", { hiddenSize: 4096, numKeyValueHeads: 8, innerSize: 14336, maxPositions: 131072 }],
    ["qwen2", { hiddenSize: 4096, numKeyValueHeads: 32, innerSize: 22016, vocabSize: 151936 }],
    ["qwen3", { hiddenSize: 4096, numKeyValueHeads: 32, innerSize: 22016, headSize: 128 }],
  ])("of nothing but the model_type %s has transformers' defaults", (model_type, sizes) => {
    const fields = new ConfigFields({ model_type });
    const recipe = recipeOf(fields);
    expect(recipe).toMatchObject(sizes);
    expect(recipe.layers).toHaveLength({ gpt2: 12, gpt_neo: 24 }[model_type] ?? 32);
    expect(recipeOf(new ConfigFields({ ...fields.resolved, model_type }))).toEqual(recipe);
  });

  test.each([
    ["gelu_accurate", "gelu_new"],
    ["gelu_fast", "gelu_new"],
    ["gelu_python", "gelu"],
    ["swish", "silu"],
  ])("the activation %s is another name for %s", (activation_function, activation) => {
    expect(recipeOf(new ConfigFields({ ...gpt2, activation_function })).activation).toBe(activation);
  });

  test.each([
    ["is missing is Mistral's first", {}, 4096],
    ["is null is none", { sliding_window: null }, 0],
    ["is as long as the context is none", { sliding_window: 131_072 }, 0],
    ["is shorter is taken", { sliding_window: 8 }, 8],
  ])("a window that %s", (_, given, window) => {
    const fields = new ConfigFields({ model_type: "mistral", ...given });
    expect(recipeOf(fields).layers[0]!.window).toBe(window);
    const again = new ConfigFields({ ...fields.resolved, model_type: "mistral" });
    expect(recipeOf(again).layers[0]!.window).toBe(window);
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
