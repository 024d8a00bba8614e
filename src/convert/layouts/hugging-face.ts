import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigFields } from "../../architectures/config-fields.ts";
import { recipeOf } from "../../architectures/index.ts";
import type { TensorSpec } from "../../architectures/recipe.ts";
import { planMemory } from "../../engine/memory.ts";
import { EdgeformerError } from "../../errors.ts";
import type { WeightKind } from "../../format/kinds.ts";
import { defaultKind, placeTensors } from "../../format/layout.ts";
import { bundledModel } from "../../node/index.ts";
import { dialectOf } from "../dialects/index.ts";
import { openCheckpoint } from "../formats/open.ts";
import { readGeneration } from "../generation-config.ts";
import { type CheckpointSource, MAX_CONFIG_BYTES, readJson } from "../inputs/files.ts";
import { convertTokenizer } from "../tokenizers/convert-tokenizer.ts";
import type { OpenedModel } from "./opened-model.ts";

/** GPT-2's own vocabulary, which the bundled model has. */
function bundledTokenizer(): Promise<Uint8Array> {
  return readFile(join(bundledModel(), "tokenizer.bin"));
}

/**
 * A model as transformers saves it: config.json, weights, and the tokenizer's files.
 *
 * @param kindOf what each matrix will be stored in, which decides how much memory the model needs
 * @param tokenizerSource has the tokenizer's files, where they are not among the model's
 * @throws EdgeformerError `invalid_model` or `unsupported_model`
 */
export async function openHuggingFace(
  source: CheckpointSource,
  tokenizerSource = source,
  kindOf: (tensor: TensorSpec) => WeightKind = defaultKind,
): Promise<OpenedModel> {
  const config = await readJson(source, "config.json", MAX_CONFIG_BYTES);
  if (config === undefined)
    throw new EdgeformerError(
      "invalid_model",
      `${source.label} has no config.json, which says what model it is, and is no GGUF file, which says so itself`,
    );
  const recipe = recipeOf(new ConfigFields(config));
  // A model that no memory holds is refused before it is downloaded.
  planMemory({ recipe, tensors: placeTensors(recipe, kindOf).tensors }, { maxSequences: 1 });
  const generation = await readGeneration(source);
  const opened = await openCheckpoint(source);
  return {
    ...opened,
    layout: "hugging-face",
    config: config as Record<string, unknown>,
    dialect: dialectOf(recipe.architecture),
    tokenizer: ({ vocabSize, bosTokenId, eosTokenIds }) =>
      convertTokenizer(tokenizerSource, {
        rows: vocabSize,
        bosTokenId,
        eosTokenId: eosTokenIds[0] ?? null,
        gpt2Table: bundledTokenizer,
      }),
    generation,
    about: {},
  };
}
