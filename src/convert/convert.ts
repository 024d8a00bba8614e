import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { ConfigFields } from "../architectures/config-fields.ts";
import { recipeOf } from "../architectures/index.ts";
import type { Recipe } from "../architectures/recipe.ts";
import { EdgeformerError } from "../errors.ts";
import type { GenerationConfig } from "../format/generation.ts";
import {
  type FileInfo,
  FORMAT_VERSION,
  MAX_MANIFEST_BYTES,
  type Manifest,
  manifestFile,
  type Provenance,
  parseManifest,
} from "../format/manifest.ts";
import { openModel } from "../node/index.ts";
import { parseTokenizerTable } from "../text/tokenizer.ts";
import { chooseRounding } from "./choose-rounding.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { findModel } from "./find-model.ts";
import { type Budget, checkBudget, coarsestKind } from "./fitted-kinds.ts";
import { hashFiles } from "./formats/open.ts";
import { withEosTokens } from "./generation-config.ts";
import type { ByteSource } from "./inputs/bytes.ts";
import { openSourceModel } from "./layouts/index.ts";
import { adaptedConfig, mergeLora } from "./lora.ts";
import { equalized } from "./quantize/equalize.ts";
import { withoutKeyBias } from "./quantize/key-bias.ts";
import { kindInFourBits } from "./quantize/kinds-for.ts";
import { checkChatTemplate } from "./tokenizers/check-template.ts";
import type { ConvertedTokenizer } from "./tokenizers/convert-tokenizer.ts";
import { chooseCorpus, measureFidelity } from "./verify/fidelity.ts";
import { openWeights, type Weights } from "./weights.ts";
import { writeImage } from "./write/image.ts";
import { modelCard } from "./write/model-card.ts";
import { checkOutput, writeAside } from "./write/output.ts";

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new EdgeformerError("aborted", "interrupted; nothing was written", { cause: signal.reason });
}

interface OpenedSource {
  weights: Weights;
  tokenizer: ConvertedTokenizer;
  generation: GenerationConfig | undefined;
  /** Sentences for whoever converts. */
  warnings: string[];
  /** The files that hold the weights. */
  files: readonly ByteSource[];
  provenance: Omit<Provenance, "sha256">;
}

/** A checkpoint with its adapter, if there is one, matched against its configuration. */
async function openSource(options: ConvertOptions): Promise<OpenedSource> {
  const { source, adapter, tokenizerSource } = await findModel(options);
  const { onProgress, onWarning, signal } = options;
  let close = adapter?.close;
  try {
    const model = await openSourceModel(source, {
      tokenizerSource,
      ...(options.bits === 4 && { kindOf: kindInFourBits }),
      ...(options.fit !== undefined && { kindOf: coarsestKind }),
      ...(onWarning && { onWarning }),
      ...(signal && { signal }),
      ...(onProgress && {
        onProgress: (file: string, done: number, total: number) =>
          onProgress(`unpacking ${file}`, done, total),
      }),
    });
    close = async () => {
      await Promise.all([model.checkpoint.close(), adapter?.close()]);
    };
    if (adapter && model.layout === "gguf")
      throw new EdgeformerError(
        "unsupported_model",
        "a LoRA adapter cannot be merged into a GGUF file; convert its base model from Hugging Face's layout",
      );
    const { dialect } = model;
    let { config, checkpoint } = model;
    let recipe = recipeOf(new ConfigFields(config));
    if (adapter) {
      config = adaptedConfig(config, adapter, dialect, recipe);
      recipe = recipeOf(new ConfigFields(config));
    }
    const tokenizer = await model.tokenizer(recipe);
    const { table, chatTemplate } = tokenizer;
    config = withEosTokens(config, model.generation.eosTokenId, table && eosTokenOf(table));
    const warnings = chatTemplate === undefined ? [] : checkChatTemplate(chatTemplate, table);
    if (adapter) checkpoint = await mergeLora(checkpoint, adapter, dialect, recipe);
    return {
      weights: await openWeights(checkpoint, config, dialect, onWarning),
      tokenizer,
      generation: options.generation ?? model.generation.settings,
      warnings: [...tokenizer.warnings, ...model.generation.warnings, ...warnings],
      files: [...model.files, ...(adapter?.files ?? [])],
      provenance: {
        source: adapter ? `${source.label} + ${adapter.label}` : source.label,
        revision: source.revision,
        ...model.about,
      },
    };
  } catch (error) {
    await close?.();
    throw error;
  }
}

