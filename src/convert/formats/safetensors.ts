import { EdgeformerError } from "../../errors.ts";
import type { ByteSource } from "../inputs/bytes.ts";
import { type Checkpoint, type CheckpointTensor, elements } from "./checkpoint.ts";
import { DTYPE_BYTES, FLOAT_DTYPES, isFloatDtype, toFloat32 } from "./dtype.ts";

/** As the format's own library allows. */
const MAX_HEADER_BYTES = 100_000_000;

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
  for (const [name, value] of Object.entries(header as object)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets } = (value ?? {}) as Record<string, unknown>;
    const size =
      typeof dtype === "string" && Object.hasOwn(DTYPE_BYTES, dtype) ? DTYPE_BYTES[dtype] : undefined;
    if (size === undefined) return fail(`tensor ${name} has the unknown dtype ${JSON.stringify(dtype)}`);
    if (!isSizes(shape)) return fail(`tensor ${name} has no valid shape`);
    if (!isSizes(data_offsets) || data_offsets.length !== 2)
      return fail(`tensor ${name} has no valid data_offsets`);
    const [begin, end] = data_offsets as [number, number];
    if (begin > end || end > dataBytes)
      fail(`tensor ${name} claims bytes ${begin} to ${end} of ${dataBytes}`);
    if (end - begin !== elements(shape) * size)
      fail(
        `tensor ${name} has ${end - begin} bytes, but its shape [${shape}] needs ${elements(shape) * size}`,
      );
    entries.set(name, { dtype: dtype as string, shape, begin, end });
  }
  let covered = 0;
  for (const [name, { begin, end }] of [...entries].sort(
    ([, a], [, b]) => a.begin - b.begin || a.end - b.end,
  )) {
    if (begin < covered) fail(`tensor ${name} overlaps another one`);
    if (begin > covered) fail(`bytes ${covered} to ${begin} belong to no tensor`);
    covered = end;
  }
  if (covered !== dataBytes) fail(`the tensors end at byte ${covered} of ${dataBytes}`);
  return entries;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Opens a safetensors file; tensors are read when asked for. The checkpoint owns `source` and closes it. */
export async function openSafetensors(source: ByteSource): Promise<Checkpoint> {
  const fail = (message: string) =>
    new EdgeformerError("invalid_model", `${source.name}: ${message}; download it again`);
  if (source.size < 8) throw fail("too short to be a safetensors file");
  const length = new DataView((await source.read(0, 8)).buffer).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES || length > source.size - 8)
    throw fail(`not a safetensors file, or a truncated one: its header claims ${length} bytes`);
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
        if (!isFloatDtype(dtype))
          throw new EdgeformerError(
            "unsupported_model",
            `${source.name}: tensor ${name} is ${dtype}; weights must be one of ${FLOAT_DTYPES.join(", ")}`,
          );
        const size = DTYPE_BYTES[dtype] as number;
        return toFloat32(await source.read(start + begin + first * size, count * size), dtype);
      },
    });
  return { tensors, close: () => source.close() };
}
