import { EdgeformerError } from "../../errors.ts";
import { quotedName } from "../../excerpt.ts";
import type { ByteSource } from "../inputs/bytes.ts";
import { elements } from "./checkpoint.ts";
import { GgufCursor } from "./gguf-cursor.ts";
import { type GgufArray, GgufMetadata, type GgufValue } from "./gguf-metadata.ts";
import { ggufType } from "./gguf-types.ts";

/** Where a tensor of a GGUF file is. */
export interface GgufTensorInfo {
  readonly name: string;
  /** Outermost dimension first, as Hugging Face and NumPy write it. The file has the fastest one first. */
  readonly shape: readonly number[];
  /** ggml's number of the element type. */
  readonly type: number;
  /** First byte in the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>;
}

/** Far above what models have; a damaged file claims more before memory or time is spent on it. */
const MAX_KEYS = 1 << 16;
const MAX_TENSORS = 1 << 16;
const MAX_NAME_BYTES = 1024;
/** Of one array of numbers, and of all texts in arrays together. Gemma's 777,000 tokens and merges are the most today. */
const MAX_ARRAY = 1 << 20;
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 1 << 16;

const MAGIC = "GGUF";
const STRING = 8;
const ARRAY = 9;

interface ScalarType {
  readonly bytes: number;
  read(cursor: GgufCursor, what: () => string): GgufValue;
  /** Elements of an array of this type, which start at offset 0 of `buffer`. */
  array(buffer: ArrayBuffer): GgufArray;
}

/** A 64-bit integer as a number where that is exact. */
function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The value types that have a fixed length, under the numbers of the specification (gguf_metadata_value_type). */
const SCALARS: Readonly<Record<number, ScalarType>> = {
  0: { bytes: 1, read: (cursor) => cursor.u8(), array: (buffer) => new Uint8Array(buffer) },
  1: { bytes: 1, read: (cursor) => cursor.i8(), array: (buffer) => new Int8Array(buffer) },
  2: { bytes: 2, read: (cursor) => cursor.u16(), array: (buffer) => new Uint16Array(buffer) },
  3: { bytes: 2, read: (cursor) => cursor.i16(), array: (buffer) => new Int16Array(buffer) },
  4: { bytes: 4, read: (cursor) => cursor.u32(), array: (buffer) => new Uint32Array(buffer) },
  5: { bytes: 4, read: (cursor) => cursor.i32(), array: (buffer) => new Int32Array(buffer) },
  6: { bytes: 4, read: (cursor) => cursor.f32(), array: (buffer) => new Float32Array(buffer) },
  7: {
    bytes: 1,
    read(cursor, what) {
      const value = cursor.u8();
      if (value > 1) cursor.fail(`${what()} is neither true nor false, but ${value}`);
      return value === 1;
    },
    array: (buffer) => new Uint8Array(buffer),
  },
  10: { bytes: 8, read: (cursor) => exact(cursor.u64()), array: (buffer) => new BigUint64Array(buffer) },
  11: { bytes: 8, read: (cursor) => exact(cursor.i64()), array: (buffer) => new BigInt64Array(buffer) },
  12: { bytes: 8, read: (cursor) => cursor.f64(), array: (buffer) => new Float64Array(buffer) },
};

/**
 * Reads and checks the header of a GGUF file (the specification is docs/gguf.md in ggml's repository), versions
 * 2 and 3, little-endian. Only the header is read, a megabyte at a time.
 *
 * @throws EdgeformerError `invalid_model` if it is damaged, `unsupported_model` if it is of another version, has
 *   the other byte order, or has a tensor of a type that cannot be read
 */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  const cursor = new GgufCursor(source);
  const version = await readVersion(cursor, source.name);
  await cursor.need(16, "its header");
  const tensorCount = readCount(cursor, "tensors", MAX_TENSORS);
  const keyCount = readCount(cursor, "keys", MAX_KEYS);
  const metadata = new GgufMetadata(source.name, await readValues(cursor, keyCount));
  const infos = await readTensorInfos(cursor, tensorCount);
  const alignment = metadata.integer("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (alignment < 8 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) !== 0)
    cursor.fail(`general.alignment is ${alignment}, not a power of two from 8 to ${MAX_ALIGNMENT}`);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  return { version, metadata, tensors: placeTensors(cursor, source, infos, alignment, dataStart) };
}

async function readVersion(cursor: GgufCursor, file: string): Promise<number> {
  await cursor.need(8, "its first bytes");
  const magic = String.fromCharCode(cursor.u8(), cursor.u8(), cursor.u8(), cursor.u8());
  if (magic !== MAGIC)
    throw new EdgeformerError(
      "invalid_model",
      `${file}: not a GGUF file: it starts with ${JSON.stringify(magic)}`,
    );
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  const what = (version & 0xffff) === 0 ? "a big-endian file" : `GGUF version ${version}`;
  throw new EdgeformerError(
    "unsupported_model",
    `${file}: ${what} cannot be read; download a little-endian file of version 2 or 3`,
  );
}

function readCount(cursor: GgufCursor, what: string, limit: number): number {
  const count = cursor.u64();
  if (count > limit) cursor.fail(`it claims ${count} ${what}, more than ${limit}`);
  return Number(count);
}

async function readValues(cursor: GgufCursor, count: number): Promise<Map<string, GgufValue>> {
  const values = new Map<string, GgufValue>();
  const room = { texts: MAX_ARRAY };
  for (let i = 0; i < count; i++) {
    const key = await cursor.text(() => `the name of key ${i}`);
    if (key.length > MAX_NAME_BYTES) cursor.fail(`the name of key ${i} has ${key.length} characters`);
    const name = quotedName(key);
    if (values.has(key)) cursor.fail(`the key ${name} is there twice`);
    await cursor.need(4, name);
    const type = cursor.u32();
    if (type === STRING) values.set(key, await cursor.text(() => name));
    else if (type === ARRAY) values.set(key, await readArray(cursor, name, room));
    else {
      const scalar = SCALARS[type];
      if (scalar === undefined) return cursor.fail(`${name} has the unknown value type ${type}`);
      await cursor.need(scalar.bytes, name);
      values.set(
        key,
        scalar.read(cursor, () => name),
      );
    }
  }
  return values;
}

/** @param room how many texts in arrays there may still be */
async function readArray(cursor: GgufCursor, name: string, room: { texts: number }): Promise<GgufArray> {
  await cursor.need(12, name);
  const type = cursor.u32();
  const count = cursor.u64();
  if (type === ARRAY) cursor.fail(`${name} is an array of arrays, which no model needs`);
  const scalar = SCALARS[type];
  if (scalar === undefined && type !== STRING)
    cursor.fail(`${name} is an array of the unknown value type ${type}`);
  const limit = scalar === undefined ? room.texts : MAX_ARRAY;
  if (count > limit) cursor.fail(`${name} claims ${count} elements, more than ${limit}`);
  const length = Number(count);
  const bytes = length * (scalar?.bytes ?? 8);
  if (bytes > cursor.remaining)
    cursor.fail(`the file is truncated: ${name} claims ${count} elements, but the file ends before them`);
  if (scalar === undefined) {
    room.texts -= length;
    return readTexts(cursor, name, length);
  }
  await cursor.need(bytes, name);
  const values = cursor.bytes(bytes);
  if (type === 7 && values.some((value) => value > 1))
    cursor.fail(`${name} has an element that is neither true nor false`);
  return scalar.array(values.buffer);
}

async function readTexts(cursor: GgufCursor, name: string, count: number): Promise<string[]> {
  const texts: string[] = [];
  const what = () => `${name}[${texts.length}]`;
  while (texts.length < count) texts.push(cursor.textInWindow(what) ?? (await cursor.text(what)));
  return texts;
}

/** A tensor's entry as it is in the file: the offset counts from the first tensor's byte. */
interface RawInfo {
  name: string;
  shape: number[];
  type: number;
  offset: bigint;
}

async function readTensorInfos(cursor: GgufCursor, count: number): Promise<RawInfo[]> {
  const infos = new Map<string, RawInfo>();
  for (let i = 0; i < count; i++) {
    const name = await cursor.text(() => `the name of tensor ${i}`);
    if (name.length > MAX_NAME_BYTES) cursor.fail(`the name of tensor ${i} has ${name.length} characters`);
    const what = `tensor ${quotedName(name)}`;
    if (infos.has(name)) cursor.fail(`${what} is there twice`);
    await cursor.need(4, what);
    const dimensions = cursor.u32();
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS)
      cursor.fail(`${what} has ${dimensions} dimensions, not 1 to ${MAX_DIMENSIONS}`);
    await cursor.need(dimensions * 8 + 12, what);
    const shape: number[] = [];
    for (let d = 0; d < dimensions; d++) {
      const size = cursor.u64();
      if (size < 1n || size > Number.MAX_SAFE_INTEGER) cursor.fail(`${what} has a dimension of ${size}`);
      shape.unshift(Number(size));
    }
    infos.set(name, { name, shape, type: cursor.u32(), offset: cursor.u64() });
  }
  return [...infos.values()];
}

