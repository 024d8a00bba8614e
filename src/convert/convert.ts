import { writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { EdgeformerError } from "../errors.ts";
import { FORMAT_VERSION, type Manifest, parseManifest } from "../manifest.ts";
import { modelCard } from "./card.ts";
import { parseCheckpointConfig } from "./config.ts";
import { writeImage } from "./image.ts";
import { hashFiles, openCheckpoint } from "./open.ts";
import { checkOutput, writeAside } from "./output.ts";
import { type CheckpointSource, localSource, readJson } from "./source.ts";
import { detectTokenizer } from "./tokenizer.ts";
import { openWeights } from "./weights.ts";

/** What the converter is doing, in bytes of that step. */
export type ConvertProgress = (step: string, done: number, total: number) => void;

export interface ConvertOptions {
  /** A directory in Hugging Face's layout or a weights file. */
  source: string;
  /** The model directory to write. */
  out: string;
  /** The model's name. [the last part of `out`] */
  name?: string;
  /** Replace the model that is at `out`. [false] */
  force?: boolean;
  /** Text of README.md instead of the generated card. */
  card?: string;
  onProgress?: ConvertProgress;
  /** Stops the conversion; nothing is left behind. */
  signal?: AbortSignal;
  /** Things to know about the result, one sentence each. */
  onWarning?: (message: string) => void;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new EdgeformerError("aborted", "interrupted; nothing was written", { cause: signal.reason });
}

async function findSource(source: string): Promise<CheckpointSource> {
  const local = await localSource(source);
  if (local) return local;
  throw new EdgeformerError("invalid_option", `there is no file or directory ${source}`, { param: "source" });
}

/**
 * Converts a checkpoint into a model directory (docs/convert.md), completely or not at all.
 *
 * @returns the manifest written to model.json
 * @throws EdgeformerError naming what is wrong with the source or the options
 */
export async function convert(options: ConvertOptions): Promise<Manifest> {
  const { out, force = false } = options;
  await checkOutput(out, force);
  const source = await findSource(options.source);
  const json = await readJson(source, "config.json");
  if (json === undefined)
    throw new EdgeformerError(
      "invalid_model",
      `${source.label} has no config.json, which says what model it is`,
    );
  const { architecture, config: declared } = parseCheckpointConfig(json);
  const { tokenizer, chatTemplate, warnings } = await detectTokenizer(source, declared.vocab_size);
  for (const warning of warnings) options.onWarning?.(warning);
  const { checkpoint, paths } = await openCheckpoint(source);
  try {
    const weights = await openWeights(checkpoint, architecture, declared);
    const name = options.name ?? basename(resolve(out));
    return await writeAside(out, force, async (directory) => {
      const { tensors, parts } = await writeImage(directory, weights, {
        onProgress: (done, total) => {
          throwIfAborted(options.signal);
          options.onProgress?.("converting", done, total);
        },
      });
      const manifest: Manifest = {
        format: "edgeformer",
        version: FORMAT_VERSION,
        name,
        architecture,
        config: weights.config,
        tokenizer,
        tensors,
        parts,
        provenance: { source: source.label, revision: source.revision, sha256: await hashFiles(paths) },
        ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
      };
      parseManifest(manifest);
      await writeFile(join(directory, "model.json"), `${JSON.stringify(manifest, null, 1)}\n`);
      await writeFile(join(directory, "README.md"), options.card ?? modelCard(manifest));
      return manifest;
    });
  } finally {
    await checkpoint.close();
  }
}
