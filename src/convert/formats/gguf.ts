import { EdgeformerError } from "../../errors.ts";
import { quotedName } from "../../excerpt.ts";
import type { ByteSource } from "../inputs/bytes.ts";
import type { Checkpoint, CheckpointTensor } from "./checkpoint.ts";
import { groupReader } from "./gguf-groups.ts";
import { type GgufTensorInfo, readGgufHeader } from "./gguf-header.ts";
import type { GgufMetadata } from "./gguf-metadata.ts";
import { ggufType } from "./gguf-types.ts";

export interface GgufCheckpoint extends Checkpoint {
  /** Of the first file of a set. */
  readonly metadata: GgufMetadata;
}

const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** The names of all files of the set that `name` belongs to, in order; `name` alone if it belongs to none. */
export function ggufSet(name: string): string[] {
  const [, stem, , count] = PART.exec(name) ?? [];
  if (count === undefined || Number(count) === 0) return [name];
  return Array.from(
    { length: Number(count) },
    (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`,
  );
}

/**
 * Opens a GGUF file, or all files of a set in their order. Only headers are read; tensors are read when asked for.
 * The checkpoint owns the sources and closes them; they stay open if this rejects.
 *
 * @throws EdgeformerError `invalid_model` or `unsupported_model`
 */
export async function openGguf(sources: ByteSource | readonly ByteSource[]): Promise<GgufCheckpoint> {
  const files: readonly ByteSource[] = "read" in sources ? [sources] : sources;
  const tensors = new Map<string, CheckpointTensor>();
  let first: GgufMetadata | undefined;
  for (const [index, file] of files.entries()) {
    const header = await readGgufHeader(file);
    checkPart(header.metadata, index, files.length);
    first ??= header.metadata;
    for (const [name, info] of header.tensors) {
      if (tensors.has(name))
        throw new EdgeformerError(
          "invalid_model",
          `${file.name}: tensor ${quotedName(name)} is in an earlier file of the set, too; download the set again`,
        );
      tensors.set(name, ggufTensor(file, info));
    }
  }
  if (first === undefined) throw new EdgeformerError("invalid_model", "no GGUF file was given");
  const total = first.integer("split.tensors.count");
  if (total !== undefined && total !== tensors.size)
    throw new EdgeformerError(
      "invalid_model",
      `${first.file}: split.tensors.count is ${total}, but there are ${tensors.size} tensors; download the set again`,
    );
  return {
    metadata: first,
    tensors,
    async close() {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

/** Checks that a file is the one of the set that its place says; `split.no` counts from 0. */
function checkPart(metadata: GgufMetadata, index: number, files: number): void {
  const count = metadata.integer("split.count") ?? 0;
  const number = metadata.integer("split.no") ?? 0;
  if (Math.max(count, 1) !== files || (count > 0 && number !== index))
    throw new EdgeformerError(
      "invalid_model",
      count > 1
        ? `${metadata.file}: it says that it is part ${number + 1} of ${count}, but was opened as part ${index + 1} of ${files}; keep the set's files together under their names`
        : `${metadata.file}: its name says that it is one of ${files} files, but split.count does not`,
    );
}

function ggufTensor(source: ByteSource, info: GgufTensorInfo): CheckpointTensor {
  const { name, shape, offset } = info;
  const type = ggufType(info.type, name, source.name);
  const { blockSize, blockBytes } = type;
  const readBlocks = (first: number, count: number) =>
    source.read(offset + first * blockBytes, count * blockBytes);
  const columns = shape.at(-1) as number;
  const decode = groupReader(type.name);
  return {
    shape,
    dtype: type.name,
    async read(start, count) {
      const first = Math.floor(start / blockSize);
      const blocks = Math.ceil((start + count) / blockSize) - first;
      const values = new Float32Array(blocks * blockSize);
      type.dequantize(await readBlocks(first, blocks), values);
      const skipped = start - first * blockSize;
      return skipped === 0 && values.length === count ? values : values.slice(skipped, skipped + count);
    },
    ...(decode !== undefined && {
      async grouped(firstRow, rows) {
        const perRow = columns / blockSize;
        const grouped = decode(await readBlocks(firstRow * perRow, rows * perRow), rows, columns);
        if (!grouped.steps.every(Number.isFinite) || !grouped.minima.every(Number.isFinite))
          throw new EdgeformerError(
            "invalid_model",
            `${source.name}: tensor ${quotedName(name)} holds NaN or infinite weights`,
          );
        return grouped;
      },
    }),
  };
}
