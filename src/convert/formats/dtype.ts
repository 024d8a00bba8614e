import { EdgeformerError } from "../../errors.ts";

/** Bits of an element, for every dtype of safetensors 0.8. */
export const DTYPE_BITS: Readonly<Record<string, number>> = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2: 8,
  F8_E5M2FNUZ: 8,
  F8_E8M0: 8,
  U16: 16,
  I16: 16,
  F16: 16,
  BF16: 16,
  U32: 32,
  I32: 32,
  F32: 32,
  C64: 64,
  U64: 64,
  I64: 64,
  F64: 64,
};

/** The dtypes that weights may have, and bytes of an element. */
export const FLOAT_BYTES = { F32: 4, F16: 2, BF16: 2, F64: 8 } as const;
export type FloatDtype = keyof typeof FLOAT_BYTES;

export function isFloatDtype(dtype: string): dtype is FloatDtype {
  return Object.hasOwn(FLOAT_BYTES, dtype);
}

/**
 * A dtype that weights may have. Quantized ones mean nothing without scales and zero points, which every tool keeps in
 * a way of its own; and rounding what is rounded already loses more than rounding the original.
 *
 * @param name the tensor's
 * @throws EdgeformerError `unsupported_model`
 */
export function floatDtype(dtype: string, name: string, file: string): FloatDtype {
  if (isFloatDtype(dtype)) return dtype;
  const quantized = /^F[468]|^[UI]8$/.test(dtype)
    ? ": the checkpoint is quantized already; take the one that it was made from"
    : "";
  throw new EdgeformerError(
    "unsupported_model",
    `${file}: tensor ${name} is ${dtype}${quantized}; weights must be one of ${Object.keys(FLOAT_BYTES).join(", ")}`,
  );
}

/** float32 of a float16 bit pattern (IEEE 754 binary16, subnormals, infinities and NaN included). */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

let halfTable: Float32Array | undefined;

/** float32 of all 65536 float16 bit patterns: a look-up is five times as fast as taking the bits apart. */
export function halves(): Float32Array {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToFloat(bits));
  return halfTable;
}

/**
 * Little-endian elements as float32.
 *
 * @param bytes starts at offset 0 of its buffer; a whole number of elements
 */
export function toFloat32(bytes: Uint8Array<ArrayBuffer>, dtype: FloatDtype): Float32Array {
  const { buffer } = bytes;
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype === "F64") return Float32Array.from(new Float64Array(buffer));
  const words = new Uint16Array(buffer);
  const result = new Float32Array(words.length);
  if (dtype === "BF16") {
    const bits = new Uint32Array(result.buffer);
    for (let i = 0; i < words.length; i++) bits[i] = (words[i] as number) << 16;
  } else {
    const table = halves();
    for (let i = 0; i < words.length; i++) result[i] = table[words[i] as number] as number;
  }
  return result;
}
