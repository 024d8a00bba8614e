import { ConfigFields } from "../../architectures/config-fields.ts";
import { recipeOf } from "../../architectures/index.ts";
import { ISOLATE_BYTES, ISOLATE_WASM_BYTES, planMemory } from "../../engine/memory.ts";
import { EdgeformerError } from "../../errors.ts";
import { type ModelLayout, placeTensors } from "../../format/layout.ts";
import { ggufSet } from "../formats/gguf.ts";
import type { ByteSource } from "../inputs/bytes.ts";
import type { CheckpointSource } from "../inputs/files.ts";
import { kindsFor } from "../quantize/kinds-for.ts";
import { openGgufModel } from "./gguf-file.ts";

/** A GGUF file, or a set of them, of a source. */
interface GgufFiles {
  names: string[];
  /** Bytes of all of them. */
  size: number;
}

/** Float32 becomes a quarter in int8; what is larger than this is too large for an isolate however it is stored. */
const MAX_ISOLATE_FILE = 4 * ISOLATE_BYTES;

/** The GGUF files of a source, sets as one. */
async function listGguf(source: CheckpointSource): Promise<GgufFiles[]> {
  const found = new Map<string, GgufFiles>();
  for (const { name, size } of await source.list(".gguf")) {
    const names = ggufSet(name);
    const entry = found.get(names[0] as string) ?? { names, size: 0 };
    found.set(names[0] as string, { names, size: entry.size + size });
  }
  return [...found.values()];
}

/** Whether a file's name ends with a quantization's name, such as Q4_1, before ".gguf" and a set's numbers. */
function hasTag({ names }: GgufFiles, tag: string): boolean {
  const stem = (names[0] as string).replace(/(-\d{5}-of-\d{5})?\.gguf$/, "").toLowerCase();
  return ["-", ".", "/"].some((separator) => stem.endsWith(`${separator}${tag.toLowerCase()}`));
}

/**
 * The names of the GGUF file or set to convert; undefined if the source has none.
 *
 * @param onWarning told each file there is to choose from, its size, and whether it would fit an isolate
 * @throws EdgeformerError `invalid_option` if there are several
 */
export async function chooseGguf(
  source: CheckpointSource,
  onWarning: (message: string) => void = () => {},
): Promise<string[] | undefined> {
  const { quantization: tag } = source;
  const all = await listGguf(source);
  if (all.length === 0 && tag === undefined) return undefined;
  const fitting = tag === undefined ? all : all.filter((files) => hasTag(files, tag));
  if (fitting.length === 1) return fitting[0]!.names;
  for (const line of await describeAll(source, fitting.length === 0 ? all : fitting)) onWarning(line);
  throw new EdgeformerError(
    "invalid_option",
    fitting.length === 0
      ? `${source.label} has no GGUF file called …-${tag}.gguf, and ${all.length} of other names`
      : `${source.label} has ${fitting.length} GGUF files; choose one with --file`,
    { param: "file" },
  );
}

/** A line for each: its name, its size, and whether it would fit an isolate. */
async function describeAll(source: CheckpointSource, all: readonly GgufFiles[]): Promise<string[]> {
  const width = Math.max(...all.map(({ names }) => (names[0] as string).length));
  const lines: string[] = [];
  for (const files of all) {
    const size = `${(files.size / 1e6).toFixed(1)} MB`.padStart(10);
    lines.push(`${(files.names[0] as string).padEnd(width)} ${size}  ${await describeFit(source, files)}`);
  }
  return lines;
}

/** Whether a file fits an isolate once it is converted, which its header tells. */
async function describeFit(source: CheckpointSource, { names, size }: GgufFiles): Promise<string> {
  const tooLarge = "too large for an isolate";
  if (size > MAX_ISOLATE_FILE) return tooLarge;
  let model: ModelLayout;
  try {
    model = await readLayout(await openAll(source, names));
  } catch (error) {
    if (error instanceof EdgeformerError) return error.message;
    throw error;
  }
  try {
    const { context } = planMemory(model, { memoryLimit: ISOLATE_WASM_BYTES });
    return `fits an isolate at a context of ${context} tokens`;
  } catch (error) {
    if (error instanceof EdgeformerError && error.code === "unsupported_model") return tooLarge;
    throw error;
  }
}

/** What the model would be once converted; only headers are read, and the files are closed. */
async function readLayout(files: readonly ByteSource[]): Promise<ModelLayout> {
  const { checkpoint, config, dialect } = await openGgufModel(files);
  await checkpoint.close();
  const tie_word_embeddings = !checkpoint.tensors.has("output.weight");
  const recipe = recipeOf(new ConfigFields({ ...config, tie_word_embeddings }));
  const kindOf = kindsFor(
    (tensor) =>
      dialect.values(tensor, recipe).map(({ name }) => checkpoint.tensors.get(name)?.dtype ?? "F32"),
    8,
  );
  return { recipe, tensors: placeTensors(recipe, kindOf).tensors };
}

/** Opens all files of a set. @throws EdgeformerError `invalid_model` if one is missing */
export async function openAll(source: CheckpointSource, names: readonly string[]): Promise<ByteSource[]> {
  const files: ByteSource[] = [];
  for (const name of names) {
    const file = await source.open(name);
    if (file !== undefined) {
      files.push(file);
      continue;
    }
    await Promise.all(files.map((opened) => opened.close()));
    throw new EdgeformerError(
      "invalid_model",
      names.length === 1
        ? `${source.label} has no file ${name}`
        : `${source.label}: ${name} is missing; the model is a set of ${names.length} files, all of which are needed`,
    );
  }
  return files;
}
