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

/** Sequences within sequences that are read; nobody has more than one. */
const MAX_DEPTH = 8;

/** The steps of a component: those of a sequence, or the only one. One that is no step is kept, to be refused. */
export function flatten(value: unknown, list: string, depth = 0): JsonObject[] {
  if (value === undefined || value === null) return [];
  if (!isObject(value)) return [{ type: value }];
  if (value.type !== "Sequence" || depth === MAX_DEPTH) return [value];
  const entries = value[list];
  return Array.isArray(entries) ? entries.flatMap((entry) => flatten(entry, list, depth + 1)) : [value];
}
