// What a request's answer is held to, compiled. Compiled constraints are kept, because requests of one program ask for the
// same few again and again; for each group of requests that share their cache of prompts by itself, or the time of an
// answer would tell what others have asked for.

import { MAX_WORK } from "../../src/constrain/budget.ts";
import { constrainCalls } from "../../src/constrain/calls/index.ts";
import { compileWithin } from "../../src/constrain/compile.ts";
import { type Constraint, compileConstraint } from "../../src/constrain/index.ts";
import { EdgeformerError, type Tokenizer } from "../../src/index.ts";
import { invalidField } from "../errors.ts";
import { countParts, MAX_NESTED_ENTRIES } from "../json.ts";
import type { HeldTo } from "./completions-plan.ts";
import type { ConstraintFields } from "./constraint-schema.ts";
import type { ToolFields } from "./tools-schema.ts";
import { type AskedForm, askedFormat, keyOrder } from "./wire/asked-format.ts";

/** A compiled constraint, and the memory of its source. */
interface Made extends HeldTo {
  constraint: Constraint;
}

/** Constraints that are kept, and the characters of what they were made from together. */
const MAX_KEPT = 4;
const MAX_KEPT_CHARACTERS = 1_000_000;

/** Work that compiling all tools of a request may take: it is done in one go. */
const MAX_TOOLS_WORK = 2 * MAX_WORK;
/** What a character of the JSON of a constraint's source takes of memory as values. */
const SOURCE_BYTES = 4;

/** By what they were made from, the least recently used first. */
const kept = new Map<string, Constraint>();

/** The constraint that was made from equal data before, or a new one. */
function remembered(group: string, data: unknown, make: () => Constraint): Made {
  const key = JSON.stringify([group, data]);
  const constraint = kept.get(key) ?? make();
  kept.delete(key);
  kept.set(key, constraint);
  let characters = 0;
  for (const other of kept.keys()) characters += other.length;
  for (const oldest of kept.keys()) {
    if (kept.size <= MAX_KEPT && characters <= MAX_KEPT_CHARACTERS) break;
    characters -= oldest.length;
    kept.delete(oldest);
  }
  return { constraint, bytes: SOURCE_BYTES * key.length };
}

/** @throws HttpError 400 naming the field; the message has the keyword and its JSON pointer */
function inField<T>(field: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof EdgeformerError)) throw error;
    throw invalidField(field, `Invalid '${field}': ${error.message}`);
  }
}

/** A JSON Schema that came as a text. */
function parsed(text: string): unknown {
  if (countParts(text) > MAX_NESTED_ENTRIES)
    throw new EdgeformerError("invalid_option", `it has more than ${MAX_NESTED_ENTRIES} entries in it`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EdgeformerError("invalid_option", "it is a text that is no JSON", { cause });
  }
}

/** What the fields ask for; undefined where it is a free text. */
function asked({ response_format, structured_outputs }: ConstraintFields): AskedForm | undefined {
  if (structured_outputs !== undefined) {
    const { json, regex, choice } = structured_outputs;
    const at = (kind: string) => ({ options: {}, field: `structured_outputs.${kind}` });
    if (typeof regex === "string") return { source: { regex }, ...at("regex") };
    if (choice) return { source: { choice }, ...at("choice") };
    const { options, field } = at("json");
    return inField(field, () => ({
      source: { jsonSchema: typeof json === "string" ? parsed(json) : json },
      options,
      field,
    }));
  }
  return askedFormat(response_format);
}

/**
 * What a request holds its answer to; undefined where it is a free text.
 *
 * @param group who may learn that it was compiled before
 * @throws HttpError 400 naming the field
 */
export function formatConstraint(
  fields: ConstraintFields,
  tokenizer: Tokenizer,
  group: string,
): Made | undefined {
  const given = asked(fields);
  if (given === undefined) return undefined;
  const { source, options, field } = given;
  return inField(field, () => {
    const made = remembered(group, [source, options], () => compileConstraint(source, options));
    // Whether the vocabulary can spell it shows here.
    made.constraint.matcher(tokenizer);
    return made;
  });
}

/**
 * The same for a request with tools that may be called.
 *
 * @throws HttpError 400 naming the field
 */
export function callConstraint(
  fields: ConstraintFields & ToolFields,
  tokenizer: Tokenizer,
  group: string,
): Made {
  const { tools = [], tool_choice = "auto", parallel_tool_calls = true } = fields;
  const named = typeof tool_choice === "object" ? tool_choice.function.name : undefined;
  const required = tool_choice !== "auto";
  const answer = required ? undefined : formatConstraint(fields, tokenizer, group);
  const parallel = parallel_tool_calls && named === undefined;
  const data = [
    tools,
    named,
    required,
    parallel,
    answer && [fields.response_format, fields.structured_outputs],
  ];
  return remembered(group, data, () => {
    const left = { units: MAX_TOOLS_WORK };
    const functions = tools.flatMap(({ function: { name, parameters, strict } }, i) => {
      if (named !== undefined && name !== named) return [];
      const jsonSchema = { type: "object", ...parameters };
      const held = inField(`tools.${i}.function.parameters`, () =>
        compileWithin(left, { jsonSchema }, keyOrder(strict)),
      );
      return [{ name, arguments: held }];
    });
    return constrainCalls(functions, { required, parallel, answer: answer?.constraint });
  });
}
