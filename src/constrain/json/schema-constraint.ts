// Constraints on JSON, from a schema.

import { Budget, MAX_WORK } from "../budget.ts";
import { Constraint } from "../constraint.ts";
import { Languages } from "../language/language.ts";
import { TextStates } from "../language/text-state.ts";
import { Alternatives } from "./alternatives.ts";
import { JsonStates } from "./json-states.ts";
import { SchemaSource } from "./schema-source.ts";

export interface SchemaOptions {
  declaredOrder: boolean;
  spaced: boolean;
  unknownFormats: "ignore" | "error";
}

export function compileSchema(schema: unknown, options: SchemaOptions): Constraint {
  const budget = new Budget(MAX_WORK, "jsonSchema");
  const texts = new TextStates(new Languages(budget), true);
  const source = new SchemaSource(schema);
  const alternatives = new Alternatives(source, texts, budget, options);
  const root = alternatives.goals.meeting(source.root);
  alternatives.explore(root);
  budget.release();
  const states = new JsonStates(alternatives, texts, root, options.spaced);
  return new Constraint(() => states.begin());
}
