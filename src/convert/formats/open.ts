import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { EdgeformerError } from "../../errors.ts";
import { excerpt } from "../../excerpt.ts";
import { fileSource } from "../inputs/bytes.ts";
import { type CheckpointSource, readJson } from "../inputs/files.ts";
import type { Checkpoint, CheckpointTensor } from "./checkpoint.ts";
import { printable } from "./gguf-metadata.ts";
import { openSafetensors } from "./safetensors.ts";
import { openTorch } from "./torch.ts";

/** Where weights can be, in the order in which transformers looks for them. */
const WEIGHTS_FILES = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
];

/** An index has some 100 bytes for a tensor. */
const MAX_INDEX_BYTES = 4 * 1024 * 1024;

/**
 * The weights of a checkpoint and the paths of the files that hold them, in order.
 *
 * @param names the files that may hold them, the best first
 * @throws EdgeformerError `invalid_model` or `unsupported_model`
 */
export async function openCheckpoint(
  source: CheckpointSource,
  names: readonly string[] = WEIGHTS_FILES,
): Promise<{ checkpoint: Checkpoint; paths: string[] }> {
  const candidates = source.weightsFile === undefined ? names : [source.weightsFile];
  for (const name of candidates) {
    if ((await source.file(name)) === undefined) continue;
    return name.endsWith(".json") ? openShards(source, name) : openFile(source, name);
  }
  throw new EdgeformerError(
    "invalid_model",
    `${source.label} has no weights: looked for ${candidates.join(", ")}`,
  );
}

async function openFile(
  source: CheckpointSource,
  name: string,
): Promise<{ checkpoint: Checkpoint; paths: string[] }> {
  const path = await source.file(name);
  if (path === undefined) throw new EdgeformerError("invalid_model", `${source.label} has no file ${name}`);
  const file = await fileSource(path, name);
  try {
    const open = name.endsWith(".safetensors") ? openSafetensors : openTorch;
    return { checkpoint: await open(file), paths: [path] };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens the files that an index names and checks that each tensor is where the index says. */
async function openShards(
  source: CheckpointSource,
  index: string,
): Promise<{ checkpoint: Checkpoint; paths: string[] }> {
  const fail = (message: string): never => {
    throw new EdgeformerError("invalid_model", `${index}: ${message}`);
  };
  const map = ((await readJson(source, index, MAX_INDEX_BYTES)) as { weight_map?: unknown } | null)
    ?.weight_map;
  if (typeof map !== "object" || map === null) return fail("it has no weight_map");
  const places = Object.entries(map as Record<string, unknown>);
  for (const [name, file] of places)
    if (typeof file !== "string" || !/^[\w.-]+\.(safetensors|bin)$/.test(file) || file.startsWith("."))
      fail(`${printable(name)} is said to be in ${excerpt(file)}, which is not the name of a weights file`);
  const opened = new Map<string, { checkpoint: Checkpoint; paths: string[] }>();
  const close = async () => {
    for (const { checkpoint } of opened.values()) await checkpoint.close();
  };
  try {
    for (const file of [...new Set(places.map(([, file]) => file as string))].sort())
      opened.set(file, await openFile(source, file));
    const tensors = new Map<string, CheckpointTensor>();
    for (const [name, file] of places) {
      const tensor = opened.get(file as string)?.checkpoint.tensors.get(name);
      tensors.set(name, tensor ?? fail(`${printable(name)} is not in ${file}`));
    }
    return { checkpoint: { tensors, close }, paths: [...opened.values()].flatMap(({ paths }) => paths) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** SHA-256 of the files' bytes, one file after another, in hexadecimal. */
export async function hashFiles(paths: string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths)
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
      hash.update(chunk as Buffer);
  return hash.digest("hex");
}
