import { KIND_FLOAT32, KIND_INT8 } from "../../assembly/abi.ts";
import type { TensorSpec } from "../architectures/recipe.ts";
import { padded } from "./align.ts";

/** How the values of a tensor can be stored. */
export type WeightKind = "float32" | "int8";

/** Largest int16 magnitude of an activation. */
const INT16_MAX = 32_767;
/** Largest magnitude of an int8 weight; −128 is left out so that the range is symmetric. */
export const INT8_LIMIT = 127;

interface Kind {
  /** The engine's number for it (assembly/abi.ts). */
  code: number;
  form: TensorSpec["form"];
  /** Name and bytes of each section. */
  sections(rows: number, columns: number): ["values" | "scales", number][];
  /** Bits of one weight, scales and padding left out. */
  bits: number;
  /**
   * Largest int16 magnitude of the activations that a row of `columns` weights is multiplied with, so that every sum
   * fits int32, whatever the weights are.
   */
  amplitude(columns: number): number;
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
  int8: {
    code: KIND_INT8,
    form: "matrix",
    sections: (rows, columns) => [
      ["values", padded(rows) * padded(columns)],
      ["scales", 4 * padded(rows)],
    ],
    bits: 8,
    amplitude: (columns) => Math.min(INT16_MAX, Math.floor((2 ** 31 - 1) / (INT8_LIMIT * columns))),
  },
};

/** Whether a value names a kind of weights. */
export function isWeightKind(value: unknown): value is WeightKind {
  return typeof value === "string" && Object.hasOwn(KINDS, value);
}
