import { EdgeformerError } from "../errors.ts";
import { ACTIVATIONS, type ActivationName, type Manifest, type ModelConfig } from "../format/manifest.ts";

export type Architecture = Manifest["architecture"];

/** What this converter understands, for messages. */
export const SUPPORTED_ARCHITECTURES = "GPT-2 (gpt2, with DistilGPT-2 and fine-tunes) and GPT-Neo (gpt_neo)";

/** Other names under which transformers' `ACT2FN` knows the same functions. */
const ACTIVATION_ALIASES: Readonly<Record<string, ActivationName>> = {
  gelu_fast: "gelu_new",
  gelu_python: "gelu",
  swish: "silu",
};

/** transformers' GPTNeoConfig.attention_types, when config.json does not say. */
const NEO_ATTENTION_TYPES = [[["global", "local"], 12]];

function fail(message: string): never {
  throw new EdgeformerError("invalid_model", `config.json: ${message}`);
}

function unsupported(message: string): never {
  throw new EdgeformerError("unsupported_model", `config.json: ${message}`);
}

/** The fields of config.json, looked up under any of their names. */
class Fields {
  readonly raw: Record<string, unknown>;

  constructor(raw: Record<string, unknown>) {
    this.raw = raw;
  }

  value(names: string[]): unknown {
    for (const name of names)
      if (this.raw[name] !== undefined && this.raw[name] !== null) return this.raw[name];
    return undefined;
  }

  size(names: string[], fallback?: number): number {
    const value = this.value(names) ?? fallback;
    if (value === undefined) fail(`${names[0]} is missing`);
    if (!Number.isSafeInteger(value) || (value as number) < 1)
      fail(`${names[0]} must be a positive integer, not ${JSON.stringify(value)}`);
    return value as number;
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.value([name]) ?? fallback;
    if (typeof value !== "boolean") fail(`${name} must be true or false, not ${JSON.stringify(value)}`);
    return value as boolean;
  }

  /** A token id, or null where there is none or the vocabulary is too small for it. */
  token(name: string, vocabSize: number, fallback: number): number | null {
    const raw = this.raw[name];
    if (raw === null) return null;
    const value = Array.isArray(raw) ? raw[0] : (raw ?? fallback);
    return Number.isInteger(value) && value >= 0 && value < vocabSize ? value : null;
  }
}

function architectureOf(fields: Fields): Architecture {
  const type = fields.value(["model_type"]);
  if (type === "gpt2" || type === "gpt_neo") return type;
  // Before 2020 config.json had no model_type; `afn` is the first GPT's name for its activation function.
  if (type === undefined && fields.value(["n_embd"]) !== undefined && fields.value(["afn"]) === undefined)
    return "gpt2";
  return unsupported(
    `the architecture ${JSON.stringify(type ?? null)} is not supported; supported are ${SUPPORTED_ARCHITECTURES}`,
  );
}

function activationOf(fields: Fields): ActivationName {
  const name = fields.value(["activation_function"]) ?? "gelu_new";
  const alias = typeof name === "string" && Object.hasOwn(ACTIVATION_ALIASES, name);
  const resolved = alias ? ACTIVATION_ALIASES[name as string] : name;
  if (!ACTIVATIONS.includes(resolved as ActivationName))
    unsupported(
      `activation_function ${JSON.stringify(name)} is not supported; supported are ${ACTIVATIONS.join(", ")}`,
    );
  return resolved as ActivationName;
}

/** Per layer "global" or "local", from GPTNeoConfig's run-length notation or its expansion. */
function neoAttentionLayers(fields: Fields, layers: number): string[] {
  const types =
    fields.value(["attention_types"]) ??
    (fields.value(["attention_layers"]) ? undefined : NEO_ATTENTION_TYPES);
  const kinds: unknown[] = [];
  if (types === undefined) kinds.push(...[fields.value(["attention_layers"])].flat());
  else {
    if (!Array.isArray(types)) fail("attention_types must be a list");
    for (const entry of types as unknown[]) {
      const [pattern, repeat] = Array.isArray(entry) ? entry : [];
      if (!Array.isArray(pattern) || pattern.length > layers || !Number.isInteger(repeat) || repeat < 0)
        fail(`attention_types must hold pairs such as [["global", "local"], 12]`);
      for (let i = 0; i < repeat && kinds.length <= layers; i++) kinds.push(...pattern);
    }
  }
  if (kinds.length !== layers || !kinds.every((kind) => kind === "global" || kind === "local"))
    fail(`attention_types must say "global" or "local" for each of the ${layers} layers`);
  return kinds as string[];
}

/**
 * Hugging Face's config.json as an edgeformer configuration, with the defaults of `GPT2Config` and
 * `GPTNeoConfig` (transformers) filled in.
 *
 * @throws EdgeformerError `invalid_model` or `unsupported_model`
 */
export function parseCheckpointConfig(value: unknown): { architecture: Architecture; config: ModelConfig } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail("must be an object");
  const fields = new Fields(value as Record<string, unknown>);
  const architecture = architectureOf(fields);
  if (fields.flag("add_cross_attention", false))
    unsupported("add_cross_attention: a decoder with cross-attention is not supported");
  const n_embd = fields.size(["n_embd", "hidden_size"]);
  const n_head = fields.size(["n_head", "num_attention_heads", "num_heads"]);
  const n_layer = fields.size(["n_layer", "num_hidden_layers", "num_layers"]);
  if (n_embd % n_head !== 0) fail(`n_embd (${n_embd}) must be a multiple of n_head (${n_head})`);
  // Far beyond anything published; the arrays below are this long.
  if (n_layer > 1024) unsupported(`${n_layer} layers are not supported; the most is 1024`);
  const vocab_size = fields.size(["vocab_size"], 50257);
  const epsilon = fields.value(["layer_norm_epsilon"]) ?? 1e-5;
  if (typeof epsilon !== "number" || !(epsilon > 0 && epsilon < 1))
    fail(`layer_norm_epsilon must be above 0 and below 1, not ${JSON.stringify(epsilon)}`);
  const config: ModelConfig = {
    n_embd,
    n_head,
    n_layer,
    n_inner: fields.size(["n_inner", "intermediate_size"], 4 * n_embd),
    n_positions: fields.size(
      ["n_positions", "max_position_embeddings", "n_ctx"],
      architecture === "gpt2" ? 1024 : 2048,
    ),
    vocab_size,
    layer_norm_epsilon: epsilon as number,
    activation_function: activationOf(fields),
    tie_word_embeddings: fields.flag("tie_word_embeddings", true),
    bos_token_id: fields.token("bos_token_id", vocab_size, 50256),
    eos_token_id: fields.token("eos_token_id", vocab_size, 50256),
    attention_scales: [],
    attention_windows: [],
  };
  if (architecture === "gpt_neo") {
    const window = fields.size(["window_size"], 256);
    config.attention_scales = new Array<number>(n_layer).fill(1);
    config.attention_windows = neoAttentionLayers(fields, n_layer).map((kind) =>
      kind === "local" ? window : 0,
    );
  } else {
    const scale = fields.flag("scale_attn_weights", true) ? 1 / Math.sqrt(n_embd / n_head) : 1;
    const inverse = fields.flag("scale_attn_by_inverse_layer_idx", false);
    config.attention_scales = Array.from({ length: n_layer }, (_, i) => (inverse ? scale / (i + 1) : scale));
    config.attention_windows = new Array<number>(n_layer).fill(0);
  }
  return { architecture, config };
}
