import { EdgeformerError } from "../errors.ts";

/** The version of the model directory's format that this library reads and writes. */
export const FORMAT_VERSION = 2;

/** Largest part that the converter writes: a Workers static asset may have 25 MiB. */
export const MAX_PART_BYTES = 20 * 1024 * 1024;

/** The activation functions that the engine has. */
export const ACTIVATIONS = ["gelu_new", "gelu_pytorch_tanh", "gelu", "relu", "silu"] as const;

/** An activation function of the feed-forward block, under its Hugging Face name. */
export type ActivationName = (typeof ACTIVATIONS)[number];

/** Hyper-parameters under their names in Hugging Face's `GPT2Config`, defaults resolved. */
export interface ModelConfig {
  n_embd: number;
  n_head: number;
  n_layer: number;
  n_inner: number;
  /** Positions that the checkpoint was trained for: the longest possible context. */
  n_positions: number;
  vocab_size: number;
  layer_norm_epsilon: number;
  activation_function: ActivationName;
  tie_word_embeddings: boolean;
  bos_token_id: number | null;
  eos_token_id: number | null;
  /** Per layer: the factor on q·k before the softmax (1/√headDim for GPT-2, 1 for GPT-Neo). */
  attention_scales: number[];
  /** Per layer: how many positions a token sees, itself included; 0 for all (GPT-Neo's local layers: 256). */
  attention_windows: number[];
}

/** How text becomes token ids. */
export type TokenizerInfo =
  | {
      /** GPT-2's byte-level BPE. Ids from `added_tokens` come on top of its 50257. */
      type: "r50k_base";
      added_tokens: Record<string, number>;
    }
  | {
      /** A vocabulary that the runtime does not know: prompts and completions are token ids. */
      type: "none";
    };

/**
 * One tensor of the memory image. `int8` matrices are [outputs, inputs], packed as assembly/abi.ts draws, and
 * have a companion `NAME.scale`, float32 [outputs]. `float32` vectors are plain.
 */
export interface TensorInfo {
  name: string;
  dtype: "int8" | "float32";
  /** Logical shape, before padding. */
  shape: number[];
  packing: "plane8x768" | "none";
  /** First byte within the image, a multiple of 64. */
  offset: number;
  /** Bytes stored, padding of the packing included. */
  bytes: number;
}

/** One file of the memory image; parts follow each other without a gap. */
export interface PartInfo {
  file: string;
  bytes: number;
  sha256: string;
}

/** Measured by the converter against the float32 checkpoint. */
export interface Fidelity {
  corpus: string;
  tokens: number;
  perplexity_float32: number;
  perplexity_int8: number;
  /** Mean KL(float32 ‖ int8), nats per token. */
  kl_mean: number;
  /** Share of positions whose likeliest token is the same, 0 to 1. */
  top1_agreement: number;
}

/** model.json. */
export interface Manifest {
  format: "edgeformer";
  version: number;
  name: string;
  architecture: "gpt2" | "gpt_neo";
  config: ModelConfig;
  tokenizer: TokenizerInfo;
  tensors: TensorInfo[];
  /** The image, cut into files, in order. */
  parts: PartInfo[];
  provenance: { source: string; revision: string | null; sha256: string };
  fidelity?: Fidelity;
  /** Jinja chat template of the checkpoint's tokenizer, where it has one. */
  chat_template?: string;
}

/** Rounded up to a multiple of `unit`, a power of two. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** Name, shape and type of each tensor of the image, in the order in which the forward pass reads them. */
export function expectedTensors(config: ModelConfig): Pick<TensorInfo, "name" | "dtype" | "shape">[] {
  const { n_embd, n_inner, n_layer, n_positions, vocab_size } = config;
  const tensors: Pick<TensorInfo, "name" | "dtype" | "shape">[] = [];
  const matrix = (name: string, outputs: number, inputs: number) => {
    tensors.push({ name, dtype: "int8", shape: [outputs, inputs] });
    tensors.push({ name: `${name}.scale`, dtype: "float32", shape: [outputs] });
  };
  const vector = (name: string, size: number) => tensors.push({ name, dtype: "float32", shape: [size] });
  const linear = (name: string, outputs: number, inputs: number) => {
    matrix(`${name}.weight`, outputs, inputs);
    vector(`${name}.bias`, outputs);
  };
  const norm = (name: string) => {
    vector(`${name}.weight`, n_embd);
    vector(`${name}.bias`, n_embd);
  };
  matrix("wpe.weight", n_positions, n_embd);
  for (let i = 0; i < n_layer; i++) {
    norm(`h.${i}.ln_1`);
    linear(`h.${i}.attn.c_attn`, 3 * n_embd, n_embd);
    linear(`h.${i}.attn.c_proj`, n_embd, n_embd);
    norm(`h.${i}.ln_2`);
    linear(`h.${i}.mlp.c_fc`, n_inner, n_embd);
    linear(`h.${i}.mlp.c_proj`, n_embd, n_inner);
  }
  norm("ln_f");
  matrix("wte.weight", vocab_size, n_embd);
  if (!config.tie_word_embeddings) matrix("lm_head.weight", vocab_size, n_embd);
  return tensors;
}

