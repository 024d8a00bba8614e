import { ConfigFields } from "../architectures/config-fields.ts";
import { recipeOf } from "../architectures/index.ts";
import type { Recipe } from "../architectures/recipe.ts";
import { EdgeformerError } from "../errors.ts";
import { excerpt } from "../excerpt.ts";
import { faultOf, GENERATION_FIELDS, type GenerationConfig } from "./generation.ts";
import { INT16_MAX, isWeightKind, KINDS } from "./kinds.ts";
import { imageBytes, placeTensors, type TensorInfo } from "./layout.ts";

/** The version of the model directory's format that this library reads and writes. */
export const FORMAT_VERSION = 3;

/** Largest model.json that is read. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** Largest part that the converter writes: a Workers static asset may have 25 MiB. */
export const MAX_PART_BYTES = 20 * 1024 * 1024;

/** Largest tokenizer that is read; those of 262,144 tokens have about 5 MB. */
export const MAX_TOKENIZER_BYTES = 16 * 1024 * 1024;

/** A file of the model directory beside the weights. */
export interface FileInfo {
  file: string;
  bytes: number;
  sha256: string;
}

/** One file of the memory image; parts follow each other without a gap. */
export type PartInfo = FileInfo;

/** Measured by the converter against the float32 checkpoint. */
export interface Fidelity {
  corpus: string;
  tokens: number;
  perplexity_float32: number;
  perplexity_converted: number;
  /** Mean KL(float32 ‖ converted), nats per token. */
  kl_mean: number;
  /** Share of positions whose likeliest token is the same, 0 to 1. */
  top1_agreement: number;
}

/** Where a model is from, and what its makers say of it. */
export interface Provenance {
  /** A hub id, or the last part of a local path. */
  source: string;
  /** The hub's commit; null for local files. */
  revision: string | null;
  /** Of the files with the weights. */
  sha256: string;
  name?: string;
  author?: string;
  organization?: string;
  /** An SPDX identifier, or "other". */
  license?: string;
  license_name?: string;
  license_link?: string;
  url?: string;
  /** What it was made from. */
  base_models?: readonly string[];
}

/** The parts of `Provenance` that need not be there and are texts. */
const ABOUT = ["name", "author", "organization", "license", "license_name", "license_link", "url"] as const;

/** How a model is shared out over several isolates, where it is: `edgeformer split` writes it. */
export interface ChainPlan {
  /**
   * First layer of each stage but the first, ascending. The first has the embedding, the layers before, and the head;
   * every other one has a layer at least.
   */
  cuts: readonly number[];
  /** What all stages must have room for alike: planMemory's options. */
  context: number;
  max_sequences: number;
  kv_blocks: number;
}

/** What model.json holds. */
export interface ManifestFile {
  format: "edgeformer";
  version: number;
  name: string;
  /** transformers' `model_type`. */
  architecture: string;
  /** What the recipe is made from, under Hugging Face's names, defaults filled in. */
  config: Record<string, unknown>;
  /** The compiled tokenizer; null for a model that takes and gives token ids only. */
  tokenizer: FileInfo | null;
  tensors: TensorInfo[];
  /** The image, cut into files, in order. */
  parts: PartInfo[];
  provenance: Provenance;
  /** As it stands in the file: `fidelityOf` checks it for those who show it. */
  fidelity?: Fidelity;
  /** How the model's authors want it to be sampled, where they say so: what holds where a request is silent. */
  generation?: GenerationConfig;
  /** Jinja chat template of the checkpoint's tokenizer, where it has one. */
  chat_template?: string;
  /** Its other templates, by what they are for: "tool_use", "rag" … */
  named_chat_templates?: Readonly<Record<string, string>>;
  /** The stages of a model that is shared out over several isolates. */
  chain?: ChainPlan;
}

/** A checked model.json, and the recipe that its configuration makes. */
export interface Manifest extends ManifestFile {
  recipe: Recipe;
}

