import { EdgeformerError } from "../../errors.ts";
import { quotedName } from "../../excerpt.ts";
import type { ByteSource } from "../inputs/bytes.ts";
import { type Checkpoint, type CheckpointTensor, elements } from "./checkpoint.ts";
import { DTYPE_BITS, FLOAT_BYTES, floatDtype, toFloat32 } from "./dtype.ts";
import { readPickle } from "./pickle.ts";
import { type PickledStorage, PickledTensor } from "./pickle-values.ts";
import { readZipDirectory, zipDataOffset } from "./zip.ts";

/** The pickle describes the tensors, some 300 bytes each. */
const MAX_PICKLE_BYTES = 16 * 1024 * 1024;
/**
 * How many times tensors may use what a file holds: a tied head has the storage of its embedding, and layers may share one.
 * Without an end, a megabyte makes a model of gigabytes.
 */
const MAX_SHARING = 16;
/** What torch.save wrote first before version 1.6 (torch/serialization.py). */
const LEGACY_MAGIC = "119547037146038801333356";
const LEGACY_PROTOCOL = 1001;

/** First byte of each storage in the file, by its key. */
type StoragePlaces = Map<string, { offset: number; bytes: number }>;

function bytesOf({ elements, dtype }: PickledStorage): number {
  return (elements * (DTYPE_BITS[dtype] as number)) / 8;
}

function damaged(source: ByteSource, message: string): EdgeformerError {
  return new EdgeformerError("invalid_model", `${source.name}: ${message}; download it again`);
}

/** Opens what torch.save wrote: the ZIP archive of today or the stream of before 1.6. Nothing in it is executed. */
export async function openTorch(source: ByteSource): Promise<Checkpoint> {
  const start = await source.read(0, Math.min(4, source.size));
  const isZip = start.length === 4 && new DataView(start.buffer).getUint32(0, true) === 0x04034b50;
  const { value, places } = isZip ? await readArchive(source) : await readLegacy(source);
  if (!(value instanceof Map)) throw damaged(source, "it does not hold a dictionary of tensors");
  const tensors = new Map<string, CheckpointTensor>();
  let bytes = 0;
  for (const [name, tensor] of value as Map<unknown, unknown>) {
    if (typeof name !== "string" || !(tensor instanceof PickledTensor))
      throw new EdgeformerError(
        "invalid_model",
        `${source.name}: ${typeof name === "string" ? quotedName(name) : "one of its keys"} is not a tensor; a checkpoint holds the model's weights and nothing else`,
      );
    const place = places.get(tensor.storage.key);
    if (place === undefined || place.bytes < bytesOf(tensor.storage))
      throw damaged(source, `the data of tensor ${quotedName(name)} is missing or too short`);
    bytes += (elements(tensor.shape) * (DTYPE_BITS[tensor.storage.dtype] as number)) / 8;
    if (bytes > MAX_SHARING * source.size)
      throw new EdgeformerError(
        "invalid_model",
        `${source.name}: its tensors have more than ${MAX_SHARING} times the bytes of the file: they repeat one another`,
      );
    tensors.set(name, torchTensor(source, name, tensor, place.offset));
  }
  return { tensors, close: () => source.close() };
}

async function readArchive(source: ByteSource): Promise<{ value: unknown; places: StoragePlaces }> {
  const entries = await readZipDirectory(source);
  // A stored tensor can be read without reading the rest.
  for (const { name, method } of entries.values())
    if (method !== 0) throw damaged(source, `${name} is compressed, which torch.save never does`);
  const pickle = [...entries.values()].find(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickle === undefined) throw damaged(source, "the archive has no data.pkl: it is not a checkpoint");
  if (pickle.size > MAX_PICKLE_BYTES)
    throw damaged(source, `data.pkl has ${pickle.size} bytes, and at most ${MAX_PICKLE_BYTES} are read`);
  const prefix = pickle.name.slice(0, -"data.pkl".length);
  const order = entries.get(`${prefix}byteorder`);
  if (order !== undefined) {
    const text = new TextDecoder().decode(
      await source.read(await zipDataOffset(source, order), Math.min(order.size, 16)),
    );
    if (text !== "little")
      throw new EdgeformerError(
        "unsupported_model",
        `${source.name}: the byte order ${text} is not supported`,
      );
  }
  const { value } = readPickle(
    await source.read(await zipDataOffset(source, pickle), pickle.size),
    0,
    source.name,
  );
  const places: StoragePlaces = new Map();
  for (const key of storagesOf(value).keys()) {
    const entry = entries.get(`${prefix}data/${key}`);
    if (entry) places.set(key, { offset: await zipDataOffset(source, entry), bytes: entry.size });
  }
  return { value, places };
}

