import type { Recipe, TensorSpec } from "../architectures/recipe.ts";
import type { Dialect } from "./dialects/dialect.ts";
import type { Checkpoint, CheckpointTensor } from "./formats/checkpoint.ts";
import { openCheckpoint } from "./formats/open.ts";
import type { ByteSource } from "./inputs/bytes.ts";
import { type CheckpointSource, MAX_CONFIG_BYTES, readJson } from "./inputs/files.ts";
import {
  failAdapter,
  type LoraConfig,
  parseLoraConfig,
  ranksAndFactors,
  refuseAdapter,
} from "./lora-config.ts";
import { addBias, addLowRank, replaceRows } from "./lora-tensors.ts";
import { canonicalTensors, sameTensor } from "./weights.ts";

const CONFIG_FILE = "adapter_config.json";
const WEIGHTS_FILES = ["adapter_model.safetensors", "adapter_model.bin"];

/** The parts that an adapter has for one module. */
interface ModulePart {
  a?: CheckpointTensor;
  b?: CheckpointTensor;
  /** Of lora_B. */
  bias?: CheckpointTensor;
  magnitude?: CheckpointTensor;
  /** New rows for the tokens of `trainable_token_indices`. */
  rows?: CheckpointTensor;
  /** Whether `a` and `b` are those of an embedding, which is stored [inputs, outputs]. */
  embedding?: boolean;
}

/** A LoRA adapter in peft's layout. */
export interface LoraAdapter {
  readonly label: string;
  readonly config: LoraConfig;
  /** By the module's name in the model that was trained. */
  readonly modules: ReadonlyMap<string, ModulePart>;
  /** Tensors that replace the checkpoint's, by their names in the model that was trained. */
  readonly replacements: ReadonlyMap<string, CheckpointTensor>;
  /** Files that hold its weights. */
  readonly files: readonly ByteSource[];
  close(): Promise<void>;
}

/** Whether a source is an adapter and no model: transformers looks for this file, too. */
export async function isAdapter(source: CheckpointSource): Promise<boolean> {
  return (await source.file(CONFIG_FILE)) !== undefined && (await source.file("config.json")) === undefined;
}

/** The part of a module that a name stands for; the adapter's own name ("default") may be in it. */
const PARTS: readonly [RegExp, keyof ModulePart][] = [
  [/^(.+)\.lora_A(?:\.\w+)?\.weight$/, "a"],
  [/^(.+)\.lora_B(?:\.\w+)?\.weight$/, "b"],
  [/^(.+)\.lora_B(?:\.\w+)?\.bias$/, "bias"],
  [/^(.+)\.lora_embedding_A(?:\.\w+)?$/, "a"],
  [/^(.+)\.lora_embedding_B(?:\.\w+)?$/, "b"],
  [/^(.+)\.lora_magnitude_vector(?:\.\w+){0,2}$/, "magnitude"],
  [/^(.+)\.token_adapter\.trainable_tokens_delta(?:\.\w+)?$/, "rows"],
];

function sortTensors(tensors: Checkpoint["tensors"]): Pick<LoraAdapter, "modules" | "replacements"> {
  const modules = new Map<string, ModulePart>();
  const replacements = new Map<string, CheckpointTensor>();
  const saved = new Map<string, CheckpointTensor>();
  for (const [full, tensor] of tensors) {
    const name = full.replace(/^base_model\.model\./, "");
    const part = PARTS.find(([expression]) => expression.test(name));
    if (part !== undefined) {
      const [expression, kind] = part;
      const module = expression.exec(name)![1]!;
      const entry = modules.get(module) ?? {};
      if (entry[kind] !== undefined) failAdapter(`it holds more than one adapter: ${full} is the second`);
      modules.set(module, {
        ...entry,
        [kind]: tensor,
        ...(name.includes(".lora_embedding_") && { embedding: true }),
      });
    } else if (name.includes("lora_"))
      refuseAdapter(`${full} is no part of an adapter that is known; merge it with peft first`);
    else if (/\.modules_to_save\./.test(name))
      saved.set(name.replace(/\.modules_to_save\.(default\.)?/, "."), tensor);
    else if (!name.includes(".original_module."))
      replacements.set(name.replace(/(\.token_adapter)?\.base_layer\./, "."), tensor);
  }
  for (const [name, tensor] of saved) replacements.set(name, tensor);
  return { modules, replacements };
}

/**
 * Opens an adapter: its configuration is read, and its weights' names.
 *
 * @param source holds adapter_config.json and adapter_model.safetensors or .bin
 * @throws EdgeformerError `invalid_model` or `unsupported_model`
 */
