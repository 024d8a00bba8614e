import { ConfigFields } from "../../architectures/config-fields.ts";
import { recipeOf } from "../../architectures/index.ts";
import { EdgeformerError } from "../../errors.ts";
import { ggufDialect } from "../dialects/gguf.ts";
import { ggufConfig, ggufKeys } from "../dialects/gguf-config.ts";
import { openGguf } from "../formats/gguf.ts";
import { ggufProvenance } from "../formats/gguf-provenance.ts";
import type { ByteSource } from "../inputs/bytes.ts";
import { convertGgufTokenizer } from "../tokenizers/convert-tokenizer.ts";
import { ggufChatTemplates, ggufTokenizer } from "../tokenizers/gguf-tokenizer.ts";
import type { OpenedModel } from "./opened-model.ts";

/** Reads a configuration as recipes do, so that what is wrong with it is told by the file's own keys. */
function checkConfig(config: Record<string, unknown>, file: string): void {
  try {
    recipeOf(new ConfigFields(config, `${file}: `));
  } catch (error) {
    if (!(error instanceof EdgeformerError)) throw error;
    const keys = ggufKeys(String(config.model_type));
    const message = error.message.replace(/\b[a-z]+(_[a-z]+)+\b/g, (name) => keys[name] ?? name);
    throw new EdgeformerError(error.code, message, { cause: error });
  }
}

/**
 * A GGUF file, or the files of a set in their order: weights, configuration, tokenizer and template in one. The model
 * owns the files and closes them; they are closed, too, if this rejects.
 *
 * @throws EdgeformerError `invalid_model` or `unsupported_model`, naming the key or the tensor
 */
export async function openGgufModel(files: readonly ByteSource[]): Promise<OpenedModel> {
  try {
    const checkpoint = await openGguf(files);
    const { metadata, tensors } = checkpoint;
    const config = await ggufConfig(checkpoint);
    checkConfig(config, metadata.file);
    const { name, author, organization, license, license_name, license_link, base_models, ...about } =
      ggufProvenance(metadata);
    const url = about.url ?? about.repo_url ?? about.source_url ?? about.source_repo_url;
    const facts = { name, author, organization, license, license_name, license_link, url, base_models };
    return {
      layout: "gguf",
      checkpoint,
      files,
      config,
      dialect: ggufDialect(tensors),
      async tokenizer({ vocabSize }) {
        const { template, named } = ggufChatTemplates(metadata);
        return {
          table: await convertGgufTokenizer(ggufTokenizer(metadata), vocabSize),
          ...(template !== undefined && { chatTemplate: template }),
          namedTemplates: named,
          warnings: [],
        };
      },
      generation: { settings: undefined, eosTokenId: undefined, warnings: [] },
      about: Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)),
    };
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
}
