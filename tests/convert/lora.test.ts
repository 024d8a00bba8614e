import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { findModel } from "../../src/convert/find-model.ts";
import { parseLoraConfig, ranksAndFactors } from "../../src/convert/lora-config.ts";
import { referenceLogits, referenceStates } from "../../src/convert/verify/reference.ts";
import { cli } from "../cli/run.ts";
import { type RawTensor, rawTensors, safetensorsFile, temporaryDirectory, weightsOf } from "./checkpoints.ts";

const ADAPTERS = join(import.meta.dirname, "../fixtures/adapters");

const folders = (path: string) =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

describe.each(folders(ADAPTERS))("adapters of %s", (base) => {
  test.each(folders(join(ADAPTERS, base)))("%s gives peft's logits once it is merged", async (name) => {
    const directory = join(ADAPTERS, base, name);
    const { ids, logits } = JSON.parse(readFileSync(join(directory, "expected.json"), "utf8")) as {
      ids: number[];
      logits: string;
    };
    const expected = new Float32Array(Uint8Array.from(Buffer.from(logits, "base64")).buffer);
    const weights = await weightsOf(join(ADAPTERS, base), directory);
    const found = await referenceLogits(weights, await referenceStates(weights, [ids]));
    await weights.close();
    expect(found.length).toBe(expected.length);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
    expect(worst / largest).toBeLessThan(2e-5);
  });
});

const PLAIN = { peft_type: "LORA", r: 8, lora_alpha: 16 };

describe("rank and factor of a module", () => {
  const of = (config: Record<string, unknown>, module: string) =>
    ranksAndFactors(parseLoraConfig({ ...PLAIN, ...config }), [module])[0];
  // What peft's get_pattern_key gives for these keys and names.
  test.each<[string, string, boolean]>([
    ["c_attn", "transformer.h.0.attn.c_attn", true],
    ["h.0.attn.c_attn", "transformer.h.0.attn.c_attn", true],
    ["transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_attn", true],
    ["^transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_attn", true],
    ["^h.0.attn.c_attn", "transformer.h.0.attn.c_attn", false],
    ["attn", "transformer.h.0.attn.c_attn", false],
    ["_attn", "transformer.h.0.attn.c_attn", false],
    ["c_(attn|fc)", "transformer.h.0.attn.c_attn", true],
    ["q_proj|v_proj", "model.layers.3.self_attn.v_proj", true],
    ["layers\\.[0-3]\\..*", "model.layers.3.self_attn.v_proj", true],
    ["layers\\.[0-2]\\..*", "model.layers.3.self_attn.v_proj", false],
    ["model.layers.1.self_attn.q_proj", "model.layers.11.self_attn.q_proj", false],
    ["layers.1.self_attn.q_proj", "model.layers.21.self_attn.q_proj", false],
  ])("the key %s for %s: %s", (key, module, matches) => {
    expect(of({ alpha_pattern: { [key]: 64 } }, module)!.factor).toBe(matches ? 8 : 2);
    expect(of({ rank_pattern: { [key]: 4 } }, module)).toEqual(
      matches ? { rank: 4, factor: 4 } : { rank: 8, factor: 2 },
    );
  });

  test("is that of the first key that matches, and by the root of the rank where it is stabilized", () => {
    const alpha_pattern = { "nothing.here": 1, "layers.0.*": 32, q_proj: 64 };
    expect(of({ alpha_pattern, use_rslora: true, r: 16 }, "model.layers.0.q_proj")).toEqual({
      rank: 16,
      factor: 8,
    });
  });

  test("an expression that takes forever is refused within two seconds", () => {
    const start = process.cpuUsage();
    expect(() => of({ alpha_pattern: { "(a+)+b": 1 } }, "a".repeat(60))).toThrow("take too long");
    expect(process.cpuUsage(start).user).toBeLessThan(2e6);
  });

  test("an expression that is too large is refused, and not repeated", () => {
    const refused = (key: string) => {
      try {
        of({ alpha_pattern: { [key]: 1 } }, "a");
        return undefined;
      } catch (error) {
        return error;
      }
    };
    expect(refused("x".repeat(500_000))).toMatchObject({
      code: "unsupported_model",
      message: "the LoRA adapter: the regular expressions of alpha_pattern are too large",
    });
    const unclosed = refused("(".repeat(500_000)) as Error;
    expect(unclosed.message.length).toBeLessThan(300);
  });
});

