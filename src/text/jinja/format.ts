// Python's two ways to format: `"%s" % value` and `"{}".format(value)`, as far as texts for a model need them.

import type { Budget } from "./budget.ts";
import { integer, type NamedValues, numeric, Tuple, typeName, Undefined, type Value } from "./values.ts";
import { represent, write } from "./written.ts";

/** `"%s and %d" % values`; flags, widths and other codes are refused. */
export function formatPercent(format: string, values: Value, budget: Budget): string {
  const args = values instanceof Tuple ? values.items : [values];
  let used = 0;
  // Each place takes a hundred bytes while all are looked for.
  budget.size(2 * format.length);
  const text = format.replace(/%(?:\(([^()]*)\))?(.?)/gs, (whole, key: string | undefined, code: string) => {
    if (code === "%") return "%";
    if (key !== undefined) used = args.length;
    const value = key === undefined ? args[used++] : values instanceof Map ? values.get(key) : undefined;
    if (value === undefined) throw new Error(`there is no value for ${whole} in a format string`);
    const number = numeric(value);
    if (!"srdi".includes(code) || ("di".includes(code) && number === undefined))
      throw new Error(`${whole} cannot format '${typeName(value)}': %s, %r and %d are known`);
    const isText = code === "s" || code === "r";
    const piece = isText
      ? (code === "s" ? write : represent)(value, budget)
      : String(integer(Math.trunc(number!)));
    budget.size(piece.length);
    return piece;
  });
  // A list counts as a mapping, of which not everything needs to be used.
  const isMapping = values instanceof Map || Array.isArray(values) || values instanceof Undefined;
  if (used < args.length && !isMapping)
    throw new Error("not all arguments converted during string formatting");
  return text;
}

/** `"{} and {name!r}".format(values)`; what stands behind a colon or reaches into a value is refused. */
export function formatBraces(
  format: string,
  args: readonly Value[],
  named: NamedValues,
  budget: Budget,
): string {
  let used = 0;
  budget.size(2 * format.length);
  return format.replace(
    /\{\{|\}\}|\{(\w*)(?:!([rs]))?\}|[{}]/g,
    (whole, name: string | undefined, conversion: string | undefined) => {
      if (whole === "{{" || whole === "}}") return whole[0]!;
      if (name === undefined) throw new Error("format() takes {}, {0} and {name}, nothing more");
      const value = name === "" ? args[used++] : /^\d+$/.test(name) ? args[Number(name)] : named.get(name);
      if (value === undefined) throw new Error(`format() has no value for {${name}}`);
      const piece = (conversion === "r" ? represent : write)(value, budget);
      budget.size(piece.length);
      return piece;
    },
  );
}