/** Bytes that a tensor takes in the image: packed matrices and vectors are padded to multiples of 16. */
export function storedBytes(tensor: Pick<TensorInfo, "dtype" | "shape">): number {
  const elements = tensor.shape.reduce((product, size) => product * alignUp(size, 16), 1);
  return elements * (tensor.dtype === "int8" ? 1 : 4);
}

/**
 * The tensor directory of a model: `expectedTensors` with their places, each 64-byte aligned.
 * `bytes` is the size of the whole image.
 */
export function imageLayout(config: ModelConfig): { tensors: TensorInfo[]; bytes: number } {
  let offset = 0;
  const tensors = expectedTensors(config).map((tensor): TensorInfo => {
    const bytes = storedBytes(tensor);
    const placed: TensorInfo = {
      ...tensor,
      packing: tensor.dtype === "int8" ? "plane8x768" : "none",
      offset,
      bytes,
    };
    offset = alignUp(offset + bytes, 64);
    return placed;
  });
  return { tensors, bytes: offset };
}

function fail(message: string): never {
  throw new EdgeformerError("invalid_model", `model.json: ${message}`);
}

function object(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(`${name} must be an object`);
  return value as Record<string, unknown>;
}

function integer(value: unknown, name: string, minimum: number, maximum: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > maximum)
    fail(`${name} must be an integer from ${minimum} to ${maximum}, not ${JSON.stringify(value)}`);
  return value;
}

function list(value: unknown, name: string): unknown[] {
  if (!Array.isArray(value)) fail(`${name} must be a list`);
  return value;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string") fail(`${name} must be a string`);
  return value;
}

function parseConfig(value: unknown): ModelConfig {
  const raw = object(value, "config");
  const n_layer = integer(raw.n_layer, "config.n_layer", 1, 1024);
  const vocab_size = integer(raw.vocab_size, "config.vocab_size", 1, 1 << 20);
  const perLayer = (key: string) => {
    const values = list(raw[key], `config.${key}`);
    if (
      values.length !== n_layer ||
      !values.every((v) => typeof v === "number" && Number.isFinite(v) && v >= 0)
    )
      fail(`config.${key} must be ${n_layer} numbers`);
    return values as number[];
  };
  const tokenId = (key: string) =>
    raw[key] === null ? null : integer(raw[key], `config.${key}`, 0, vocab_size - 1);
  const config: ModelConfig = {
    n_embd: integer(raw.n_embd, "config.n_embd", 1, 1 << 14),
    n_head: integer(raw.n_head, "config.n_head", 1, 1 << 10),
    n_layer,
    n_inner: integer(raw.n_inner, "config.n_inner", 1, 1 << 16),
    n_positions: integer(raw.n_positions, "config.n_positions", 1, 1 << 16),
    vocab_size,
    layer_norm_epsilon: raw.layer_norm_epsilon as number,
    activation_function: raw.activation_function as ActivationName,
    tie_word_embeddings: raw.tie_word_embeddings as boolean,
    bos_token_id: tokenId("bos_token_id"),
    eos_token_id: tokenId("eos_token_id"),
    attention_scales: perLayer("attention_scales"),
    attention_windows: perLayer("attention_windows"),
  };
  const epsilon = config.layer_norm_epsilon;
  if (typeof epsilon !== "number" || !(epsilon > 0 && epsilon < 1))
    fail("config.layer_norm_epsilon must be in (0, 1)");
  if (!ACTIVATIONS.includes(config.activation_function))
    fail(`config.activation_function must be one of ${ACTIVATIONS.join(", ")}`);
  if (typeof config.tie_word_embeddings !== "boolean")
    fail("config.tie_word_embeddings must be true or false");
  if (config.n_embd % config.n_head !== 0) fail("config.n_embd must be a multiple of config.n_head");
  return config;
}

