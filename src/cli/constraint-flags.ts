import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { type Constraint, type ConstraintSource, compileConstraint } from "../constrain/index.ts";
import { EdgeformerError } from "../errors.ts";
import { collect } from "./parse.ts";

/** What holds an answer to a form. */
export interface ConstraintFlags {
  schema?: string;
  regex?: string;
  choice?: string[];
}

export function addConstraintFlags(command: Command): Command {
  return command
    .option("--schema <file>", "hold the text to this JSON Schema")
    .option("--regex <pattern>", "hold the text to this regular expression")
    .option("--choice <text>", "hold the text to this one, or another --choice", collect);
}

/**
 * What the flags hold a text to; undefined where they hold it to nothing.
 *
 * @throws EdgeformerError `io` for a file that cannot be read, `invalid_option` for what cannot be compiled
 */
export async function constraintOf({
  schema,
  regex,
  choice,
}: ConstraintFlags): Promise<Constraint | undefined> {
  const sources: ConstraintSource[] = [];
  if (schema !== undefined) sources.push({ jsonSchema: await readSchema(schema) });
  if (regex !== undefined) sources.push({ regex });
  if (choice !== undefined) sources.push({ choice });
  if (sources.length > 1)
    throw new EdgeformerError("invalid_option", "give one of --schema, --regex and --choice");
  const [source] = sources;
  return source && compileConstraint(source);
}

async function readSchema(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new EdgeformerError("io", `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EdgeformerError("invalid_option", `${file} is not JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
}