export async function openAdapter(source: CheckpointSource): Promise<LoraAdapter> {
  const json = await readJson(source, CONFIG_FILE, MAX_CONFIG_BYTES);
  if (json === undefined) failAdapter(`${source.label} has no ${CONFIG_FILE}`);
  const config = parseLoraConfig(json);
  const { checkpoint, files } = await openCheckpoint(source, WEIGHTS_FILES);
  try {
    const sorted = sortTensors(checkpoint.tensors);
    if (sorted.modules.size === 0) failAdapter("it holds no lora_A and lora_B matrices");
    return { label: source.label, config, ...sorted, files, close: () => checkpoint.close() };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** Where the embedding and the head are among a checkpoint's tensors. */
function endNames(dialect: Dialect, recipe: Recipe): { embedding: string; head: string } {
  const embedding = recipe.tensors.find(({ role }) => role === "embedding")!;
  const nameOf = (tensor: TensorSpec) => dialect.values(tensor, recipe)[0]!.name;
  return { embedding: nameOf(embedding), head: nameOf({ ...embedding, role: "head" }) };
}

/**
 * The base model's configuration, with the vocabulary of an adapter that brings an embedding with other rows: one that was
 * trained with added tokens.
 */
export function adaptedConfig(
  config: Record<string, unknown>,
  adapter: LoraAdapter,
  dialect: Dialect,
  recipe: Recipe,
): Record<string, unknown> {
  const { embedding } = endNames(dialect, recipe);
  for (const [name, { shape }] of adapter.replacements)
    if (dialect.canonicalName(name) === embedding && shape.length === 2 && shape[0] !== recipe.vocabSize)
      return { ...config, vocab_size: shape[0] };
  return config;
}

/** Ids of the rows that an adapter has for a module. */
function tokenIdsOf({ tokenIndices }: LoraConfig, module: string): number[] {
  if (tokenIndices === undefined) return failAdapter(`${module} has trained rows, but no token ids for them`);
  if (Array.isArray(tokenIndices)) return tokenIndices;
  const own = [...tokenIndices].find(([key]) => module === key || module.endsWith(`.${key}`));
  if (own) return own[1];
  // A tied head has the rows of its embedding.
  if (tokenIndices.size === 1) return [...tokenIndices.values()][0]!;
  return failAdapter(`trainable_token_indices does not name ${module}`);
}

/** Where an adapter's changes go. */
class Merge {
  readonly #config: LoraConfig;
  readonly #dialect: Dialect;
  readonly #tensors: Map<string, CheckpointTensor>;
  readonly #transposed: Set<string>;

  constructor(config: LoraConfig, dialect: Dialect, recipe: Recipe, tensors: Map<string, CheckpointTensor>) {
    this.#config = config;
    this.#dialect = dialect;
    this.#tensors = tensors;
    this.#transposed = new Set(
      recipe.tensors
        .flatMap((tensor) => dialect.values(tensor, recipe))
        .flatMap((source) => (source.transposed ? [source.name] : [])),
    );
  }

  #base(name: string, module: string): CheckpointTensor {
    const what = name.endsWith(".bias") ? `the bias of ${module}` : module;
    return this.#tensors.get(name) ?? failAdapter(`it changes ${what}, which the checkpoint does not have`);
  }

  async apply(
    module: string,
    part: ModulePart,
    { rank, factor }: { rank: number; factor: number },
  ): Promise<void> {
    const name = this.#dialect.canonicalName(`${module}.weight`);
    const { a, b, bias, magnitude, rows, embedding } = part;
    if (rows) {
      const ids = tokenIdsOf(this.#config, module);
      this.#tensors.set(name, await replaceRows(this.#base(name, module), rows, ids, module));
      if (a === undefined && b === undefined) return;
    }
    if (a?.shape.length !== 2 || b?.shape.length !== 2 || a.shape[0] !== b.shape[1])
      return failAdapter(`${module} has no matching pair of lora_A and lora_B`);
    if (a.shape[0] !== rank) failAdapter(`${module} has rank ${a.shape[0]}, but ${CONFIG_FILE} says ${rank}`);
    if (this.#config.dora !== (magnitude !== undefined))
      failAdapter(
        `use_dora is ${this.#config.dora}, but ${module} has ${magnitude ? "a" : "no"} lora_magnitude_vector`,
      );
    const transposed = embedding ?? this.#transposed.has(name);
    const base = this.#base(name, module);
    this.#tensors.set(name, await addLowRank(base, { a, b, factor, magnitude, transposed }, module));
    if (bias) {
      const biasName = this.#dialect.canonicalName(`${module}.bias`);
      this.#tensors.set(biasName, addBias(this.#base(biasName, module), bias, factor, module));
    }
  }
}

/**
 * A checkpoint with a LoRA adapter merged into it: the weights of the model that was trained. Where a tied embedding has an
 * adapter and the head does not, or the other way round, the two part.
 *
 * @returns the merged checkpoint, which owns both
 * @throws EdgeformerError `invalid_model` or `unsupported_model`
 */
export async function mergeLora(
  checkpoint: Checkpoint,
  adapter: LoraAdapter,
  dialect: Dialect,
  recipe: Recipe,
): Promise<Checkpoint> {
  const { config, modules, replacements } = adapter;
  const tensors = canonicalTensors(checkpoint, dialect);
  const { embedding, head } = endNames(dialect, recipe);
  const changes = (target: string, rowsToo: boolean) =>
    [...replacements.keys()].some((name) => dialect.canonicalName(name) === target) ||
    [...modules].some(
      ([module, { a }]) =>
        dialect.canonicalName(`${module}.weight`) === target && (rowsToo || a !== undefined),
    );
  if (recipe.tiedHead && (changes(embedding, true) || changes(head, true))) {
    const [first, last] = [tensors.get(embedding), tensors.get(head)];
    // A tied head shares trained rows, and everything if the adapter says so; another change parts the two.
    const apart = changes(head, true) || (changes(embedding, false) && !config.tiesHead);
    if (first && (last === undefined || (await sameTensor(first, last)))) {
      if (apart) tensors.set(head, first);
      else tensors.delete(head);
    }
  }
  for (const [name, tensor] of replacements) tensors.set(dialect.canonicalName(name), tensor);
  const factors = ranksAndFactors(config, [...modules.keys()]);
  const merge = new Merge(config, dialect, recipe, tensors);
  for (const [i, [module, part]] of [...modules].entries()) await merge.apply(module, part, factors[i]!);
  const close = async () => {
    await checkpoint.close();
    await adapter.close();
  };
  return { tensors, close };
}
