import { EdgeformerError } from "../../errors.ts";
import { quotedName } from "../../excerpt.ts";
import type { ByteSource } from "../inputs/bytes.ts";

/** A file in an archive. */
export interface ZipEntry {
  readonly name: string;
  /** Of the local header, which comes before the data. */
  readonly offset: number;
  readonly size: number;
  /** Bytes in the archive; the same as `size` without compression. */
  readonly compressedSize: number;
  /** APPNOTE 4.4.5: 0 is stored, 8 deflated. */
  readonly method: number;
  readonly crc32: number;
}

const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
/** The end record and the longest comment that may follow it. */
const END_BYTES = 22;
const MAX_COMMENT = 65535;
/** Some 100 bytes for a file. */
const MAX_DIRECTORY_BYTES = 8 * 1024 * 1024;
/** What a 32-bit field holds when its value is in the ZIP64 extra field. */
const IN_EXTRA = 0xffffffff;

/**
 * The directory of a ZIP archive (PKWARE's APPNOTE 6.3, with ZIP64).
 *
 * @throws EdgeformerError `invalid_model`
 */
export async function readZipDirectory(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const fail = (message: string): never => {
    throw new EdgeformerError("invalid_model", `${source.name}: ${message}; download it again`);
  };
  const tailBytes = Math.min(source.size, END_BYTES + MAX_COMMENT);
  const tail = view(await source.read(source.size - tailBytes, tailBytes));
  let end = tailBytes - END_BYTES;
  while (end >= 0 && tail.getUint32(end, true) !== END_SIGNATURE) end--;
  if (end < 0) fail("the archive's directory is missing: the file is truncated");
  let count = tail.getUint16(end + 10, true);
  let size = tail.getUint32(end + 12, true);
  let offset = tail.getUint32(end + 16, true);
  const locator = end - 20;
  if (locator >= 0 && tail.getUint32(locator, true) === LOCATOR64_SIGNATURE) {
    const at = Number(tail.getBigUint64(locator + 8, true));
    const end64 = view(await source.read(at, 56));
    if (end64.getUint32(0, true) !== END64_SIGNATURE) fail("the archive's directory is damaged");
    count = Number(end64.getBigUint64(32, true));
    size = Number(end64.getBigUint64(40, true));
    offset = Number(end64.getBigUint64(48, true));
  }
  if (size > MAX_DIRECTORY_BYTES) fail("the archive's directory is damaged");
  const bytes = await source.read(offset, size);
  const directory = view(bytes);
  const entries = new Map<string, ZipEntry>();
  for (let at = 0, i = 0; i < count; i++) {
    if (at + 46 > size || directory.getUint32(at, true) !== ENTRY_SIGNATURE)
      fail("the archive's directory is damaged");
    const nameBytes = directory.getUint16(at + 28, true);
    const extraBytes = directory.getUint16(at + 30, true);
    const next = at + 46 + nameBytes + extraBytes + directory.getUint16(at + 32, true);
    if (next > size) fail("the archive's directory is damaged");
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameBytes));
    const fields = [
      directory.getUint32(at + 24, true), // size
      directory.getUint32(at + 20, true), // compressed size
      directory.getUint32(at + 42, true), // offset of the local header
    ];
    const [unpacked, packed, local] = withZip64(directory, at + 46 + nameBytes, extraBytes, fields);
    if (entries.has(name)) fail(`the archive has two entries called ${quotedName(name)}`);
    entries.set(name, {
      name,
      size: unpacked as number,
      compressedSize: packed as number,
      offset: local as number,
      method: directory.getUint16(at + 10, true),
      crc32: directory.getUint32(at + 16, true),
    });
    at = next;
  }
  return entries;
}

/** Replaces the fields that are too large for 32 bits by those of the ZIP64 extra field, which keeps their order. */
function withZip64(directory: DataView, start: number, length: number, fields: number[]): number[] {
  for (let at = start; at + 4 <= start + length; ) {
    const [id, size] = [directory.getUint16(at, true), directory.getUint16(at + 2, true)];
    if (id === 1 && at + 4 + size <= start + length) {
      let value = at + 4;
      return fields.map((field) => {
        if (field !== IN_EXTRA || value + 8 > at + 4 + size) return field;
        value += 8;
        return Number(directory.getBigUint64(value - 8, true));
      });
    }
    at += 4 + size;
  }
  return fields;
}

/** Where an entry's bytes start: behind its local header, whose length differs from the directory's. */
export async function zipDataOffset(source: ByteSource, entry: ZipEntry): Promise<number> {
  const header = view(await source.read(entry.offset, 30));
  const start = entry.offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const bytes = entry.method === 0 ? Math.max(entry.size, entry.compressedSize) : entry.compressedSize;
  if (header.getUint32(0, true) !== LOCAL_SIGNATURE || start + bytes > source.size)
    throw new EdgeformerError(
      "invalid_model",
      `${source.name}: ${quotedName(entry.name)} is damaged or truncated; download it again`,
    );
  return start;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
