// Which kind of weights each tensor becomes when nothing is measured.

import type { TensorSpec } from "../../architectures/recipe.ts";
import type { WeightKind } from "../../format/kinds.ts";
import { defaultKind } from "../../format/layout.ts";
import { isFloatDtype } from "../formats/dtype.ts";
import { groupBits } from "../formats/gguf-groups.ts";

/** Types that a checkpoint has a tensor's values in, one for each matrix that it is stacked from. */
export type DtypesOf = (tensor: TensorSpec) => readonly string[];

/**
 * The kind that takes over what a file holds in codes, so that it is not rounded a second time; undefined for floats. A
 * matrix that is stacked from several takes the finest kind that one of them needs.
 */
export function importedKind(dtypes: readonly string[]): WeightKind | undefined {
  if (dtypes.every((dtype) => groupBits(dtype) === 4)) return "four-bit";
  return dtypes.every(isFloatDtype) ? undefined : "int8-steps";
}

/** Matrices of blocks in four bits; the embedding, the head and learned positions in eight with a step for each group. */
export function kindInFourBits({ form, layer }: TensorSpec): WeightKind {
  if (form === "vector") return "float32";
  return layer === undefined ? "int8-steps" : "four-bit";
}

/**
 * The kind of each tensor for `--bits`. In four bits, what a file has in more is rounded; in eight, codes are taken over
 * as they are.
 */
export function kindsFor(dtypesOf: DtypesOf, bits: 4 | 8): (tensor: TensorSpec) => WeightKind {
  return (tensor) => {
    if (tensor.form === "vector") return "float32";
    const imported = importedKind(dtypesOf(tensor));
    if (imported === "four-bit") return imported;
    return bits === 4 ? kindInFourBits(tensor) : (imported ?? defaultKind(tensor));
  };
}
