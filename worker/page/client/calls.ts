import { camelCase } from "../../openai/wire/names.ts";
import type { Facts } from "../shared/facts.ts";
import { type ChatFields, effectiveFields, type PageRequest } from "./page-request.ts";

export interface Call {
  id: string;
  label: string;
  code: string;
}

/** A request as others would make it: what the page asks for besides, for its own sake, is left out. */
interface OthersRequest {
  isChat: boolean;
  origin: string;
  model: string;
  needsKey: boolean;
  /** Under the endpoint's names. */
  fields: Record<string, unknown> & Pick<ChatFields, "response_format">;
}

/** A text as one word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A value as TypeScript; the entries of a list of objects stand on lines of their own. */
function literal(value: unknown, indent = ""): string {
  if (Array.isArray(value) && typeof value[0] === "object")
    return `[\n${value.map((entry) => `${indent}  ${literal(entry)},\n`).join("")}${indent}]`;
  return JSON.stringify(value);
}

/** `{ key: value }` as TypeScript. */
function object(entries: [string, unknown][], indent = ""): string {
  const lines = entries.map(([key, value]) => `${indent}  ${key}: ${literal(value, `${indent}  `)},\n`);
  return `{\n${lines.join("")}${indent}}`;
}

/** Fields that the OpenAI client's types do not know. */
const EXTENSIONS = new Set(["top_k", "min_p", "repetition_penalty", "chat_template_date"]);

function curl({ isChat, origin, needsKey, fields }: OthersRequest): string {
  return [
    `curl -N ${origin}/v1/${isChat ? "chat/" : ""}completions`,
    `  -H "content-type: application/json"`,
    ...(needsKey ? [`  -H "authorization: Bearer $API_KEY"`] : []),
    `  -d ${quoted(JSON.stringify({ ...fields, stream: true }))}`,
  ].join(" \\\n");
}

function openai({ isChat, origin, model, needsKey, fields }: OthersRequest): string {
  const entries = Object.entries(fields);
  const known = entries.filter(([key]) => !EXTENSIONS.has(key));
  const extra = entries.filter(([key]) => EXTENSIONS.has(key));
  const body = [["model", model], ...known, ["stream", true]] as [string, unknown][];
  // The client's types refuse fields that OpenAI does not have, but not in a spread object. It sends them either way.
  const more = extra.length === 0 ? "" : `  ...${object(extra, "  ")},\n`;
  return `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: ${literal(`${origin}/v1`)},
  apiKey: ${needsKey ? "process.env.API_KEY" : `"none"`},
});
const stream = await client.${isChat ? "chat." : ""}completions.create(${object(body).slice(0, -1)}${more}});
for await (const { choices } of stream) process.stdout.write(choices[0]?.${isChat ? "delta.content" : "text"} ?? "");`;
}

function library({ isChat, model, fields }: OthersRequest): string {
  const {
    prompt,
    messages,
    chat_template_date: date,
    max_completion_tokens: longest,
    response_format: format,
    ...others
  } = fields;
  const options = longest === undefined ? others : { max_tokens: longest, ...others };
  const entries = Object.entries(options).map(([key, value]): [string, unknown] => [camelCase(key), value]);
  const values = `{\n  messages: ${literal(messages, "  ")},\n${date ? `  date: new Date(${literal(date)}),\n` : ""}}`;
  return `${isChat ? 'import { ChatTemplate, encodeChat } from "edgeformer/chat";\n' : ""}${
    format ? 'import { compileConstraint } from "edgeformer/constrain";\n' : ""
  }import { openModel } from "edgeformer/node";

const model = await openModel(${literal(`models/${model}`)});
${
  isChat
    ? `const template = new ChatTemplate(model.manifest.chat_template!);
const prompt = encodeChat(model.tokenizer!, template, ${values});
`
    : ""
}${
  format
    ? `const constraint = compileConstraint(${literal({ jsonSchema: format.json_schema.schema })}, { propertyOrder: "declared" });
`
    : ""
}const stream = model.generate(${isChat ? "prompt" : literal(prompt)}, ${object(entries).slice(0, -1)}${format ? "  constraint,\n" : ""}});
for await (const { text } of stream) process.stdout.write(text);`;
}

/** The request of the page as others would make it, each complete and giving the same text. */
export function calls(
  origin: string,
  { name: model, generation, needsKey }: Facts,
  request: PageRequest,
): Call[] {
  const effective = effectiveFields<PageRequest>(request, generation) as Record<string, unknown>;
  const { logprobs: _, top_logprobs: __, ...fields } = effective;
  const others = { isChat: "messages" in request, origin, model, needsKey, fields };
  return [
    { id: "curl", label: "curl", code: curl(others) },
    { id: "openai", label: "OpenAI client", code: openai(others) },
    { id: "library", label: "TypeScript library", code: library(others) },
  ];
}
