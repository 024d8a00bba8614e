import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { ConfigFields } from "../architectures/config-fields.ts";
import { recipeOf } from "../architectures/index.ts";
import { planMemory } from "../engine/memory.ts";
import { EdgeformerError } from "../errors.ts";
import { placeTensors } from "../format/layout.ts";
import {
  type FileInfo,
  FORMAT_VERSION,
  MAX_MANIFEST_BYTES,
  type Manifest,
  manifestFile,
  parseManifest,
} from "../format/manifest.ts";
import { bundledModel } from "../node/index.ts";
import { parseTokenizerTable } from "../text/tokenizer.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { dialectOf } from "./dialects/index.ts";
import { findModel } from "./find-model.ts";
import { hashFiles, openCheckpoint } from "./formats/open.ts";
import { MAX_CONFIG_BYTES, readJson } from "./inputs/files.ts";
import { adaptedConfig, mergeLora } from "./lora.ts";
import { type ConvertedTokenizer, convertTokenizer } from "./tokenizers/convert-tokenizer.ts";
import { chooseCorpus, measureFidelity } from "./verify/fidelity.ts";
import { openWeights, type Weights } from "./weights.ts";
import { writeImage } from "./write/image.ts";
import { modelCard } from "./write/model-card.ts";
import { checkOutput, writeAside } from "./write/output.ts";

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new EdgeformerError("aborted", "interrupted; nothing was written", { cause: signal.reason });
}

/** A checkpoint with its adapter, if there is one, matched against its configuration. */
async function openSource(options: ConvertOptions): Promise<OpenedSource> {
  const { source, adapter, tokenizerSource } = await findModel(options);
  let close = adapter?.close;
  try {
    const json = await readJson(source, "config.json", MAX_CONFIG_BYTES);
    if (json === undefined)
      throw new EdgeformerError(
        "invalid_model",
        `${source.label} has no config.json, which says what model it is`,
      );
    let recipe = recipeOf(new ConfigFields(json));
    const dialect = dialectOf(recipe.architecture);
    const given = json as Record<string, unknown>;
    const config = adapter ? adaptedConfig(given, adapter, dialect, recipe) : given;
    recipe = recipeOf(new ConfigFields(config));
    // A model that no memory holds is refused before it is downloaded.
    planMemory({ recipe, tensors: placeTensors(recipe).tensors }, { maxSequences: 1 });
    const tokenizer = await convertTokenizer(tokenizerSource, {
      rows: recipe.vocabSize,
      bosTokenId: recipe.bosTokenId,
      eosTokenId: recipe.eosTokenIds[0] ?? null,
      gpt2Table: bundledTokenizer,
    });
    const opened = await openCheckpoint(source);
    let { checkpoint } = opened;
    close = async () => {
      await Promise.all([opened.checkpoint.close(), adapter?.close()]);
    };
    if (adapter) checkpoint = await mergeLora(checkpoint, adapter, dialect, recipe);
    return {
      weights: await openWeights(checkpoint, config, dialect, options.onWarning),
      tokenizer,
      paths: [...opened.paths, ...(adapter?.paths ?? [])],
      label: adapter ? `${source.label} + ${adapter.label}` : source.label,
      revision: source.revision,
    };
  } catch (error) {
    await close?.();
    throw error;
  }
}

interface OpenedSource {
  weights: Weights;
  tokenizer: ConvertedTokenizer;
  paths: string[];
  label: string;
  revision: string | null;
}

/** Writes a file of the model directory; what model.json says of it. */
async function writeFileOf(directory: string, file: string, bytes: Uint8Array): Promise<FileInfo> {
  await writeFile(join(directory, file), bytes);
  return { file, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** GPT-2's own vocabulary, which the bundled model has. */
async function bundledTokenizer(): Promise<Uint8Array> {
  return readFile(join(bundledModel(), "tokenizer.bin"));
}

/** Writes the model into `directory`. */
async function writeModel(
  directory: string,
  source: OpenedSource,
  options: ConvertOptions,
): Promise<Manifest> {
  const { weights, label, revision, paths } = source;
  const { table, chatTemplate } = source.tokenizer;
  const report = (step: string) => (done: number, total: number) => {
    throwIfAborted(options.signal);
    options.onProgress?.(step, done, total);
  };
  const { tensors, parts } = await writeImage(directory, weights, { onProgress: report("converting") });
  const manifest: Manifest = {
    format: "edgeformer",
    version: FORMAT_VERSION,
    name: options.name ?? basename(resolve(options.out)),
    architecture: weights.recipe.architecture,
    config: weights.config,
    recipe: weights.recipe,
    tokenizer: table === null ? null : await writeFileOf(directory, "tokenizer.bin", table),
    tensors,
    parts,
    provenance: { source: label, revision, sha256: await hashFiles(paths) },
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
  };
  if (options.verify !== undefined) {
    const corpus = chooseCorpus(
      manifest,
      table === null ? undefined : parseTokenizerTable(table),
      options.verify === true ? undefined : options.verify,
    );
    const onProgress = (share: number) => report("verifying")(share, 1);
    manifest.fidelity = await measureFidelity(directory, manifest, weights, corpus, onProgress);
  }
  const file = manifestFile(manifest);
  parseManifest(file);
  const text = Buffer.from(`${JSON.stringify(file, null, 1)}\n`);
  if (text.length > MAX_MANIFEST_BYTES)
    throw new EdgeformerError(
      "unsupported_model",
      `model.json would have ${text.length} bytes, and at most ${MAX_MANIFEST_BYTES} are read: is the chat template that long?`,
    );
  await writeFile(join(directory, "model.json"), text);
  await writeFile(join(directory, "README.md"), modelCard(manifest));
  return manifest;
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
  const source = await openSource(options);
  try {
    for (const warning of source.tokenizer.warnings) options.onWarning?.(warning);
    return await writeAside(out, force, (directory) => writeModel(directory, source, options));
  } finally {
    await source.weights.close();
  }
}
