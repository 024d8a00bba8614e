import type { NamedValues, Value } from "./values.ts";

/** Stands for the default of an argument that has none. */
export const REQUIRED = Symbol("required");

/**
 * The arguments of a call in their order, by place or by name.
 *
 * @param parameters each with its default, in order
 */
export function take(
  name: string,
  args: readonly Value[],
  named: NamedValues,
  parameters: Readonly<Record<string, Value | typeof REQUIRED>>,
): Value[] {
  const names = Object.keys(parameters);
  if (args.length > names.length)
    throw new Error(`${name}() takes ${names.length} arguments and got ${args.length}`);
  for (const key of named.keys()) {
    const at = names.indexOf(key);
    if (at === -1) throw new Error(`${name}() got an unexpected keyword argument '${key}'`);
    if (at < args.length) throw new Error(`${name}() got multiple values for argument '${key}'`);
  }
  return names.map((key, at) => {
    const value = args[at] !== undefined ? args[at] : named.has(key) ? named.get(key)! : parameters[key]!;
    if (value === REQUIRED) throw new Error(`${name}() lacks its argument '${key}'`);
    return value;
  });
}
