import { camelCase } from "../../openai/wire/names.ts";
import type { Facts } from "../shared/facts.ts";
import { effectiveFields, type PageRequest } from "./page-request.ts";

export interface Call {
  id: string;
  label: string;
  code: string;
}

/** A text as one word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function literal(value: unknown): string {
  return JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** `{ key: value }` as TypeScript. */
function object(entries: [string, unknown][], indent: string): string {
  return `{\n${entries.map(([key, value]) => `${indent}  ${key}: ${literal(value)},\n`).join("")}${indent}}`;
}

/** Fields that the OpenAI client's types do not know. */
const EXTENSIONS = new Set(["top_k", "min_p", "repetition_penalty"]);

function curl(origin: string, fields: Partial<PageRequest>, needsKey: boolean): string {
  return [
    `curl -N ${origin}/v1/completions`,
    `  -H "content-type: application/json"`,
    ...(needsKey ? [`  -H "authorization: Bearer $API_KEY"`] : []),
    `  -d ${quoted(JSON.stringify({ ...fields, stream: true }))}`,
  ].join(" \\\n");
}

function openai(origin: string, model: string, fields: Partial<PageRequest>, needsKey: boolean): string {
  const entries = Object.entries(fields);
  const known = entries.filter(([key]) => !EXTENSIONS.has(key));
  const extra = entries.filter(([key]) => EXTENSIONS.has(key));
  const body = [["model", model], ...known, ["stream", true]] as [string, unknown][];
  // The client's types refuse fields that OpenAI does not have, but not in a spread object. It sends them either way.
  const more = extra.length === 0 ? "" : `  ...${object(extra, "  ")},\n`;
  const call = `client.completions.create(${object(body, "").slice(0, -1)}${more}})`;
  return `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: ${literal(`${origin}/v1`)},
  apiKey: ${needsKey ? "process.env.API_KEY" : `"none"`},
});
const stream = await ${call};
for await (const { choices } of stream) process.stdout.write(choices[0]?.text ?? "");`;
}

function library(model: string, fields: Partial<PageRequest>): string {
  const { prompt, ...options } = fields;
  const entries = Object.entries(options).map(([key, value]): [string, unknown] => [camelCase(key), value]);
  return `import { openModel } from "edgeformer/node";

const model = await openModel(${literal(`models/${model}`)});
const stream = model.generate(${literal(prompt)}, ${object(entries, "")});
for await (const { text } of stream) process.stdout.write(text);`;
}

/** The request of the page as others would make it, each complete and giving the same text. */
export function calls(
  origin: string,
  { name: model, generation, needsKey }: Facts,
  request: PageRequest,
): Call[] {
  const { logprobs: _, ...fields } = effectiveFields(request, generation);
  return [
    { id: "curl", label: "curl", code: curl(origin, fields, needsKey) },
    { id: "openai", label: "OpenAI client", code: openai(origin, model, fields, needsKey) },
    { id: "library", label: "TypeScript library", code: library(model, fields) },
  ];
}
