// Reading values out of JSON that anybody may have written: each mistake names the file, the field and the value.

import { EdgeformerError } from "../../errors.ts";

export { excerpt as shown } from "../../excerpt.ts";

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A damaged file. */
export function damaged(file: string, message: string): never {
  throw new EdgeformerError("invalid_model", `${file}: ${message}`);
}

/** A file that asks for what this project does not have. */
export function unsupported(file: string, message: string): never {
  throw new EdgeformerError("unsupported_model", `${file}: ${message}`);
}

/** The entries of a list, or the only one. */
export function flatten(value: unknown, list: string): JsonObject[] {
  if (!isObject(value)) return [];
  if (value.type !== "Sequence") return [value];
  const entries = value[list];
  return Array.isArray(entries) ? entries.flatMap((entry) => flatten(entry, list)) : [];
}
