import type { ConstraintOptions, ConstraintSource } from "../../../src/constrain/index.ts";

/** A `response_format` with a JSON Schema, under the endpoint's names. */
export interface SchemaFormat {
  type: "json_schema";
  json_schema: {
    name?: string | undefined;
    schema?: unknown;
    /** Keys come in the schema's order. */
    strict?: boolean | null | undefined;
  };
}

/** A request's `response_format`. */
export type ResponseFormat = { type: "text" } | { type: "json_object" } | SchemaFormat;

/** What an answer is held to. */
export interface AskedForm {
  source: ConstraintSource;
  options: ConstraintOptions;
  /** The field of the request that says so. */
  field: string;
}

/** How a `strict` of a schema orders its keys. */
export const keyOrder = (strict: boolean | null | undefined): ConstraintOptions =>
  strict ? { propertyOrder: "declared" } : {};

/**
 * What a `response_format` holds an answer to; undefined where it is a free text. The endpoint and the page's own model
 * both read a request with it, so that both give the same text.
 */
export function askedFormat(format: ResponseFormat | undefined): AskedForm | undefined {
  if (format === undefined || format.type === "text") return undefined;
  if (format.type === "json_object")
    return { source: { jsonObject: true }, options: {}, field: "response_format" };
  const { schema, strict } = format.json_schema;
  const source = schema === undefined ? ({ jsonObject: true } as const) : { jsonSchema: schema };
  return { source, options: keyOrder(strict), field: "response_format.json_schema.schema" };
}
