import { resolve } from "node:path";
import { EdgeformerError } from "../errors.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { type CheckpointSource, localSource } from "./inputs/files.ts";
import { hubSource, isHubId } from "./inputs/hub.ts";
import { isAdapter, type LoraAdapter, openAdapter } from "./lora.ts";

/** A directory or file that is here, or else a repository on the hub, with a quantization's name behind a colon or none. */
async function findSource(source: string, options: Omit<ConvertOptions, "file">): Promise<CheckpointSource> {
  const local = await localSource(source);
  if (local) return local;
  const [, id = source, quantization] = /^(.+):([\w.-]+)$/.exec(source) ?? [];
  if (!isHubId(id))
    throw new EdgeformerError("invalid_option", `there is no file or directory ${source}`, {
      param: "source",
    });
  const { onProgress } = options;
  const hub = await hubSource(id, {
    ...options,
    ...(onProgress && {
      onProgress: (file: string, done: number, total: number) =>
        onProgress(`downloading ${file}`, done, total),
    }),
  });
  return quantization === undefined ? hub : { ...hub, quantization };
}

/** The source with the file that the user chose of it. */
function withFile(source: CheckpointSource, file: string | undefined): CheckpointSource {
  if (file === undefined) return source;
  if (source.quantization !== undefined)
    throw new EdgeformerError(
      "invalid_option",
      `choose either with :${source.quantization} or with --file, not with both`,
      { param: "file" },
    );
  return { ...source, weightsFile: file };
}

/** The base model that an adapter names: a directory, as seen from here or from the adapter, or a hub id. */
async function findBase(
  source: CheckpointSource,
  { config }: LoraAdapter,
  options: ConvertOptions,
): Promise<CheckpointSource> {
  const { baseModel, baseRevision } = config;
  if (baseModel === undefined)
    throw new EdgeformerError(
      "invalid_model",
      `${source.label} is a LoRA adapter that names no base model; convert the base model with --lora ${source.label}`,
    );
  options.onWarning?.(`${source.label} is a LoRA adapter of ${baseModel}, which is converted with it`);
  for (const from of [".", source.directory]) {
    const local = from === undefined ? undefined : await localSource(resolve(from, baseModel));
    if (local !== undefined && (await local.file("config.json")) !== undefined) return local;
  }
  if (!isHubId(baseModel))
    throw new EdgeformerError(
      "invalid_model",
      `${source.label} is a LoRA adapter of ${baseModel}, which is not here; convert the base model with --lora ${source.label}`,
    );
  const { revision: _, ...rest } = options;
  return findSource(baseModel, { ...rest, ...(baseRevision && { revision: baseRevision }) });
}

/**
 * The checkpoint to convert, the adapter to merge into it, and whose tokenizer files count. A source that is an adapter
 * stands for the base model that it names, and itself.
 *
 * @throws EdgeformerError if there is no such source; as `openAdapter` does
 */
export async function findModel(options: ConvertOptions): Promise<{
  source: CheckpointSource;
  adapter: LoraAdapter | undefined;
  tokenizerSource: CheckpointSource;
}> {
  const source = withFile(await findSource(options.source, options), options.file);
  if (options.lora === undefined && !(await isAdapter(source)))
    return { source, adapter: undefined, tokenizerSource: source };
  const adapterSource = options.lora === undefined ? source : await findSource(options.lora, options);
  const adapter = await openAdapter(adapterSource);
  try {
    const base = options.lora === undefined ? await findBase(source, adapter, options) : source;
    // Whoever trains with tokens of their own saves the tokenizer with the adapter.
    const own = await hasTokenizer(adapterSource);
    return { source: base, adapter, tokenizerSource: own ? adapterSource : base };
  } catch (error) {
    await adapter.close();
    throw error;
  }
}

async function hasTokenizer(source: CheckpointSource): Promise<boolean> {
  for (const file of ["tokenizer.json", "tokenizer.model", "vocab.json"])
    if ((await source.file(file)) !== undefined) return true;
  return false;
}
