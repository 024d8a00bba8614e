import { type CheckpointSource, MAX_CONFIG_BYTES, readFileOf, readJson } from "../inputs/files.ts";
import { isObject } from "./json-value.ts";

/** A template, or the one that a list of them calls "default". */
function chosen(template: unknown): string | undefined {
  if (typeof template === "string") return template;
  const named = Array.isArray(template)
    ? template.filter(isObject).find(({ name }) => name === "default")
    : undefined;
  return typeof named?.template === "string" ? named.template : undefined;
}

/** Where a checkpoint keeps its Jinja template of conversations: newer places first. */
export async function readChatTemplate(source: CheckpointSource): Promise<string | undefined> {
  const file = await readFileOf(source, "chat_template.jinja", MAX_CONFIG_BYTES);
  if (file !== undefined) return new TextDecoder().decode(file);
  for (const name of ["chat_template.json", "tokenizer_config.json"]) {
    const json = await readJson(source, name);
    const template = isObject(json) ? chosen(json.chat_template) : undefined;
    if (template !== undefined) return template;
  }
  return undefined;
}
