import type { Recipe } from "../../architectures/recipe.ts";
import type { Provenance } from "../../format/manifest.ts";
import type { Dialect } from "../dialects/dialect.ts";
import type { OpenedCheckpoint } from "../formats/open.ts";
import type { ReadGeneration } from "../generation-config.ts";
import type { ConvertedTokenizer } from "../tokenizers/convert-tokenizer.ts";

/** What is known about a published model before its weights are read, whatever its layout. */
export interface OpenedModel extends OpenedCheckpoint {
  layout: "hugging-face" | "gguf";
  /** What model it is, in the layout of Hugging Face's config.json. */
  config: Record<string, unknown>;
  dialect: Dialect;
  /** @param recipe of the model that is written: what its embedding and its special tokens are */
  tokenizer(recipe: Recipe): Promise<ConvertedTokenizer>;
  generation: ReadGeneration;
  /** What it says about itself. */
  about: Omit<Provenance, "source" | "revision" | "sha256">;
}