/** Checks that each tensor is a whole number of blocks, aligned, within the file, and apart from the others. */
function placeTensors(
  cursor: GgufCursor,
  source: ByteSource,
  infos: readonly RawInfo[],
  alignment: number,
  dataStart: number,
): Map<string, GgufTensorInfo> {
  const tensors = new Map<string, GgufTensorInfo>();
  for (const { name, shape, type, offset } of infos) {
    const what = `tensor ${quotedName(name)}`;
    const { blockSize, blockBytes, name: typeName } = ggufType(type, name, source.name);
    const count = elements(shape);
    if (!Number.isSafeInteger(count)) cursor.fail(`${what} has a shape of [${shape}], too many elements`);
    const columns = shape.at(-1) as number;
    if (columns % blockSize !== 0)
      cursor.fail(`${what} has rows of ${columns} elements, no multiple of ${typeName}'s ${blockSize}`);
    const bytes = (count / blockSize) * blockBytes;
    if (offset % BigInt(alignment) !== 0n)
      cursor.fail(`${what} starts at byte ${offset}, no multiple of ${alignment}`);
    if (offset + BigInt(bytes) > source.size - dataStart)
      cursor.fail(
        `${what} claims ${bytes} bytes from byte ${BigInt(dataStart) + offset} on, but the file ends at byte ${source.size}`,
      );
    tensors.set(name, { name, shape, type, offset: dataStart + Number(offset), bytes });
  }
  let end = dataStart;
  for (const { name, offset, bytes } of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    if (offset < end) cursor.fail(`tensor ${quotedName(name)} overlaps another one, at byte ${offset}`);
    end = offset + bytes;
  }
  return tensors;
}
