import { EdgeformerError } from "../../errors.ts";
import { excerpt, quotedName } from "../../excerpt.ts";
import type { ByteSource } from "../inputs/bytes.ts";
import { type Checkpoint, type CheckpointTensor, elements } from "./checkpoint.ts";
import { DTYPE_BITS, FLOAT_BYTES, floatDtype, toFloat32 } from "./dtype.ts";

/**
 * The format's own library allows 100 MB, which took 12 s to refuse. A header has some 120 bytes for a tensor, and the
 * deepest model that can be converted has 13,000 tensors.
 */
const MAX_HEADER_BYTES = 4_000_000;

/** More than any tensor has; PyTorch allows 64. */
const MAX_DIMENSIONS = 64;

export interface SafetensorsEntry {
  dtype: string;
  shape: number[];
  /** First byte, counted from the end of the header. */
  begin: number;
  end: number;
}

/**
 * Checks and reads a safetensors header (https://github.com/huggingface/safetensors#format): known dtypes,
 * lengths that agree with the shapes, and tensors that cover the data without gap or overlap.
 *
 * @param json the header's bytes, without the length before it
 * @param dataBytes bytes of the file after the header
 * @throws EdgeformerError `invalid_model`
 */
export function parseSafetensorsHeader(
  json: Uint8Array,
  dataBytes: number,
  file: string,
): Map<string, SafetensorsEntry> {
  const fail = (message: string): never => {
    throw new EdgeformerError("invalid_model", `${file}: ${message}; the file is damaged, download it again`);
  };
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch {
    fail("the safetensors header is not JSON");
  }
  if (typeof header !== "object" || header === null || Array.isArray(header))
    fail("the safetensors header is not an object");
  const entries = new Map<string, SafetensorsEntry>();
  for (const [key, value] of Object.entries(header as object)) {
    if (key === "__metadata__") continue;
    const name = quotedName(key);
    const { dtype, shape, data_offsets } = (value ?? {}) as Record<string, unknown>;
    const bits =
      typeof dtype === "string" && Object.hasOwn(DTYPE_BITS, dtype) ? DTYPE_BITS[dtype] : undefined;
    if (bits === undefined)
      throw new EdgeformerError(
        "unsupported_model",
        `${file}: tensor ${name} has the unknown dtype ${excerpt(dtype)}`,
      );
    if (!isSizes(shape)) return fail(`tensor ${name} has no valid shape`);
    if (!isSizes(data_offsets) || data_offsets.length !== 2)
      return fail(`tensor ${name} has no valid data_offsets`);
    const [begin, end] = data_offsets as [number, number];
    if (begin > end || end > dataBytes)
      fail(`tensor ${name} claims bytes ${begin} to ${end} of ${dataBytes}`);
    const needed = (elements(shape) * bits) / 8;
    if (end - begin !== needed)
      fail(`tensor ${name} has ${end - begin} bytes, but its shape ${excerpt(shape)} needs ${needed}`);
    entries.set(key, { dtype: dtype as string, shape, begin, end });
  }
  let covered = 0;
  for (const [name, { begin, end }] of [...entries].sort(
    ([, a], [, b]) => a.begin - b.begin || a.end - b.end,
  )) {
    if (begin < covered) fail(`tensor ${quotedName(name)} overlaps another one`);
    if (begin > covered) fail(`bytes ${covered} to ${begin} belong to no tensor`);
    covered = end;
  }
  if (covered !== dataBytes) fail(`the tensors end at byte ${covered} of ${dataBytes}`);
  return entries;
}

function isSizes(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_DIMENSIONS &&
    value.every((size) => Number.isSafeInteger(size) && size >= 0)
  );
}

/** Opens a safetensors file; tensors are read when asked for. The checkpoint owns `source` and closes it. */
export async function openSafetensors(source: ByteSource): Promise<Checkpoint> {
  const fail = (message: string) =>
    new EdgeformerError("invalid_model", `${source.name}: ${message}; download it again`);
  if (source.size < 8) throw fail("too short to be a safetensors file");
  const length = new DataView((await source.read(0, 8)).buffer).getBigUint64(0, true);
  if (length > source.size - 8)
    throw fail(`not a safetensors file, or a truncated one: its header claims ${length} bytes`);
  if (length > MAX_HEADER_BYTES)
    throw fail(`its header has ${length} bytes, and at most ${MAX_HEADER_BYTES} are read`);
  const start = 8 + Number(length);
  const entries = parseSafetensorsHeader(
    await source.read(8, Number(length)),
    source.size - start,
    source.name,
  );
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, { dtype, shape, begin }] of entries)
    tensors.set(name, {
      shape,
      dtype,
      async read(first, count) {
        const float = floatDtype(dtype, quotedName(name), source.name);
        const size = FLOAT_BYTES[float];
        return toFloat32(await source.read(start + begin + first * size, count * size), float);
      },
    });
  return { tensors, close: () => source.close() };
}
