import {
  KIND_FLOAT32,
  KIND_FOUR_BIT,
  KIND_INT8,
  KIND_INT8_STEPS,
  STRASSEN_COLUMNS,
} from "../../assembly/abi.ts";
import { FOUR_BIT_STEP_BYTES, FOUR_BIT_TILE_ROWS, GROUP_COLUMNS } from "../../assembly/four-bit.ts";
import type { TensorSpec } from "../architectures/recipe.ts";
import { alignUp, padded } from "./align.ts";

/** How the values of a tensor can be stored. */
export type WeightKind = "float32" | "int8" | "int8-steps" | "four-bit";

/** Largest int16 magnitude of an activation. */
export const INT16_MAX = 32_767;
/** Largest magnitude of an int8 weight; −128 is left out so that the range is symmetric. */
export const INT8_LIMIT = 127;

interface Kind {
  /** The engine's number for it (assembly/abi.ts). */
  code: number;
  form: TensorSpec["form"];
  /** Name and bytes of each section. */
  sections(rows: number, columns: number): ["values" | "scales" | "steps", number][];
  /** Bits of one weight: its code and its share of a group's step and offset. */
  bits: number;
  /**
   * Largest int16 magnitude of the activations that a row of `columns` weights is multiplied with, so that every sum
   * fits int32 whatever the weights are. Undefined where it depends on them: then model.json keeps it.
   */
  amplitude?: (columns: number) => number;
}

/** Every kind of weights. A new one is a line here, its packing in convert/write, and a kernel in assembly/kernels. */
export const KINDS: Readonly<Record<WeightKind, Kind>> = {
  float32: {
    code: KIND_FLOAT32,
    form: "vector",
    sections: (rows) => [["values", 4 * padded(rows)]],
    bits: 32,
    amplitude: () => 0,
  },
  // Below 768 columns the bound of int32 leaves all of int16 to the activations. Strassen's product subtracts them from
  // each other, so half of it is left free where it is used: prefill of SmolLM2-135M's shape is 1.12x as fast.
  int8: {
    code: KIND_INT8,
    form: "matrix",
    sections: (rows, columns) => [
      ["values", padded(rows) * padded(columns)],
      ["scales", 4 * padded(rows)],
    ],
    bits: 8,
    amplitude: (columns) =>
      Math.min(
        columns >= STRASSEN_COLUMNS && columns < 768 ? INT16_MAX >> 1 : INT16_MAX,
        Math.floor((2 ** 31 - 1) / (INT8_LIMIT * columns)),
      ),
  },
  "int8-steps": {
    code: KIND_INT8_STEPS,
    form: "matrix",
    sections: (rows, columns) => [
      ["values", padded(rows) * padded(columns)],
      ["scales", 4 * padded(rows)],
      ["steps", padded(rows) * Math.ceil(columns / GROUP_COLUMNS)],
    ],
    bits: 8.25,
  },
  "four-bit": {
    code: KIND_FOUR_BIT,
    form: "matrix",
    sections: (rows, columns) => [
      [
        "values",
        (alignUp(rows, FOUR_BIT_TILE_ROWS) / 16) *
          (8 * padded(columns) + FOUR_BIT_STEP_BYTES * Math.ceil(columns / GROUP_COLUMNS)),
      ],
      ["scales", 4 * padded(rows)],
    ],
    bits: 4.75,
  },
};

/** Whether a value names a kind of weights. */
export function isWeightKind(value: unknown): value is WeightKind {
  return typeof value === "string" && Object.hasOwn(KINDS, value);
}
