import { type CheckpointSource, MAX_CONFIG_BYTES, readFileOf, readJson } from "../inputs/files.ts";
import { isObject } from "./json-value.ts";

/** The templates of conversations (Jinja): the default one and those with a name, such as "tool_use". */
export interface ChatTemplates {
  template: string | undefined;
  named: Record<string, string>;
}

/** A template, or a list of named ones of which one is called "default". */
function templatesOf(value: unknown): ChatTemplates {
  if (typeof value === "string") return { template: value, named: {} };
  const { default: template, ...named } = Object.fromEntries(
    (Array.isArray(value) ? value : []).flatMap((entry: unknown) =>
      isObject(entry) && typeof entry.name === "string" && typeof entry.template === "string"
        ? [[entry.name, entry.template]]
        : [],
    ),
  ) as Record<string, string>;
  return { template, named };
}

/** The one that a conversation with tools takes in place of the default one. */
const TOOL_USE = "additional_chat_templates/tool_use.jinja";

/** Where a checkpoint keeps its templates: newer places first. */
export async function readChatTemplates(source: CheckpointSource): Promise<ChatTemplates> {
  const [template, tool_use] = await Promise.all(
    ["chat_template.jinja", TOOL_USE].map(async (name) => {
      const file = await readFileOf(source, name, MAX_CONFIG_BYTES);
      return file && new TextDecoder().decode(file);
    }),
  );
  if (template !== undefined) return { template, named: tool_use === undefined ? {} : { tool_use } };
  for (const name of ["chat_template.json", "tokenizer_config.json"]) {
    const json = await readJson(source, name);
    const found = templatesOf(isObject(json) ? json.chat_template : undefined);
    if (found.template !== undefined) return found;
  }
  return { template: undefined, named: {} };
}
