import { ConfigFields } from "../../architectures/config-fields.ts";
import { recipeOf } from "../../architectures/index.ts";
import type { TensorSpec } from "../../architectures/recipe.ts";
import { EdgeformerError } from "../../errors.ts";
import type { WeightKind } from "../../format/kinds.ts";
import { type ArchiveOptions, archivedSource } from "../formats/archive.ts";
import { ggufSet } from "../formats/gguf.ts";
import { fileKind, WEIGHTS_FILES } from "../formats/open.ts";
import { readZipDirectory } from "../formats/zip.ts";
import { type ByteSource, fileSource } from "../inputs/bytes.ts";
import type { CheckpointSource } from "../inputs/files.ts";
import type { ConvertedTokenizer } from "../tokenizers/convert-tokenizer.ts";
import { chooseGguf, openAll } from "./gguf-choice.ts";
import { openGgufModel } from "./gguf-file.ts";
import { openHuggingFace } from "./hugging-face.ts";
import type { OpenedModel } from "./opened-model.ts";

export interface LayoutOptions extends ArchiveOptions {
  /** The kind that a matrix in floating point will be stored in. [int8] */
  kindOf?: (tensor: TensorSpec) => WeightKind;
  /** Has the tokenizer's files of a model in Hugging Face's layout, where they are not among the model's. */
  tokenizerSource?: CheckpointSource;
  /** Told what there is to choose from. */
  onWarning?: (message: string) => void;
}

/**
 * Opens a model in whatever layout it comes, which its files' contents say and not their names: a GGUF file or set,
 * the only GGUF file of an archive, or Hugging Face's directory.
 *
 * @throws EdgeformerError `invalid_model`, `unsupported_model`, or `invalid_option` where there is a choice to make
 */
export async function openSourceModel(
  source: CheckpointSource,
  { tokenizerSource, kindOf, onWarning, ...options }: LayoutOptions,
): Promise<OpenedModel> {
  const { weightsFile } = source;
  if (weightsFile !== undefined) {
    const [file] = (await openAll(source, [weightsFile])) as [ByteSource];
    const kind = await layoutOf(file);
    if (kind === "archive") return openArchive(file, options);
    await file.close();
    if (kind === "gguf") return openGgufFiles(source, ggufSet(weightsFile));
    return openHuggingFace(source, tokenizerSource, kindOf);
  }
  // A directory for transformers may have GGUF files beside its weights, and one of GGUF files a config.json.
  const isForTransformers = source.quantization === undefined && (await hasWeights(source));
  const names = isForTransformers ? undefined : await chooseGguf(source, onWarning);
  return names === undefined
    ? openHuggingFace(source, tokenizerSource, kindOf)
    : openGgufFiles(source, names);
}

async function hasWeights(source: CheckpointSource): Promise<boolean> {
  return (await Promise.all(WEIGHTS_FILES.map((name) => source.has(name)))).includes(true);
}

async function layoutOf(file: ByteSource): Promise<"gguf" | "archive" | "hugging-face"> {
  try {
    const kind = await fileKind(file);
    // One that is damaged at its very start is told what is wrong with it as what it is called.
    if (kind === "gguf" || (kind === undefined && file.name.endsWith(".gguf"))) return "gguf";
    // torch.save writes archives, too.
    const isArchive =
      kind === "zip" &&
      ![...(await readZipDirectory(file)).keys()].some((name) => name.endsWith("/data.pkl"));
    return isArchive ? "archive" : "hugging-face";
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openArchive(archive: ByteSource, options: ArchiveOptions): Promise<OpenedModel> {
  let file: ByteSource;
  try {
    file = await archivedSource(archive, ".gguf", options);
  } catch (error) {
    await archive.close();
    throw error;
  }
  return openGgufModel([file]);
}

/** Opens a file or set. A remote one is looked at first, and downloaded only if it can be converted. */
async function openGgufFiles(source: CheckpointSource, names: readonly string[]): Promise<OpenedModel> {
  const model = await openGgufModel(await openAll(source, names));
  if (source.revision === null) return model;
  let tokenizer: ConvertedTokenizer;
  try {
    tokenizer = await model.tokenizer(recipeOf(new ConfigFields(model.config)));
  } finally {
    await model.checkpoint.close();
  }
  const files: ByteSource[] = [];
  for (const name of names) {
    const path = await source.file(name);
    if (path === undefined) throw new EdgeformerError("io", `${source.label} has no file ${name} any more`);
    files.push(await fileSource(path, name));
  }
  return { ...(await openGgufModel(files)), tokenizer: async () => tokenizer };
}