/** Five pickles (magic number, protocol, system, tensors, storage keys), then each storage: its length and its data. */
async function readLegacy(source: ByteSource): Promise<{ value: unknown; places: StoragePlaces }> {
  const bytes = await source.read(0, Math.min(source.size, MAX_PICKLE_BYTES));
  let position = 0;
  const next = () => {
    const { value, end } = readPickle(bytes, position, source.name);
    position = end;
    return value;
  };
  if (bytes[0] !== 0x80) throw damaged(source, "this is not a file that torch.save wrote");
  if (next() !== LEGACY_MAGIC || next() !== LEGACY_PROTOCOL)
    throw damaged(source, "this is not a file that torch.save wrote");
  const system = next();
  if (!(system instanceof Map) || system.get("little_endian") !== true)
    throw new EdgeformerError("unsupported_model", `${source.name}: only little-endian files are supported`);
  const value = next();
  const keys = next();
  if (!Array.isArray(keys)) throw damaged(source, "the list of its storages is damaged");
  const storages = storagesOf(value);
  const places: StoragePlaces = new Map();
  for (const key of keys) {
    const storage = storages.get(key);
    if (storage === undefined) throw damaged(source, "a storage belongs to no tensor");
    const length = new DataView((await source.read(position, 8)).buffer).getBigInt64(0, true);
    if (length !== BigInt(storage.elements))
      throw damaged(source, "a storage is not as long as it should be");
    const size = bytesOf(storage);
    places.set(key, { offset: position + 8, bytes: size });
    position += 8 + size;
    if (position > source.size) throw damaged(source, "it is truncated");
  }
  return { value, places };
}

/** The storages that tensors lie in, by key. */
function storagesOf(value: unknown): Map<string, PickledStorage> {
  const storages = new Map<string, PickledStorage>();
  if (value instanceof Map)
    for (const tensor of value.values())
      if (tensor instanceof PickledTensor) storages.set(tensor.storage.key, tensor.storage);
  return storages;
}

/** Strides of a row-major tensor; those of dimensions of size 1 do not matter. */
function isContiguous({ shape, strides }: PickledTensor): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i] as number;
  }
  return true;
}

function torchTensor(
  source: ByteSource,
  name: string,
  tensor: PickledTensor,
  start: number,
): CheckpointTensor {
  const { storage, shape, strides, offset } = tensor;
  const { dtype } = storage;
  const contiguous = isContiguous(tensor);
  const readElements = async (first: number, count: number) => {
    const float = floatDtype(dtype, quotedName(name), source.name);
    const size = FLOAT_BYTES[float];
    return toFloat32(await source.read(start + first * size, count * size), float);
  };
  return {
    shape,
    dtype,
    async read(first, count) {
      if (contiguous) return readElements(offset + first, count);
      // A view, such as a transposed matrix: all that it spans is read, then picked from.
      const span = shape.reduce((sum, length, i) => sum + (length - 1) * (strides[i] as number), 1);
      const values = elements(shape) === 0 ? new Float32Array(0) : await readElements(offset, span);
      return Float32Array.from({ length: count }, (_, i) => {
        let [rest, at] = [first + i, 0];
        for (let d = shape.length - 1; d >= 0; d--) {
          const length = shape[d] as number;
          at += (rest % length) * (strides[d] as number);
          rest = Math.floor(rest / length);
        }
        return values[at] as number;
      });
    },
  };
}