/** What is written to disk: everything but what can be worked out from the rest. */
export function manifestFile({ recipe: _, ...file }: Manifest): ManifestFile {
  return file;
}

export function fail(message: string): never {
  throw new EdgeformerError("invalid_model", `model.json: ${message}`);
}

export function object(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(`${name} must be an object`);
  return value as Record<string, unknown>;
}

function integer(value: unknown, name: string, minimum: number, maximum: number): number {
  const number = value as number;
  if (!Number.isInteger(value) || number < minimum || number > maximum)
    fail(`${name} must be an integer from ${minimum} to ${maximum}, not ${excerpt(value)}`);
  return number;
}

function parseList<T>(value: unknown, name: string, parse: (entry: unknown, name: string) => T): T[] {
  if (!Array.isArray(value)) fail(`${name} must be a list`);
  return value.map((entry, i) => parse(entry, `${name}[${i}]`));
}

export function text(value: unknown, name: string): string {
  if (typeof value !== "string") fail(`${name} must be a string`);
  return value;
}

/** A field that need not be there. */
function optional<K extends string, T>(
  raw: Record<string, unknown>,
  name: K,
  parse: (value: unknown, name: string) => T,
  within = "",
): Partial<Record<K, T>> {
  return (raw[name] === undefined ? {} : { [name]: parse(raw[name], within + name) }) as Partial<
    Record<K, T>
  >;
}

/** A plain file name, a size up to `maximum` and a hash. */
function parseFile(value: unknown, name: string, maximum: number): FileInfo {
  const raw = object(value, name);
  const file = text(raw.file, `${name}.file`);
  if (!/^[\w.-]+$/.test(file) || file.startsWith(".")) fail(`${name}.file is not a plain file name`);
  const sha256 = text(raw.sha256, `${name}.sha256`);
  if (!/^[0-9a-f]{64}$/.test(sha256)) fail(`${name}.sha256 must be 64 hexadecimal digits`);
  return { file, bytes: integer(raw.bytes, `${name}.bytes`, 1, maximum), sha256 };
}

/** Whether a value from a file, of whatever depth, is the one that the library would write. */
function sameJson(found: unknown, expected: unknown): boolean {
  if (found === expected) return true;
  if (typeof expected !== "object" || expected === null) return false;
  if (typeof found !== "object" || found === null || Array.isArray(found) !== Array.isArray(expected))
    return false;
  const keys = Object.keys(expected) as (keyof typeof expected)[];
  return (
    keys.length === Object.keys(found).length && keys.every((key) => sameJson(found[key], expected[key]))
  );
}

/**
 * The recipe of a stored configuration. It holds every field that the recipe reads, defaults filled in, so a field that
 * is missing or reads as something else is damage.
 */
function parseRecipe(architecture: string, config: Record<string, unknown>): Recipe {
  const fields = new ConfigFields({ ...config, model_type: architecture }, "model.json: config.");
  let recipe: Recipe;
  try {
    recipe = recipeOf(fields);
  } catch (cause) {
    // What cannot be run cannot have been written by the converter.
    throw new EdgeformerError("invalid_model", (cause as Error).message, { cause });
  }
  for (const [name, value] of Object.entries(fields.resolved))
    if (!sameJson(config[name], value))
      fail(`config.${name} is ${excerpt(config[name])}, but reads as ${excerpt(value)}`);
  return recipe;
}

/** The tensors, which must be those that the recipe lists, in kinds that exist, without gap or overlap. */
function parseTensors(value: unknown, recipe: Recipe): TensorInfo[] {
  const entries = parseList(value, "tensors", object);
  if (entries.length !== recipe.tensors.length)
    fail(`tensors: ${entries.length} entries, but the configuration needs ${recipe.tensors.length}`);
  const kinds = new Map(
    recipe.tensors.map((tensor, i) => {
      const { kind } = entries[i]!;
      if (!isWeightKind(kind) || KINDS[kind].form !== tensor.form)
        fail(`tensors[${i}].kind is ${excerpt(kind)}, which is no way to store ${tensor.name}`);
      return [tensor, kind];
    }),
  );
  const { tensors } = placeTensors(recipe, (tensor) => kinds.get(tensor)!);
  tensors.forEach((expected, i) => {
    const found = entries[i]!;
    for (const key of ["name", "rows", "columns", "offset", "bytes"] as const)
      if (found[key] !== expected[key])
        fail(
          `tensors[${i}].${key} is ${excerpt(found[key])}, but the configuration needs ${excerpt(expected[key])} (${expected.name})`,
        );
    if (KINDS[expected.kind].amplitude === undefined)
      expected.amplitude = integer(found.amplitude, `tensors[${i}].amplitude`, 1, INT16_MAX);
  });
  return tensors;
}

