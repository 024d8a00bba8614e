// Constraints on plain text: a list of choices, or a regular expression.

import { EdgeformerError } from "../errors.ts";
import { excerpt } from "../excerpt.ts";
import { Budget, MAX_WORK } from "./budget.ts";
import { Constraint } from "./constraint.ts";
import { type Language, Languages } from "./language/language.ts";
import { languageOfPattern, PatternError } from "./language/pattern.ts";
import { TextStates } from "./language/text-state.ts";

const MAX_CHOICES = 10_000;
const MAX_CHOICE_UNITS = 1_000_000;

function invalid(param: string, message: string): never {
  throw new EdgeformerError("invalid_option", `${param} ${message}`, { param });
}

export function compileChoice(choice: unknown): Constraint {
  if (!Array.isArray(choice) || !choice.every((text): text is string => typeof text === "string"))
    invalid("choice", "must be a list of strings");
  if (choice.length === 0) invalid("choice", "must have at least one string");
  if (choice.length > MAX_CHOICES) invalid("choice", `has more than ${MAX_CHOICES} strings`);
  if (choice.reduce((sum, text) => sum + text.length, 0) > MAX_CHOICE_UNITS)
    invalid("choice", `has more than ${MAX_CHOICE_UNITS} characters`);
  if (choice.includes("")) invalid("choice", "has an empty string, which no token writes");
  return constrain("choice", (languages) => languages.strings(choice), choice);
}

export function compileRegex(regex: unknown): Constraint {
  if (typeof regex !== "string") invalid("regex", "must be a string");
  try {
    return constrain("regex", (languages) => languageOfPattern(languages, regex, true));
  } catch (error) {
    if (error instanceof PatternError) invalid("regex", `${excerpt(regex)} ${error.message}`);
    throw error;
  }
}

function constrain(param: string, make: (languages: Languages) => Language, choices?: string[]): Constraint {
  const budget = new Budget(MAX_WORK, param);
  const languages = new Languages(budget);
  const language = make(languages);
  const state = new TextStates(languages, false).begin([{ language, least: 0, most: Infinity, origin: 0 }]);
  if (!state) invalid(param, "allows no text");
  budget.release();
  return new Constraint(state, choices);
}
