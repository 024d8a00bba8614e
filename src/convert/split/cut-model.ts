import { createHash } from "node:crypto";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spansOf, stretchesOf } from "../../chain/stage-layout.ts";
import { EdgeformerError } from "../../errors.ts";
import {
  type ChainPlan,
  MAX_PART_BYTES,
  type Manifest,
  manifestFile,
  type PartInfo,
} from "../../format/manifest.ts";
import type { ModelSource } from "../../loading/load-options.ts";
import { readWhole } from "../../loading/open-file.ts";
import { PartWriter } from "../write/part-writer.ts";

/** The model directory of a stage within a split; `stage` counts from 1. */
export function stageModel(out: string, stage: number): string {
  return join(out, `stage-${stage}`, "model");
}

function damaged(file: string, what: string): EdgeformerError {
  return new EdgeformerError(
    "invalid_model",
    `${file}: ${what}; the file is damaged, copy or convert it again`,
  );
}

/** The bytes of the image, verified file by file: the last piece of a file is followed by nothing if its hash is wrong. */
async function* readImage(source: ModelSource, parts: readonly PartInfo[]): AsyncGenerator<Uint8Array> {
  for (const { file, bytes, sha256 } of parts) {
    const hash = createHash("sha256");
    let length = 0;
    for await (const chunk of await source.open(file)) {
      hash.update(chunk);
      length += chunk.length;
      if (length > bytes) throw damaged(file, `longer than its ${bytes} bytes`);
      yield chunk;
    }
    if (length < bytes) throw damaged(file, `ends after ${length} of its ${bytes} bytes`);
    if (hash.digest("hex") !== sha256) throw damaged(file, "the SHA-256 is not the one in model.json");
  }
}

/** Reads a stream of bytes in pieces of chosen lengths. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next `count` bytes, in whatever pieces they come. */
  async *take(count: number): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0; ) {
      if (this.#rest.length === 0) this.#rest = (await this.#chunks.next()).value as Uint8Array;
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** Reads on where nothing should be, so that the last file is verified, too. */
  async end(): Promise<void> {
    await this.#chunks.next();
  }
}

/**
 * Cuts a model directory into one for each stage. Each has the whole model.json, and the files that its stage loads.
 *
 * @param out an empty directory
 * @returns the manifest of all of them
 * @throws EdgeformerError `invalid_model` when a file of the model is damaged
 */
export async function cutModel(
  source: ModelSource,
  manifest: Manifest,
  plan: ChainPlan,
  out: string,
  maxPartBytes = MAX_PART_BYTES,
): Promise<Manifest> {
  const spans = spansOf(plan, manifest.recipe.layers.length);
  for (const { index } of spans) await mkdir(stageModel(out, index + 1), { recursive: true });
  const reader = new ByteReader(readImage(source, manifest.parts));
  const parts: PartInfo[] = [];
  for (const { bytes, stages } of stretchesOf(manifest, spans)) {
    const [first, ...others] = stages.map((stage) => stageModel(out, stage + 1));
    const writer = new PartWriter(first!, maxPartBytes, parts.length);
    try {
      for await (const piece of reader.take(bytes)) await writer.write(piece);
    } catch (error) {
      await writer.abandon();
      throw error;
    }
    const written = await writer.end();
    for (const other of others)
      for (const { file } of written) await copyFile(join(first!, file), join(other, file));
    parts.push(...written);
  }
  await reader.end();

  const cut: Manifest = { ...manifest, parts, chain: plan };
  const json = `${JSON.stringify(manifestFile(cut), null, 1)}\n`;
  for (const { index } of spans) await writeFile(join(stageModel(out, index + 1), "model.json"), json);
  if (manifest.tokenizer !== null) {
    const { file, bytes } = manifest.tokenizer;
    await writeFile(join(stageModel(out, 1), file), await readWhole(source, file, bytes));
  }
  return cut;
}
