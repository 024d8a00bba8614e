import type { TensorSpec } from "../../architectures/recipe.ts";
import type { WeightKind } from "../../format/kinds.ts";
import { defaultKind } from "../../format/layout.ts";
import type { Matrix } from "../weights.ts";
import type { FourBitRows, SteppedRows } from "./codes.ts";
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

/** Every matrix in int8 with a scale per row, each weight rounded to the nearest. */
export const plainRounding: Rounding = {
  kindOf: defaultKind,
  async round(_, matrix, first, count) {
    return { kind: "int8", ...quantizeRows(await matrix.read(first, count), count, matrix.columns) };
  },
};
