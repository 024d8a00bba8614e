import { createHash } from "node:crypto";
import { EdgeformerError } from "../../errors.ts";
import { excerpt, quotedName } from "../../excerpt.ts";
import { type ByteSource, fileSource } from "../inputs/bytes.ts";
import { type CheckpointSource, readJson } from "../inputs/files.ts";
import type { Checkpoint, CheckpointTensor } from "./checkpoint.ts";
import { openSafetensors } from "./safetensors.ts";
import { openTorch } from "./torch.ts";

/** Where weights can be, in the order in which transformers looks for them. */
export const WEIGHTS_FILES = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
];

/** An index has some 100 bytes for a tensor. */
const MAX_INDEX_BYTES = 4 * 1024 * 1024;

/** A checkpoint, and the files that hold it, in order. It owns them and closes them. */
export interface OpenedCheckpoint {
  checkpoint: Checkpoint;
  files: readonly ByteSource[];
}

/** What a file is, by its first bytes. */
export type FileKind = "gguf" | "zip" | "pickle" | "safetensors";

/** A header of JSON, after eight bytes with its length. */
const JSON_START = 0x7b;

/** What the first bytes of a file say that it is; undefined if nothing that is known. */
export async function fileKind(file: ByteSource): Promise<FileKind | undefined> {
  const start = await file.read(0, Math.min(9, file.size));
  const magic = String.fromCharCode(...start.subarray(0, 4));
  if (magic === "GGUF") return "gguf";
  if (magic === "PK\x03\x04") return "zip";
  if (start[8] === JSON_START) return "safetensors";
  return start[0] === 0x80 ? "pickle" : undefined;
}

/**
 * The weights of a checkpoint.
 *
 * @param names the files that may hold them, the best first
 * @throws EdgeformerError `invalid_model` or `unsupported_model`
 */
export async function openCheckpoint(
  source: CheckpointSource,
  names: readonly string[] = WEIGHTS_FILES,
): Promise<OpenedCheckpoint> {
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

async function openFile(source: CheckpointSource, name: string): Promise<OpenedCheckpoint> {
  const path = await source.file(name);
  if (path === undefined) throw new EdgeformerError("invalid_model", `${source.label} has no file ${name}`);
  const file = await fileSource(path, name);
  try {
    const kind = await fileKind(file);
    if (kind === undefined || kind === "gguf")
      throw new EdgeformerError(
        "invalid_model",
        `${name}: this is no safetensors file, and not a file that torch.save wrote; download it again`,
      );
    return { checkpoint: await (kind === "safetensors" ? openSafetensors : openTorch)(file), files: [file] };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens the files that an index names and checks that each tensor is where the index says. */
async function openShards(source: CheckpointSource, index: string): Promise<OpenedCheckpoint> {
  const fail = (message: string): never => {
    throw new EdgeformerError("invalid_model", `${index}: ${message}`);
  };
  const map = ((await readJson(source, index, MAX_INDEX_BYTES)) as { weight_map?: unknown } | null)
    ?.weight_map;
  if (typeof map !== "object" || map === null) return fail("it has no weight_map");
  const places = Object.entries(map as Record<string, unknown>);
  for (const [name, file] of places)
    if (typeof file !== "string" || !/^[\w.-]{1,200}\.(safetensors|bin)$/.test(file) || file.startsWith("."))
      fail(`${quotedName(name)} is said to be in ${excerpt(file)}, which is not the name of a weights file`);
  const opened = new Map<string, OpenedCheckpoint>();
  const close = async () => {
    for (const { checkpoint } of opened.values()) await checkpoint.close();
  };
  try {
    for (const file of [...new Set(places.map(([, file]) => file as string))].sort())
      opened.set(file, await openFile(source, file));
    const tensors = new Map<string, CheckpointTensor>();
    for (const [name, file] of places) {
      const tensor = opened.get(file as string)?.checkpoint.tensors.get(name);
      tensors.set(name, tensor ?? fail(`${quotedName(name)} is not in ${file}`));
    }
    return { checkpoint: { tensors, close }, files: [...opened.values()].flatMap(({ files }) => files) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Hashed at once. */
const HASH_BYTES = 1 << 20;

/**
 * SHA-256 of the files' bytes, one file after another, in hexadecimal.
 *
 * @param onProgress called with the bytes hashed so far
 */
export async function hashFiles(
  files: readonly ByteSource[],
  onProgress?: (done: number, total: number) => void,
): Promise<string> {
  const hash = createHash("sha256");
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  for (const file of files)
    for (let at = 0; at < file.size; at += HASH_BYTES) {
      const length = Math.min(HASH_BYTES, file.size - at);
      hash.update(await file.read(at, length));
      done += length;
      onProgress?.(done, total);
    }
  return hash.digest("hex");
}
