// Constraints on JSON, from a schema.

import { Budget, MAX_WORK, type WorkLeft } from "../budget.ts";
import { Constraint } from "../constraint.ts";
import { Languages } from "../language/language.ts";
import { TextStates } from "../language/text-state.ts";
import { Alternatives } from "./alternatives.ts";
import { beginJson } from "./json-states.ts";
import { Possibilities } from "./parts.ts";
import { SchemaSource } from "./schema-source.ts";

export interface SchemaOptions {
  declaredOrder: boolean;
  spaced: boolean;
  unknownFormats: "ignore" | "error";
}

export function compileSchema(left: WorkLeft, schema: unknown, options: SchemaOptions): Constraint {
  const budget = new Budget(Math.min(MAX_WORK, left.units), "jsonSchema");
  const texts = new TextStates(new Languages(budget), true);
  const source = new SchemaSource(schema, budget);
  const alternatives = new Alternatives(source, texts, budget, options.unknownFormats);
  const possibilities = new Possibilities(alternatives, texts, options.declaredOrder);
  const root = alternatives.goals.meeting(source.root);
  possibilities.explore(root);
  left.units -= budget.spent;
  budget.release();
  return new Constraint(beginJson(possibilities, texts, root, options.spaced));
}