function parseTokenizer(value: unknown, vocabSize: number): TokenizerInfo {
  const raw = object(value, "tokenizer");
  if (raw.type === "none") return { type: "none" };
  if (raw.type !== "r50k_base") fail('tokenizer.type must be "r50k_base" or "none"');
  const added = object(raw.added_tokens ?? {}, "tokenizer.added_tokens");
  for (const [token, id] of Object.entries(added))
    integer(id, `tokenizer.added_tokens[${JSON.stringify(token)}]`, 0, vocabSize - 1);
  return { type: "r50k_base", added_tokens: added as Record<string, number> };
}

/**
 * Checks a parsed model.json completely, so that nothing later has to: the tensor directory must be the one
 * that its configuration implies, the parts must add up to the image.
 *
 * @throws EdgeformerError `invalid_model`, naming the field.
 */
export function parseManifest(value: unknown): Manifest {
  const raw = object(value, "the file");
  if (raw.format !== "edgeformer") fail('not an edgeformer model: "format" must be "edgeformer"');
  if (raw.version !== FORMAT_VERSION)
    fail(
      `format version ${JSON.stringify(raw.version)}, but this library reads version ${FORMAT_VERSION}; convert the checkpoint again`,
    );
  if (raw.architecture !== "gpt2" && raw.architecture !== "gpt_neo")
    fail(`architecture must be "gpt2" or "gpt_neo", not ${JSON.stringify(raw.architecture)}`);
  const config = parseConfig(raw.config);
  const image = imageLayout(config);
  const tensors = list(raw.tensors, "tensors");
  if (tensors.length !== image.tensors.length)
    fail(`tensors: ${tensors.length} entries, but the configuration needs ${image.tensors.length}`);
  image.tensors.forEach((expected, i) => {
    const found = object(tensors[i], `tensors[${i}]`);
    for (const key of ["name", "dtype", "shape", "packing", "offset", "bytes"] as const)
      if (JSON.stringify(found[key]) !== JSON.stringify(expected[key]))
        fail(
          `tensors[${i}].${key} is ${JSON.stringify(found[key])}, but the configuration needs ${JSON.stringify(expected[key])} (${expected.name})`,
        );
  });
  const parts = list(raw.parts, "parts").map((entry, i): PartInfo => {
    const part = object(entry, `parts[${i}]`);
    const file = text(part.file, `parts[${i}].file`);
    if (!/^[\w.-]+$/.test(file) || file.startsWith(".")) fail(`parts[${i}].file is not a plain file name`);
    const sha256 = text(part.sha256, `parts[${i}].sha256`);
    if (!/^[0-9a-f]{64}$/.test(sha256)) fail(`parts[${i}].sha256 must be 64 hexadecimal digits`);
    return { file, bytes: integer(part.bytes, `parts[${i}].bytes`, 1, 2 ** 31), sha256 };
  });
  const total = parts.reduce((sum, part) => sum + part.bytes, 0);
  if (total !== image.bytes) fail(`parts hold ${total} bytes, but the tensors need ${image.bytes}`);
  const provenance = object(raw.provenance, "provenance");
  return {
    format: "edgeformer",
    version: FORMAT_VERSION,
    name: text(raw.name, "name"),
    architecture: raw.architecture,
    config,
    tokenizer: parseTokenizer(raw.tokenizer, config.vocab_size),
    tensors: image.tensors,
    parts,
    provenance: {
      source: text(provenance.source, "provenance.source"),
      revision: provenance.revision === null ? null : text(provenance.revision, "provenance.revision"),
      sha256: text(provenance.sha256, "provenance.sha256"),
    },
    ...(raw.fidelity === undefined
      ? {}
      : { fidelity: object(raw.fidelity, "fidelity") as unknown as Fidelity }),
    ...(raw.chat_template === undefined ? {} : { chat_template: text(raw.chat_template, "chat_template") }),
  };
}
