import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { EdgeformerError } from "../errors.ts";
import { fileSource } from "./bytes.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openSafetensors } from "./safetensors.ts";
import type { CheckpointSource } from "./source.ts";

const WEIGHTS_FILES = ["model.safetensors"] as const;

/** The weights of a checkpoint and the paths of the files that hold them, in order. */
export async function openCheckpoint(
  source: CheckpointSource,
): Promise<{ checkpoint: Checkpoint; paths: string[] }> {
  for (const name of source.weightsFile === undefined ? WEIGHTS_FILES : [source.weightsFile]) {
    const path = await source.file(name);
    if (path === undefined) continue;
    const file = await fileSource(path, name);
    try {
      return { checkpoint: await openSafetensors(file), paths: [path] };
    } catch (error) {
      await file.close();
      throw error;
    }
  }
  throw new EdgeformerError(
    "invalid_model",
    `${source.label} has no weights: looked for ${WEIGHTS_FILES.join(", ")}`,
  );
}

/** SHA-256 of the files' bytes, one file after another, in hexadecimal. */
export async function hashFiles(paths: string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths)
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
      hash.update(chunk as Buffer);
  return hash.digest("hex");
}