function parseProvenance(value: unknown): Provenance {
  const raw = object(value, "provenance");
  return {
    source: text(raw.source, "provenance.source"),
    revision: raw.revision === null ? null : text(raw.revision, "provenance.revision"),
    sha256: text(raw.sha256, "provenance.sha256"),
    ...Object.assign({}, ...ABOUT.map((key) => optional(raw, key, text, "provenance."))),
    ...optional(raw, "base_models", (bases, name) => parseList(bases, name, text), "provenance."),
  };
}

function parseChain(value: unknown, layers: number): ChainPlan {
  const raw = object(value, "chain");
  let least = 0;
  const cuts = parseList(raw.cuts, "chain.cuts", (cut, name) => {
    least = integer(cut, name, least, layers - 1) + 1;
    return least - 1;
  });
  return {
    cuts,
    context: integer(raw.context, "chain.context", 1, 2 ** 31),
    max_sequences: integer(raw.max_sequences, "chain.max_sequences", 1, 1024),
    kv_blocks: integer(raw.kv_blocks, "chain.kv_blocks", 1, 1 << 20),
  };
}

/** Texts by name. */
function parseTexts(value: unknown, name: string): Record<string, string> {
  const entries = Object.entries(object(value, name));
  return Object.fromEntries(entries.map(([key, one]) => [key, text(one, `${name}.${key}`)]));
}

function parseGeneration(value: unknown): GenerationConfig {
  const raw = object(value, "generation");
  for (const [field, entry] of Object.entries(raw)) {
    if (!GENERATION_FIELDS.includes(field as keyof GenerationConfig))
      fail(`generation.${field} is not known; there are ${GENERATION_FIELDS.join(", ")}`);
    const fault = faultOf(field as keyof GenerationConfig, entry);
    if (fault !== undefined) fail(`generation.${fault}`);
  }
  return raw as GenerationConfig;
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
      `format version ${excerpt(raw.version)}, but this library reads version ${FORMAT_VERSION}; convert the checkpoint again`,
    );
  const config = object(raw.config, "config");
  const architecture = text(raw.architecture, "architecture");
  const recipe = parseRecipe(architecture, config);
  const tensors = parseTensors(raw.tensors, recipe);
  const parts = parseList(raw.parts, "parts", (part, name) => parseFile(part, name, 2 ** 31));
  const total = parts.reduce((sum, part) => sum + part.bytes, 0);
  const needed = imageBytes({ recipe, tensors });
  if (total !== needed) fail(`parts hold ${total} bytes, but the tensors need ${needed}`);
  return {
    format: "edgeformer",
    version: FORMAT_VERSION,
    name: text(raw.name, "name"),
    architecture,
    config,
    recipe,
    tokenizer: raw.tokenizer === null ? null : parseFile(raw.tokenizer, "tokenizer", MAX_TOKENIZER_BYTES),
    tensors,
    parts,
    provenance: parseProvenance(raw.provenance),
    ...optional(raw, "fidelity", (fidelity, name) => object(fidelity, name) as unknown as Fidelity),
    ...optional(raw, "generation", parseGeneration),
    ...optional(raw, "chat_template", text),
    ...optional(raw, "named_chat_templates", parseTexts),
    ...optional(raw, "chain", (chain) => parseChain(chain, recipe.layers.length)),
  };
}