/** Writes a file of the model directory; what model.json says of it. */
async function writeFileOf(directory: string, file: string, bytes: Uint8Array): Promise<FileInfo> {
  await writeFile(join(directory, file), bytes);
  return { file, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** The token that ends a text for the tokenizer's own files; vLLM takes it for an end, too. */
function eosTokenOf(table: Uint8Array): number | undefined {
  const { namedTokens, specialTokens } = parseTokenizerTable(table);
  return specialTokens.get(namedTokens.get("eos_token") ?? "");
}

/** A context that nobody chose, where the model has more positions: what an isolate may hold of a small model. */
const PLANNED_CONTEXT = 1024;

function budgetOf({ fit, context }: ConvertOptions, { maxPositions }: Recipe): Budget | undefined {
  return fit === undefined
    ? undefined
    : { bytes: fit, context: context ?? Math.min(maxPositions, PLANNED_CONTEXT) };
}

/** Writes the model into `directory`. */
async function writeModel(
  directory: string,
  source: OpenedSource,
  options: ConvertOptions,
): Promise<Manifest> {
  const { weights, files, provenance, generation } = source;
  const { table, chatTemplate, namedTemplates = {} } = source.tokenizer;
  const report = (step: string) => (done: number, total: number) => {
    options.onProgress?.(step, done, total);
    throwIfAborted(options.signal);
  };
  const tokenizer = table === null ? undefined : parseTokenizerTable(table);
  const sha256 = await hashFiles(files, report("hashing the source"));
  if (options.sha256 !== undefined && sha256 !== options.sha256)
    throw new EdgeformerError(
      "invalid_model",
      `${provenance.source}: its SHA-256 is ${sha256} instead of ${options.sha256}: it is damaged, or another file`,
    );
  const described = {
    format: "edgeformer" as const,
    version: FORMAT_VERSION,
    name: options.name ?? basename(resolve(options.out)),
    architecture: weights.recipe.architecture,
    config: weights.config,
    recipe: weights.recipe,
    provenance: { ...provenance, sha256 },
  };
  const rounded = equalized(withoutKeyBias(weights));
  const { rounding, describe } = await chooseRounding(directory, rounded, {
    bits: options.bits ?? 8,
    budget: budgetOf(options, weights.recipe),
    text: options.calibrate,
    tokenizer,
    onProgress: (step, share) => report(step)(share, 1),
    async open(at, { tensors, parts }) {
      const model = { ...described, tensors, parts, tokenizer: null };
      await writeFile(join(at, "model.json"), JSON.stringify(manifestFile(model)));
      return openModel(at, { maxSequences: 16 });
    },
  });
  const { tensors, parts } = await writeImage(directory, rounded, {
    rounding,
    onProgress: report("converting"),
  });
  if (describe) options.onWarning?.(await describe(directory, { recipe: weights.recipe, tensors, parts }));
  const manifest: Manifest = {
    ...described,
    tokenizer: table === null ? null : await writeFileOf(directory, "tokenizer.bin", table),
    tensors,
    parts,
    ...(generation && { generation }),
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
    ...(Object.keys(namedTemplates).length === 0 ? {} : { named_chat_templates: namedTemplates }),
  };
  if (options.verify !== undefined) {
    const corpus = chooseCorpus(manifest, tokenizer, options.verify === true ? undefined : options.verify);
    const onProgress = (share: number) => report("verifying")(share, 1);
    manifest.fidelity = await measureFidelity(directory, manifest, weights, corpus, onProgress);
  }
  const file = manifestFile(manifest);
  parseManifest(file);
  const text = Buffer.from(`${JSON.stringify(file, null, 1)}\n`);
  if (text.length > MAX_MANIFEST_BYTES)
    throw new EdgeformerError(
      "unsupported_model",
      `model.json would have ${text.length} bytes, and at most ${MAX_MANIFEST_BYTES} are read: is its name or its chat template that long?`,
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
  const { out, force = false, bits = 8 } = options;
  if (bits !== 4 && bits !== 8)
    throw new EdgeformerError("invalid_option", `bits must be 4 or 8, not ${String(bits)}`, {
      param: "bits",
    });
  const { fit } = options;
  if (fit !== undefined && (options.bits !== undefined || !(fit > 0)))
    throw new EdgeformerError(
      "invalid_option",
      options.bits === undefined
        ? `fit must be a number of bytes, not ${fit}`
        : "fit chooses the bits of each matrix itself: leave bits out",
      { param: "fit" },
    );
  if (options.context !== undefined && fit === undefined)
    throw new EdgeformerError("invalid_option", "a context is planned for with fit only", {
      param: "context",
    });
  if (options.calibrate !== undefined && bits !== 4 && fit === undefined)
    throw new EdgeformerError("invalid_option", "a text to calibrate on is of use with four bits only", {
      param: "calibrate",
    });
  await checkOutput(out, force);
  const source = await openSource(options);
  try {
    const { recipe } = source.weights;
    const budget = budgetOf(options, recipe);
    if (budget) checkBudget(recipe, budget);
    for (const warning of source.warnings) options.onWarning?.(warning);
    return await writeAside(out, force, (directory) => writeModel(directory, source, options));
  } finally {
    await source.weights.close();
  }
}
