// The fields by which a request asks for an answer of a certain form.

import * as z from "zod";
import type { Refuse } from "./common-schema.ts";

/** A JSON Schema as it came; what it says is checked when it is compiled. */
export const jsonSchema = z.record(z.string(), z.unknown(), { error: "must be a JSON Schema: an object" });

export const responseFormat = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("text") }),
    z.strictObject({ type: z.literal("json_object") }),
    z.strictObject({
      type: z.literal("json_schema"),
      json_schema: z.strictObject({
        name: z.string().max(64).optional(),
        description: z.string().max(4096).nullish(),
        schema: jsonSchema.optional(),
        strict: z.boolean().nullish(),
      }),
    }),
  ],
  { error: "must be {type: 'text'}, {type: 'json_object'} or {type: 'json_schema', json_schema}" },
);

export const structuredOutputs = z
  .strictObject({
    json: z
      .union([jsonSchema, z.string()], { error: "must be a JSON Schema, or one as a text" })
      .nullish()
      .meta({ description: "A JSON Schema, or the text of one." }),
    regex: z.string().nullish(),
    choice: z.array(z.string(), { error: "must be a list of texts" }).nullish(),
  })
  .superRefine((given, context) => {
    const kinds = Object.values(given).filter((value) => value !== undefined && value !== null);
    if (kinds.length !== 1)
      context.addIssue({ code: "custom", path: [], message: "must have one of json, regex and choice" });
  });

/** The two, for either endpoint. */
export const constraintFields = {
  response_format: responseFormat.optional().meta({
    description:
      "`json_schema` holds the answer to a JSON Schema, `json_object` to a JSON object. With `strict` keys come in the schema's order.",
  }),
  structured_outputs: structuredOutputs.optional().meta({
    description: "Holds the answer to a JSON Schema, to a regular expression, or to one of several texts.",
  }),
};

export interface ConstraintFields {
  response_format?: z.infer<typeof responseFormat> | undefined;
  structured_outputs?: z.infer<typeof structuredOutputs> | undefined;
}

/** What holds between these and the other fields. */
export function checkConstraint(
  {
    response_format,
    structured_outputs,
    ignore_eos,
  }: ConstraintFields & { ignore_eos?: boolean | undefined },
  refuse: Refuse,
): void {
  const isFormat = response_format !== undefined && response_format.type !== "text";
  if (isFormat && structured_outputs !== undefined)
    refuse("structured_outputs", "cannot go with a response_format; give one of the two");
  if (ignore_eos && (isFormat || structured_outputs !== undefined))
    refuse("ignore_eos", "cannot be true where the answer's form says where it ends");
}
