// Functions that a model may call, and its calls, as OpenAI's chat completions word them.

import * as z from "zod";
import { countParts, MAX_NESTED_ENTRIES } from "../json.ts";
import type { Refuse } from "./common-schema.ts";
import { jsonSchema } from "./constraint-schema.ts";

const MAX_TOOLS = 128;

const functionName = z
  .string()
  .regex(/^[a-zA-Z0-9_-]{1,64}$/, "must be 1 to 64 letters, digits, underscores and hyphens");

const tool = z.strictObject({
  type: z.literal("function", { error: "must be 'function'" }),
  function: z.strictObject({
    name: functionName,
    description: z.string().nullish(),
    parameters: jsonSchema.nullish().meta({ description: "A JSON Schema of an object. [no arguments]" }),
    strict: z.boolean().nullish().meta({ description: "Arguments come in the order of `parameters`." }),
  }),
});

export type Tool = z.infer<typeof tool>;

export const toolFields = {
  tools: z.array(tool).max(MAX_TOOLS).optional(),
  tool_choice: z
    .union(
      [
        z.enum(["none", "auto", "required"]),
        z.strictObject({
          type: z.literal("function"),
          function: z.strictObject({ name: functionName }),
        }),
      ],
      { error: "must be 'none', 'auto', 'required' or {type: 'function', function: {name}}" },
    )
    .optional()
    .meta({ description: "[auto where there are tools]" }),
  parallel_tool_calls: z
    .boolean()
    .optional()
    .meta({ description: "Whether one answer may call several. [true]" }),
};

export interface ToolFields {
  tools?: Tool[] | undefined;
  tool_choice?: z.infer<typeof toolFields.tool_choice>;
  parallel_tool_calls?: boolean | undefined;
}

/** What holds between these fields. */
export function checkTools(
  { tools = [], tool_choice, parallel_tool_calls }: ToolFields,
  refuse: Refuse,
): void {
  const names = new Set(tools.map((one) => one.function.name));
  if (names.size !== tools.length) refuse("tools", "must have different names");
  if (tools.length === 0 && tool_choice !== undefined && tool_choice !== "none")
    refuse("tool_choice", "is only allowed when there are tools");
  if (tools.length === 0 && parallel_tool_calls !== undefined)
    refuse("parallel_tool_calls", "is only allowed when there are tools");
  if (typeof tool_choice === "object" && tools.length > 0 && !names.has(tool_choice.function.name))
    refuse("tool_choice", `names '${tool_choice.function.name}', which is not among the tools`);
}

/** A call in an answer that is sent back. */
export const toolCall = z.strictObject({
  id: z.string().max(256),
  type: z.literal("function"),
  index: z.int().optional(),
  function: z.strictObject({
    name: functionName,
    // What it has too many parts for is not parsed; chat-schema.ts says so.
    arguments: z
      .string()
      .refine(
        (text) => countParts(text) > MAX_NESTED_ENTRIES || isJson(text),
        "must be JSON, as the answer had it",
      ),
    parsed_arguments: z.unknown().optional(),
  }),
});

/** Refuses calls whose arguments together have too many parts: as values they take many times their length. */
export function checkArguments(
  messages: readonly { tool_calls?: readonly z.infer<typeof toolCall>[] | null | undefined }[],
  refuse: Refuse,
): void {
  const calls = messages.flatMap(({ tool_calls }) => tool_calls ?? []);
  const parts = calls.reduce((sum, call) => sum + countParts(call.function.arguments), 0);
  if (parts > MAX_NESTED_ENTRIES)
    refuse(
      "messages",
      `has more than ${MAX_NESTED_ENTRIES} lists, objects and members in its calls' arguments`,
    );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