const temporary = temporaryDirectory();
const source = join(temporary, "adapter");
const out = join(temporary, "models/out");

afterEach(() => {
  rmSync(source, { recursive: true, force: true });
  rmSync(join(temporary, "models"), { recursive: true, force: true });
});

type Change = (config: Record<string, unknown>, tensors: Record<string, RawTensor>) => void;

/** A good adapter after `change`. */
function spoil(adapter: string, change: Change): void {
  cpSync(join(ADAPTERS, adapter), source, { recursive: true });
  const [configFile, weightsFile] = ["adapter_config.json", "adapter_model.safetensors"].map((name) =>
    join(source, name),
  ) as [string, string];
  const config = JSON.parse(readFileSync(configFile, "utf8")) as Record<string, unknown>;
  const tensors = rawTensors(readFileSync(weightsFile));
  change(config, tensors);
  writeFileSync(configFile, JSON.stringify(config));
  writeFileSync(weightsFile, safetensorsFile(tensors));
}

describe("a bad adapter is one clear sentence, and nothing is written", () => {
  const attention = "base_model.model.transformer.h.0.attn.c_attn";
  test.each<[string, string, Change, string]>([
    ["of another kind", "gpt2/dora", (config) => void (config.peft_type = "IA3"), 'only "LORA"'],
    ["without a rank", "gpt2/dora", (config) => void delete config.r, "r in adapter_config.json"],
    ["with half a rank", "gpt2/dora", (config) => void (config.r = 2.5), "r must be a whole number"],
    [
      "of another rank",
      "gpt2/dora",
      (config) => void (config.r = 4),
      "has rank 2, but adapter_config.json says 4",
    ],
    ["with an alpha of zero", "gpt2/dora", (config) => void (config.lora_alpha = 0), "lora_alpha"],
    [
      "with a broken expression",
      "gpt2/dora",
      (config) => void (config.alpha_pattern = { "c_(attn": 2 }),
      'alpha_pattern has "c_(attn", a regular expression that is not supported',
    ],
    [
      "with an expression that only Python has",
      "gpt2/dora",
      (config) => void (config.rank_pattern = { "(?P<x>c_attn)": 2 }),
      "rank_pattern has",
    ],
    ...["pissa", "pissa_niter_16", "olora", "corda", "loftq", "lora_ga"].map(
      (name): [string, string, Change, string] => [
        `that began as ${name}`,
        "llama/all",
        (config) => void (config.init_lora_weights = name),
        "path_initial_model_for_weight_conversion",
      ],
    ),
    ["of parameters", "llama/all", (config) => void (config.target_parameters = ["w"]), "target_parameters"],
    [
      "with more layers",
      "llama/all",
      (config) => void (config.layer_replication = [[0, 2]]),
      "layer_replication",
    ],
    [
      "that acts late",
      "llama/all",
      (config) => void (config.alora_invocation_tokens = [1]),
      "alora_invocation_tokens",
    ],
    [
      "without its lengths",
      "gpt2/dora",
      (_, tensors) => void delete tensors[`${attention}.lora_magnitude_vector`],
      "has no lora_magnitude_vector",
    ],
    [
      "with lengths that are not said",
      "gpt2/dora",
      (config) => void (config.use_dora = false),
      "has a lora_magnitude_vector",
    ],
    [
      "with one half",
      "gpt2/dora",
      (_, tensors) => void delete tensors[`${attention}.lora_B.weight`],
      "no matching pair of lora_A and lora_B",
    ],
    [
      "with two adapters in one",
      "gpt2/dora",
      (_, tensors) =>
        void (tensors[`${attention}.lora_A.second.weight`] = tensors[`${attention}.lora_A.weight`]!),
      "more than one adapter",
    ],
    [
      "for a layer that is not there",
      "gpt2/dora",
      (_, tensors) => {
        for (const side of ["A", "B"])
          tensors[`base_model.model.transformer.h.9.attn.c_attn.lora_${side}.weight`] =
            tensors[`${attention}.lora_${side}.weight`]!;
        tensors["base_model.model.transformer.h.9.attn.c_attn.lora_magnitude_vector"] =
          tensors[`${attention}.lora_magnitude_vector`]!;
      },
      "h.9.attn.c_attn, which the checkpoint does not have",
    ],
    [
      "with a tensor of another method",
      "gpt2/dora",
      (_, tensors) =>
        void (tensors[`${attention}.lora_diag`] = tensors[`${attention}.lora_magnitude_vector`]!),
      "lora_diag is no part of an adapter that is known",
    ],
    [
      "with rows for no tokens",
      "gpt2/tokens",
      (config) => void (config.trainable_token_indices = null),
      "trained rows, but no token ids",
    ],
    [
      "with a row too many",
      "gpt2/tokens",
      (config) => void (config.trainable_token_indices = [1, 2]),
      "trained rows of [3,32] for 2 tokens",
    ],
    [
      "with a row beyond the vocabulary",
      "gpt2/tokens",
      (config) => void (config.trainable_token_indices = [1, 2, 48]),
      "names token 48, but transformer.wte has 48 rows",
    ],
    [
      "with a NaN",
      "gpt2/dora",
      (_, tensors) => tensors[`${attention}.lora_A.weight`]!.bytes.fill(0xff),
      "h.0.attn.c_attn.weight holds NaN or infinite",
    ],
  ])("%s", async (_, adapter, change, sentence) => {
    spoil(adapter, change);
    const base = join(ADAPTERS, adapter, "..");
    const { code, stderr } = await cli(["convert", base, "--lora", source, "--out", out]);
    expect(stderr).toContain(sentence);
    expect(code).toBe(1);
    expect(existsSync(out)).toBe(false);
  });

  test("for another model", async () => {
    const { code, stderr } = await cli([
      "convert",
      join(ADAPTERS, "../variants/gpt2-f16-head-64"),
      "--lora",
      join(ADAPTERS, "gpt2/dora"),
      "--out",
      out,
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain("is made for a weight of");
  });
});

describe("an adapter as the source", () => {
  test("is converted with the base model that it names, seen from its folder", async () => {
    const { code, stderr } = await cli(["convert", join(ADAPTERS, "llama/all"), "--out", out]);
    expect(stderr).toContain("all is a LoRA adapter of .., which is converted with it");
    expect(code).toBe(0);
    const together = join(temporary, "models/together");
    await cli(["convert", join(ADAPTERS, "llama"), "--lora", join(ADAPTERS, "llama/all"), "--out", together]);
    const [one, two] = [out, together].map((path) =>
      JSON.parse(readFileSync(join(path, "model.json"), "utf8")),
    );
    expect(one.parts).toEqual(two.parts);
    expect(one.provenance).toEqual({ ...two.provenance, source: "llama + all" });
  });

  test("without a base model, or with one that is not here, says what to do", async () => {
    for (const [base, sentence] of [
      [null, "names no base model"],
      ["./no/such/model", "./no/such/model, which is not here"],
    ] as const) {
      spoil("llama/all", (config) => void (config.base_model_name_or_path = base));
      const { code, stderr } = await cli(["convert", source, "--out", out]);
      expect(code).toBe(1);
      expect(stderr).toContain(`${sentence}; convert the base model with --lora adapter`);
    }
  });

  test.each(["tokenizer.json", "tokenizer.model", "vocab.json"])(
    "that has a %s is asked for its tokenizer instead of the base model",
    async (name) => {
      const options = { source: join(ADAPTERS, "llama"), lora: source, out };
      spoil("llama/all", () => {});
      for (const label of ["llama", "adapter"]) {
        const { tokenizerSource, adapter } = await findModel(options);
        expect(tokenizerSource.label).toBe(label);
        await adapter!.close();
        writeFileSync(join(source, name), "{}");
      }
    },
  );

  test("with tokens of its own makes a model with that vocabulary", async () => {
    const { code } = await cli(["convert", join(ADAPTERS, "llama/resized"), "--out", out]);
    expect(code).toBe(0);
    expect(JSON.parse(readFileSync(join(out, "model.json"), "utf8")).config.vocab_size).toBe(52);
  });
});
