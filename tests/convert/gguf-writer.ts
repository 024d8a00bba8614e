/** What a test wants in a GGUF file. Nothing is checked, so that bad files can be written, too. */
export interface GgufParts {
  magic?: string;
  version?: number;
  /** [key, the specification's number of the value type, the value's bytes] */
  values?: [string | Uint8Array, number, Uint8Array][];
  /** `dimensions` fastest first, as in the file; `offset` is by default where the tensor before ends, aligned. */
  tensors?: {
    name: string;
    dimensions: (number | bigint)[];
    type: number;
    data: Uint8Array;
    offset?: bigint;
  }[];
  keyCount?: bigint;
  tensorCount?: bigint;
  alignment?: number;
}

export const bytesOf = {
  u8: (value: number) => Uint8Array.of(value),
  u32: (value: number) => new Uint8Array(Uint32Array.of(value).buffer),
  u64: (value: number | bigint) => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer),
  f32: (value: number) => new Uint8Array(Float32Array.of(value).buffer),
  text(value: string | Uint8Array): Uint8Array {
    const content = typeof value === "string" ? new TextEncoder().encode(value) : value;
    return concat([bytesOf.u64(content.length), content]);
  },
  array: (type: number, items: Uint8Array[], count: number | bigint = items.length) =>
    concat([bytesOf.u32(type), bytesOf.u64(count), ...items]),
};

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

export function ggufFile(parts: GgufParts): Uint8Array<ArrayBuffer> {
  const { values = [], tensors = [], alignment = 32 } = parts;
  const { u32, u64, text } = bytesOf;
  const header: Uint8Array[] = [
    new TextEncoder().encode(parts.magic ?? "GGUF"),
    u32(parts.version ?? 3),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.keyCount ?? values.length),
  ];
  for (const [key, type, value] of values) header.push(text(key), u32(type), value);
  const data: Uint8Array[] = [];
  let end = 0;
  for (const tensor of tensors) {
    header.push(text(tensor.name), u32(tensor.dimensions.length), ...tensor.dimensions.map(u64));
    header.push(u32(tensor.type), u64(tensor.offset ?? end));
    const padding = (alignment - (tensor.data.length % alignment)) % alignment;
    data.push(tensor.data, new Uint8Array(padding));
    end += tensor.data.length + padding;
  }
  const start = concat(header);
  return concat([start, new Uint8Array((alignment - (start.length % alignment)) % alignment), ...data]);
}
