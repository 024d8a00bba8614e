import { Buffer, isUtf8 } from "node:buffer";
import { EdgeformerError } from "../../errors.ts";
import type { ByteSource } from "../inputs/bytes.ts";

/** Read at once: few requests to a hub, little memory. */
const WINDOW_BYTES = 1 << 20;
/** The largest headers today are those of vocabularies of 260,000 tokens with their merges: 16 MB. */
const MAX_HEADER_BYTES = 32 << 20;
/** Longest text: chat templates and licences are far below. */
const MAX_TEXT_BYTES = 1 << 20;

/**
 * Reads a GGUF header front to back through a window. What is in the window is read without waiting, so that a
 * vocabulary costs no promise a token: ask `has`, await `fill` if it says no, then read.
 */
export class GgufCursor {
  readonly #source: ByteSource;
  #window: Buffer = Buffer.alloc(0);
  /** The window's first byte in the file. */
  #start = 0;
  #at = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Bytes of the file that are still to come. */
  get remaining(): number {
    return this.#source.size - this.position;
  }

  fail(message: string): never {
    throw new EdgeformerError(
      "invalid_model",
      `${this.#source.name}: ${message}; the file is damaged, download it again`,
    );
  }

  has(bytes: number): boolean {
    return this.#at + bytes <= this.#window.length;
  }

  /** Moves the window so that it holds the next `bytes`, which `what` needs. */
  async fill(bytes: number, what: string): Promise<void> {
    const start = this.position;
    if (bytes > this.remaining)
      this.fail(`the file is truncated: it ends at byte ${this.#source.size}, in ${what}`);
    if (start + bytes > MAX_HEADER_BYTES) this.fail(`its header is longer than ${MAX_HEADER_BYTES} bytes`);
    const window = await this.#source.read(
      start,
      Math.min(Math.max(bytes, WINDOW_BYTES), this.#source.size - start),
    );
    this.#window = Buffer.from(window.buffer);
    this.#start = start;
    this.#at = 0;
  }

  async need(bytes: number, what: string): Promise<void> {
    if (!this.has(bytes)) await this.fill(bytes, what);
  }

  /** The next bytes, which the window holds, as a copy. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    const at = this.#advance(count);
    return new Uint8Array(this.#window.subarray(at, at + count));
  }

  u8 = (): number => this.#window.readUInt8(this.#advance(1));
  i8 = (): number => this.#window.readInt8(this.#advance(1));
  u16 = (): number => this.#window.readUInt16LE(this.#advance(2));
  i16 = (): number => this.#window.readInt16LE(this.#advance(2));
  u32 = (): number => this.#window.readUInt32LE(this.#advance(4));
  i32 = (): number => this.#window.readInt32LE(this.#advance(4));
  u64 = (): bigint => this.#window.readBigUInt64LE(this.#advance(8));
  i64 = (): bigint => this.#window.readBigInt64LE(this.#advance(8));
  f32 = (): number => this.#window.readFloatLE(this.#advance(4));
  f64 = (): number => this.#window.readDoubleLE(this.#advance(8));

  /** A text, read at once if the window holds it; undefined, and nothing read, if it does not. */
  textInWindow(what: () => string): string | undefined {
    if (!this.has(8)) return undefined;
    const length = this.#length(what);
    if (!this.has(8 + length)) return undefined;
    const start = this.#at + 8;
    this.#at = start + length;
    const text = this.#window.toString("utf8", start, this.#at);
    // U+FFFD is what stands for bytes that are no UTF-8, and a character of its own: only then look again.
    if (text.includes("\ufffd") && !isUtf8(this.#window.subarray(start, this.#at)))
      this.fail(`${what()} is not UTF-8: ${JSON.stringify(text.slice(0, 60))}`);
    return text;
  }

  async text(what: () => string): Promise<string> {
    const text = this.textInWindow(what);
    if (text !== undefined) return text;
    await this.need(8, what());
    await this.need(8 + this.#length(what), what());
    return this.textInWindow(what) as string;
  }

  /** The length that the next text claims. */
  #length(what: () => string): number {
    const low = this.#window.readUInt32LE(this.#at);
    const high = this.#window.readUInt32LE(this.#at + 4);
    const length = high * 2 ** 32 + low;
    if (length > MAX_TEXT_BYTES)
      this.fail(
        `${what()} claims to be ${this.#window.readBigUInt64LE(this.#at)} bytes long, more than ${MAX_TEXT_BYTES}`,
      );
    return length;
  }

  /** Moves on; returns where the window was read. */
  #advance(bytes: number): number {
    this.#at += bytes;
    return this.#at - bytes;
  }
}
