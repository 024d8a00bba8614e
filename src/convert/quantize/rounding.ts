import type { TensorSpec } from "../../architectures/recipe.ts";
import type { WeightKind } from "../../format/kinds.ts";
import { defaultKind } from "../../format/layout.ts";
import type { Matrix } from "../weights.ts";
import type { FourBitRows, SteppedRows } from "./codes.ts";
import { quantizeEightBitGroups } from "./eight-bit.ts";
import { type QuantizedRows, quantizeRows } from "./int8.ts";

/** Rows of a matrix as the integers that one of the kinds stores. */
export type RoundedRows =
  | ({ kind: "int8" } & QuantizedRows)
  | ({ kind: "int8-steps" } & SteppedRows)
  | ({ kind: "four-bit" } & FourBitRows);

/** How a checkpoint's weights become integers. */
export interface Rounding {
  /** The kind that a tensor is stored in. */
  kindOf(tensor: TensorSpec): WeightKind;
  /** Rows `first … first + count − 1` of a matrix in that kind. */
  round(tensor: TensorSpec, matrix: Matrix, first: number, count: number): Promise<RoundedRows>;
}

/** Rounds to eight bits, with or without steps, each weight to the nearest. */
export async function roundToEightBits(
  kind: "int8" | "int8-steps",
  matrix: Matrix,
  first: number,
  count: number,
): Promise<RoundedRows> {
  const rows = await matrix.read(first, count);
  return kind === "int8"
    ? { kind, ...quantizeRows(rows, count, matrix.columns) }
    : { kind, ...quantizeEightBitGroups(rows, count, matrix.columns) };
}

/** Eight bits only. */
export function eightBitRounding(kindOf: Rounding["kindOf"]): Rounding {
  return {
    kindOf,
    async round(tensor, matrix, first, count) {
      const kind = kindOf(tensor);
      if (kind !== "int8" && kind !== "int8-steps") throw new Error(`${tensor.name} is to be ${kind}`);
      return roundToEightBits(kind, matrix, first, count);
    },
  };
}

/** Every matrix in int8 with a scale per row. */
export const plainRounding: Rounding = eightBitRounding(defaultKind);
