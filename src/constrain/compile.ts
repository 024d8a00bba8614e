import { EdgeformerError } from "../errors.ts";
import { MAX_WORK, type WorkLeft } from "./budget.ts";
import type { Constraint } from "./constraint.ts";
import { compileSchema } from "./json/schema-constraint.ts";
import { compileChoice, compileRegex } from "./text-constraints.ts";

/** What a text must be. */
export type ConstraintSource =
  /** JSON that a JSON Schema accepts: an object or a boolean, as `JSON.parse` gives it; draft-07 or 2020-12. */
  | { jsonSchema: unknown }
  /** Any JSON object. */
  | { jsonObject: true }
  /** A text that a regular expression matches from its beginning to its end, as ECMA-262 has it with the flag u. */
  | { regex: string }
  /** One of these texts. */
  | { choice: string[] };

/** Defaults in brackets. They concern JSON. */
export interface ConstraintOptions {
  /** Whether an object's keys come in any order, or in the one in which the schema names them. ["any"] */
  propertyOrder?: "any" | "declared";
  /**
   * White space between JSON's tokens: a space, or a line feed with up to 32 spaces or tabs behind it, where a line then
   * begins with a key, a value or what closes; or none. Before the first token there never is any.
   * ["bounded"]
   */
  whitespace?: "bounded" | "none";
  /** What becomes of a `format` that is not known: it is a note to people, as the specification says, or an error. ["ignore"] */
  unknownFormats?: "ignore" | "error";
}

/** The values that an option may have, the default first. */
const CHOICES = {
  propertyOrder: ["any", "declared"],
  whitespace: ["bounded", "none"],
  unknownFormats: ["ignore", "error"],
} as const;

/**
 * Compiles what a text must be. Everything that it says is enforced exactly.
 *
 * @throws EdgeformerError `invalid_option` if it is damaged, says something that cannot be enforced, or allows no text;
 *   the message names the keyword and its JSON pointer
 */
export function compileConstraint(source: ConstraintSource, options: ConstraintOptions = {}): Constraint {
  return compileWithin({ units: MAX_WORK }, source, options);
}

/** @internal The same with what is left of the work for several constraints, which becomes less. */
export function compileWithin(
  left: WorkLeft,
  source: ConstraintSource,
  options: ConstraintOptions = {},
): Constraint {
  for (const [name, values] of Object.entries(CHOICES)) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined && !(values as readonly unknown[]).includes(value))
      throw new EdgeformerError("invalid_option", `${name} must be "${values[0]}" or "${values[1]}"`, {
        param: name,
      });
  }
  const kinds = source !== null && typeof source === "object" ? Object.keys(source) : [];
  try {
    return compile(left, source, kinds, options);
  } catch (error) {
    // What goes too deep for the stack has passed all the bounds that come before.
    if (!(error instanceof RangeError)) throw error;
    throw new EdgeformerError("invalid_option", `${kinds[0]} is too deep`, {
      param: kinds[0]!,
      cause: error,
    });
  }
}

function compile(
  left: WorkLeft,
  source: ConstraintSource,
  kinds: readonly string[],
  options: ConstraintOptions,
): Constraint {
  if (kinds.length === 1 && "choice" in source) return compileChoice(source.choice);
  if (kinds.length === 1 && "regex" in source) return compileRegex(source.regex);
  const { propertyOrder = "any", whitespace = "bounded", unknownFormats = "ignore" } = options;
  const schemaOptions = {
    declaredOrder: propertyOrder === "declared",
    spaced: whitespace === "bounded",
    unknownFormats,
  };
  if (kinds.length === 1 && "jsonSchema" in source)
    return compileSchema(left, source.jsonSchema, schemaOptions);
  if (kinds.length === 1 && "jsonObject" in source && source.jsonObject === true)
    return compileSchema(left, { type: "object" }, schemaOptions);
  throw new EdgeformerError(
    "invalid_option",
    "a constraint must be one of { jsonSchema }, { jsonObject: true }, { regex } and { choice }",
    { param: "constraint" },
  );
}
