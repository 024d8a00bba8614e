import { quantizeEightBitGroups } from "./eight-bit.ts";
import { toIntegerGroups } from "./from-grouped.ts";
import { type DtypesOf, importedKind } from "./kinds-for.ts";
import type { RoundedRows, Rounding } from "./rounding.ts";

/**
 * Brings a checkpoint's weights over without rounding them a second time, as nearly as integers allow: four-bit codes
 * stay four-bit codes, and what is quantized otherwise gets eight-bit codes with a step for each group.
 *
 * @param others decides on the kinds; it rounds floats, and what it wants in another kind than the file's codes need
 */
export function importRounding(dtypesOf: DtypesOf, others: Rounding): Rounding {
  return {
    kindOf: (tensor) => others.kindOf(tensor),
    async round(tensor, matrix, first, count): Promise<RoundedRows> {
      const kind = importedKind(dtypesOf(tensor));
      if (kind === undefined || kind !== others.kindOf(tensor))
        return others.round(tensor, matrix, first, count);
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
