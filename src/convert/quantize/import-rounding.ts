import type { TensorSpec } from "../../architectures/recipe.ts";
import type { WeightKind } from "../../format/kinds.ts";
import { isFloatDtype } from "../formats/dtype.ts";
import { groupBits } from "../formats/gguf-groups.ts";
import { quantizeEightBitGroups } from "./eight-bit.ts";
import { toIntegerGroups } from "./from-grouped.ts";
import { plainRounding, type RoundedRows, type Rounding } from "./rounding.ts";

type Choice = "four-bit" | "int8-steps" | "floats";

/**
 * What a matrix becomes that a file holds in these types: four-bit codes stay four-bit codes, what is quantized
 * otherwise gets eight-bit codes with a step for each group, and floats are rounded as whoever converts wants it. A
 * matrix that is stacked from several takes the finest kind that one of them needs.
 */
function choiceFor(dtypes: readonly string[]): Choice {
  if (dtypes.every((dtype) => groupBits(dtype) === 4)) return "four-bit";
  return dtypes.every(isFloatDtype) ? "floats" : "int8-steps";
}

/**
 * Brings a checkpoint's weights over without rounding them a second time, as nearly as integers allow.
 *
 * @param dtypesOf types of the matrices that a tensor is stacked from
 * @param floats for matrices that are not quantized
 */
export function importRounding(
  dtypesOf: (tensor: TensorSpec) => readonly string[],
  floats: Rounding = plainRounding,
): Rounding {
  const kindOf = (tensor: TensorSpec): WeightKind => {
    const choice = tensor.form === "vector" ? "floats" : choiceFor(dtypesOf(tensor));
    return choice === "floats" ? floats.kindOf(tensor) : choice;
  };
  return {
    kindOf,
    async round(tensor, matrix, first, count): Promise<RoundedRows> {
      if (choiceFor(dtypesOf(tensor)) === "floats") return floats.round(tensor, matrix, first, count);
      if (matrix.grouped === undefined)
        return {
          kind: "int8-steps",
          ...quantizeEightBitGroups(await matrix.read(first, count), count, matrix.columns),
        };
      const groups = toIntegerGroups(await matrix.grouped(first, count));
      return groups.bits === 4 ? { kind: "four-bit", ...groups } : { kind: "int8-steps", ...groups };
    },
  };
}
