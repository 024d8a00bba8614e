import { type REQUIRED, take } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import type { NamedValues, Value } from "./values.ts";

export type Filter = (value: Value, args: readonly Value[], named: NamedValues, budget: Budget) => Value;

type Parameters = Readonly<Record<string, Value | typeof REQUIRED>>;

/** A filter whose arguments have names. */
export const filter =
  (parameters: Parameters, work: (value: Value, args: Value[], budget: Budget) => Value): Filter =>
  (value, args, named, budget) =>
    work(value, take("filter", args, named, parameters), budget);
