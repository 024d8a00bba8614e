import type { WeightKind } from "../format/kinds.ts";
import type { Manifest } from "../format/manifest.ts";

const KIND_NAMES: Readonly<Record<WeightKind, string>> = {
  float32: "float32",
  int8: "int8 with a scale for each row",
  "int8-steps": "int8 with a step for each group of 32 columns",
  "four-bit": "four bits with a step and an offset for each group of 32 columns",
};

/** Kinds of the matrices by the weights that they have, most first. */
export function describeKinds({ tensors }: Pick<Manifest, "tensors">): string {
  const weights = new Map<WeightKind, number>();
  for (const { kind, rows, columns } of tensors)
    if (kind !== "float32") weights.set(kind, (weights.get(kind) ?? 0) + rows * columns);
  const total = [...weights.values()].reduce((sum, count) => sum + count, 0);
  return [...weights]
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${((count / total) * 100).toFixed(0)} % ${KIND_NAMES[kind]}`)
    .join(", ");
}
