import { EdgeformerError } from "../../errors.ts";
import { quotedName } from "../../excerpt.ts";
import { toFloat32 } from "./dtype.ts";
import type { GgufType } from "./gguf-block.ts";
import { q4_0, q4_1, q5_0, q5_1, q8_0 } from "./gguf-block32.ts";
import { q2_k, q3_k, q4_k, q5_k, q6_k } from "./gguf-block256.ts";

function float(name: "F32" | "F16" | "BF16", blockBytes: number): GgufType {
  return {
    name,
    blockSize: 1,
    blockBytes,
    dequantize: (bytes, out) => out.set(toFloat32(bytes, name)),
  };
}

/** By ggml's numbers (`enum ggml_type`). */
const TYPES: ReadonlyMap<number, GgufType> = new Map([
  [0, float("F32", 4)],
  [1, float("F16", 2)],
  [2, q4_0],
  [3, q4_1],
  [6, q5_0],
  [7, q5_1],
  [8, q8_0],
  [10, q2_k],
  [11, q3_k],
  [12, q4_k],
  [13, q5_k],
  [14, q6_k],
  [30, float("BF16", 2)],
]);

/** Types of ggml that cannot be read, so that an error can name them. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  4: "Q4_2",
  5: "Q4_3",
  9: "Q8_1",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  31: "Q4_0_4_4",
  32: "Q4_0_4_8",
  33: "Q4_0_8_8",
  34: "TQ1_0",
  35: "TQ2_0",
  36: "IQ4_NL_4_4",
  37: "IQ4_NL_4_8",
  38: "IQ4_NL_8_8",
  39: "MXFP4",
  40: "NVFP4",
  41: "Q1_0",
};

/**
 * The type with ggml's number `type`.
 *
 * @throws EdgeformerError `unsupported_model` for those that cannot be read, `invalid_model` for unknown ones
 */
export function ggufType(type: number, tensor: string, file: string): GgufType {
  const known = TYPES.get(type);
  if (known !== undefined) return known;
  const name = OTHER_TYPES[type];
  const what = `${file}: tensor ${quotedName(tensor)}`;
  if (name === undefined)
    throw new EdgeformerError(
      "invalid_model",
      `${what} has the unknown type ${type}; the file is damaged or newer than this program`,
    );
  throw new EdgeformerError(
    "unsupported_model",
    `${what} is ${name}, which cannot be read; download the model's Q4_K_M, Q4_1, Q8_0 or F16 file instead`,
  );
}
