import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EdgeformerError } from "../../src/errors.ts";
import { fidelityOf } from "../../src/format/fidelity.ts";
import { parseManifest } from "../../src/format/manifest.ts";
import { bundledModel } from "../../src/node/index.ts";

const TEXT = readFileSync(join(bundledModel(), "model.json"), "utf8");
type Tree = Record<string, unknown>;
const bundled = () => JSON.parse(TEXT) as Tree;

/** The bundled model.json with one place (`config.n_head`, `parts.0.file`) set to something else. */
function withField(path: string, value: unknown): Tree {
  const root = bundled();
  const keys = path.split(".");
  const last = keys.pop()!;
  const holder = keys.reduce((at, key) => at[key] as Tree, root);
  holder[last] = value;
  return root;
}

test("the bundled model's is taken as it is", () => {
  const { recipe, ...file } = parseManifest(bundled());
  expect(file).toEqual(bundled());
  expect(recipe).toMatchObject({ architecture: "gpt2", numHeads: 3, headSize: 64, eosTokenIds: [50_256] });
});

test("a chat template is kept, what nobody knows is not", () => {
  expect(parseManifest(withField("chat_template", "{{ messages }}")).chat_template).toBe("{{ messages }}");
  expect(parseManifest(withField("mood", "good"))).not.toHaveProperty("mood");
});

test("how a model wants to be sampled is kept", () => {
  const generation = { temperature: 0, top_k: 50, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.1 };
  expect(parseManifest(withField("generation", generation)).generation).toEqual(generation);
  expect(parseManifest(bundled()).generation).toBeUndefined();
});

test.each<[string, unknown[]]>([
  ["fidelity.corpus", [undefined, 7]],
  ["fidelity.tokens", [undefined, null, "1"]],
  ["fidelity.kl_mean", [undefined, Number.NaN, Number.POSITIVE_INFINITY]],
])("%s is checked where it is shown", (path, values) => {
  expect(fidelityOf(parseManifest(bundled()))).toEqual(bundled().fidelity);
  for (const value of values)
    expect(() => fidelityOf(parseManifest(withField(path, value)))).toThrow(
      expect.objectContaining({ code: "invalid_model", message: expect.stringContaining(path) }),
    );
});

describe("a field that is wrong is named", () => {
  test.each<[path: string, values: unknown[], named?: string]>([
    ["format", [undefined, "gguf", 1]],
    ["version", [undefined, 1, 2, "3"]],
    ["name", [undefined, 7, null, ["fable"]]],
    ["architecture", [undefined, 7]],
    ["architecture", ["llama"], "config.hidden_size"],
    ["architecture", ["mamba"], "mamba"],
    ["chat_template", [7, null, true, [], {}, [{ name: "default", template: "" }]]],
    ["config", [undefined, null, [], "gpt2"]],
    ["config.n_embd", [undefined, 0, -64, 1.5, "192", 1e9, Number.NaN]],
    ["config.n_head", [undefined, 0, 5, "3"]],
    ["config.n_layer", [undefined, 0, 1e9]],
    ["config.n_positions", [undefined, 0, 0.5]],
    ["config.vocab_size", [undefined, 0, 1e12]],
    ["config.layer_norm_epsilon", [undefined, 0, 1, -1e-5, "1e-5", Number.NaN]],
    ["config.activation_function", [undefined, "tanh", 7]],
    ["config.tie_word_embeddings", [undefined, 1, "true"]],
    ["config.bos_token_id", [undefined, -1, 50_257, "0", [0, 50_257]]],
    ["config.eos_token_id", [undefined, -1, 50_257, "0", [0, 0]]],
    ["config.scale_attn_weights", [undefined, 1]],
    ["tokenizer", [undefined, "r50k_base", []]],
    ["tokenizer.file", [undefined, "../tokenizer.bin", 7]],
    ["tokenizer.bytes", [undefined, 0, 1.5, 2 ** 30]],
    ["tokenizer.sha256", [undefined, "0"]],
    ["tensors", [undefined, {}, []]],
    ["tensors.0", [null, 7]],
    ["tensors.1.name", [undefined, "blocks.0.mlpNorm"]],
    ["tensors.1.kind", [undefined, "int8", "int3", "toString", 8]],
    ["tensors.0.kind", ["float32"]],
    ["tensors.1.offset", [0, -64, "100352", 100_353]],
    ["tensors.1.rows", [undefined, 191, "192"]],
    ["tensors.1.columns", [undefined, 2]],
    ["parts", [undefined, {}, "weights.00.bin"]],
    ["parts", [[]], "parts"],
    ["parts.0.file", ["../weights.00.bin", "a/b", "", ".hidden", "..", "a b", "a\0", 7, undefined]],
    ["parts.0.bytes", [0, -1, 1.5, "1", undefined, 2 ** 40]],
    ["parts.0.bytes", [64], "parts"],
    ["parts.0.sha256", ["", "0".repeat(63), "G".repeat(64), 7, undefined]],
    ["provenance", [undefined, null, "here"]],
    ["provenance.source", [undefined, 7]],
    ["provenance.revision", [7, undefined]],
    ["provenance.sha256", [undefined, null]],
    ["fidelity", [null, 7, []]],
    ["generation", [null, 7, [], "greedy"]],
    [
      "generation",
      [{ temperature: -1 }, { temperature: 2.1 }, { temperature: "1" }],
      "generation.temperature",
    ],
    ["generation", [{ top_k: -1 }, { top_k: 1.5 }, { top_k: null }], "generation.top_k"],
    ["generation", [{ top_p: 1.1 }], "generation.top_p"],
    ["generation", [{ repetition_penalty: 0 }], "generation.repetition_penalty"],
    ["generation", [{ max_tokens: 7 }], "generation.max_tokens"],
  ])("%s", (path, values, named = path.replace(/\.(\d+)/g, "[$1]")) => {
    for (const value of values) {
      const parse = () => parseManifest(withField(path, value));
      expect(parse, String(value)).toThrow(EdgeformerError);
      expect(parse).toThrow(
        expect.objectContaining({ code: "invalid_model", message: expect.stringContaining(named) }),
      );
    }
  });

  test.each([[undefined], [null], [7], ["model"], [[]]])("a file that is %s", (file) => {
    expect(() => parseManifest(file)).toThrow(expect.objectContaining({ code: "invalid_model" }));
  });
});

test("whatever one place holds, it is refused as an invalid model, or is what it was", () => {
  const places: string[] = [];
  const walk = (node: unknown, path: string) => {
    if (path !== "") places.push(path);
    if (typeof node === "object" && node !== null)
      for (const [key, child] of Object.entries(node)) walk(child, path === "" ? key : `${path}.${key}`);
  };
  walk(bundled(), "");
  fc.assert(
    fc.property(fc.constantFrom(...places), fc.jsonValue(), (path, value) => {
      try {
        parseManifest(withField(path, value));
      } catch (error) {
        expect(error).toMatchObject({ name: "EdgeformerError", code: "invalid_model" });
        expect((error as Error).message).toMatch(/^model\.json: /);
      }
    }),
    { numRuns: 500 },
  );
});
