/** Bytes of an element, for every dtype that a safetensors header may name. */
export const DTYPE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** The dtypes that weights may have. */
export const FLOAT_DTYPES = ["F32", "F16", "BF16", "F64"] as const;
export type FloatDtype = (typeof FLOAT_DTYPES)[number];

export function isFloatDtype(dtype: string): dtype is FloatDtype {
  return (FLOAT_DTYPES as readonly string[]).includes(dtype);
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
