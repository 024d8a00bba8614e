import { crc32, deflateRawSync } from "node:zlib";
import { concat } from "./gguf-writer.ts";

export interface ZipFile {
  name: string;
  content: Uint8Array;
  deflate?: boolean;
  /** Wrong values for the directory. */
  method?: number;
  size?: number;
  crc32?: number;
  /** What is in the archive instead of the content. */
  packed?: Uint8Array;
}

/** A ZIP archive with the fields that a reader looks at. */
export function zipArchive(files: readonly ZipFile[]): Uint8Array<ArrayBuffer> {
  const locals: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const file of files) {
    const name = new TextEncoder().encode(file.name);
    const packed = file.packed ?? (file.deflate ? deflateRawSync(file.content) : file.content);
    const local = new DataView(new ArrayBuffer(30));
    local.setUint32(0, 0x04034b50, true);
    local.setUint16(26, name.length, true);
    const entry = new DataView(new ArrayBuffer(46));
    entry.setUint32(0, 0x02014b50, true);
    entry.setUint16(10, file.method ?? (file.deflate ? 8 : 0), true);
    entry.setUint32(16, file.crc32 ?? crc32(file.content), true);
    entry.setUint32(20, packed.length, true);
    entry.setUint32(24, file.size ?? file.content.length, true);
    entry.setUint16(28, name.length, true);
    entry.setUint32(42, offset, true);
    locals.push(new Uint8Array(local.buffer), name, packed);
    directory.push(new Uint8Array(entry.buffer), name);
    offset += 30 + name.length + packed.length;
  }
  const entries = concat(directory);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, entries.length, true);
  end.setUint32(16, offset, true);
  return concat([...locals, entries, new Uint8Array(end.buffer)]);
}
