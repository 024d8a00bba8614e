// A reader of the part of Python's pickle format (https://docs.python.org/3/library/pickletools.html) that
// torch.save uses for a dictionary of tensors. A pickle is a program; this reader has no way to run one: it
// builds dictionaries, lists, tuples, numbers, strings and tensor descriptions, and refuses everything else.
import { EdgeformerError } from "../../errors.ts";
import { build, knownGlobal, PickledTensor, persistentStorage, Tuple } from "./pickle-values.ts";

const MARK = Symbol("mark");

/**
 * Values that a pickle may build: what a checkpoint of 20,000 tensors needs. A dictionary takes one byte in the
 * file and 200 in memory.
 */
const MAX_VALUES = 500_000;
/** Bytes of a whole number. torch's own magic number has ten; 65,000 of 255 took 1.3 s. */
const MAX_LONG_BYTES = 16;

class Unpickler {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();
  #values = 0;
  position: number;

  constructor(bytes: Uint8Array, start: number, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.#file = file;
  }

  fail(message: string): never {
    throw new EdgeformerError("invalid_model", `${this.#file}: ${message}`);
  }

  #damaged(): never {
    this.fail("the pickle in it is damaged or truncated; download it again");
  }

  #tooMany(): never {
    this.fail(`the pickle in it has more than ${MAX_VALUES} values: it is not a checkpoint`);
  }

  /** Moves past `length` bytes and returns where they start. */
  #take(length: number): number {
    const start = this.position;
    if (length > this.#bytes.length - start) this.#damaged();
    this.position = start + length;
    return start;
  }

  #uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  #uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #uint64(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value > this.#bytes.length) this.#damaged();
    return Number(value);
  }

  #text(length: number): string {
    const start = this.#take(length);
    return new TextDecoder().decode(this.#bytes.subarray(start, start + length));
  }

  /** Up to the end of the line, which is not part of it. */
  #line(): string {
    const end = this.#bytes.indexOf(10, this.position);
    if (end < 0) this.#damaged();
    const line = this.#text(end - this.position);
    this.position = end + 1;
    return line;
  }

  /** A little-endian two's complement number of `length` bytes; a string if it is too large for a number. */
  #long(length: number): number | string {
    if (length > MAX_LONG_BYTES) this.#damaged();
    const start = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[start + i] as number);
    value = length > 0 ? BigInt.asIntN(8 * length, value) : 0n;
    const small = Number(value);
    return Number.isSafeInteger(small) ? small : value.toString();
  }

  #pop(): unknown {
    if (this.#stack.length === 0 || this.#stack.at(-1) === MARK) this.#damaged();
    return this.#stack.pop();
  }

  #top(): unknown {
    if (this.#stack.length === 0 || this.#stack.at(-1) === MARK) this.#damaged();
    return this.#stack.at(-1);
  }

  /** Everything above the last mark, which goes too. */
  #popToMark(): unknown[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) this.#damaged();
    const items = this.#stack.splice(mark + 1);
    this.#stack.pop();
    return items;
  }

  #popTuple(length: number): Tuple {
    const items: unknown[] = [];
    for (let i = 0; i < length; i++) items.unshift(this.#pop());
    return new Tuple(items);
  }

  #reduce(): unknown {
    const args = this.#pop();
    return build(this.#pop(), args, this.#file) ?? this.#damaged();
  }

  #setItems(items: unknown[]): void {
    const target = this.#top();
    if (!(target instanceof Map) || items.length % 2 !== 0) this.#damaged();
    for (let i = 0; i < items.length; i += 2) target.set(items[i], items[i + 1]);
  }

  #append(items: unknown[]): void {
    const target = this.#top();
    if (!Array.isArray(target)) this.#damaged();
    for (const item of items) target.push(item);
  }

  /** Keeps the value on top to be recalled. One byte of a file does it, and takes 50 in memory. */
  #memorize(index: number): void {
    if (this.#memo.size > MAX_VALUES) this.#tooMany();
    this.#memo.set(index, this.#top());
  }

  #recall(index: number): unknown {
    if (!this.#memo.has(index)) this.#damaged();
    return this.#memo.get(index);
  }

  /** Reads one pickle, up to and with its STOP. */
  run(): unknown {
    const push = (value: unknown) => {
      if (++this.#values > MAX_VALUES) this.#tooMany();
      this.#stack.push(value);
    };
    for (;;) {
      const opcode = this.#uint8();
      switch (opcode) {
        case 0x80: // PROTO
          if (this.#uint8() > 5) this.fail("the pickle in it has an unknown version");
          break;
        case 0x95: // FRAME
          this.#take(8);
          break;
        case 0x2e: // STOP
          return this.#pop();
        case 0x28: // MARK
          push(MARK);
          break;
        case 0x30: // POP
          this.#stack.pop();
          break;
        case 0x4e: // NONE
          push(null);
          break;
        case 0x88: // NEWTRUE
          push(true);
          break;
        case 0x89: // NEWFALSE
          push(false);
          break;
        case 0x4a: // BININT
          push(this.#view.getInt32(this.#take(4), true));
          break;
        case 0x4b: // BININT1
          push(this.#uint8());
          break;
        case 0x4d: // BININT2
          push(this.#view.getUint16(this.#take(2), true));
          break;
        case 0x8a: // LONG1
          push(this.#long(this.#uint8()));
          break;
        case 0x47: // BINFLOAT
          push(this.#view.getFloat64(this.#take(8), false));
          break;
        case 0x55: // SHORT_BINSTRING
        case 0x8c: // SHORT_BINUNICODE
          push(this.#text(this.#uint8()));
          break;
        case 0x54: // BINSTRING
        case 0x58: // BINUNICODE
          push(this.#text(this.#uint32()));
          break;
        case 0x8d: // BINUNICODE8
          push(this.#text(this.#uint64()));
          break;
        case 0x7d: // EMPTY_DICT
          push(new Map());
          break;
        case 0x5d: // EMPTY_LIST
          push([]);
          break;
        case 0x29: // EMPTY_TUPLE
          push(new Tuple([]));
          break;
        case 0x74: // TUPLE
          push(new Tuple(this.#popToMark()));
          break;
        case 0x85: // TUPLE1
        case 0x86: // TUPLE2
        case 0x87: // TUPLE3
          push(this.#popTuple(opcode - 0x84));
          break;
        case 0x71: // BINPUT
          this.#memorize(this.#uint8());
          break;
        case 0x72: // LONG_BINPUT
          this.#memorize(this.#uint32());
          break;
        case 0x94: // MEMOIZE
          this.#memorize(this.#memo.size);
          break;
        case 0x68: // BINGET
          push(this.#recall(this.#uint8()));
          break;
        case 0x6a: // LONG_BINGET
          push(this.#recall(this.#uint32()));
          break;
        case 0x61: // APPEND
          this.#append([this.#pop()]);
          break;
        case 0x65: // APPENDS
          this.#append(this.#popToMark());
          break;
        case 0x73: {
          // SETITEM
          const value = this.#pop();
          this.#setItems([this.#pop(), value]);
          break;
        }
        case 0x75: // SETITEMS
          this.#setItems(this.#popToMark());
          break;
        case 0x63: // GLOBAL
          push(knownGlobal(this.#line(), this.#line(), this.#file));
          break;
        case 0x93: {
          // STACK_GLOBAL
          const name = this.#pop();
          const module = this.#pop();
          if (typeof name !== "string" || typeof module !== "string") this.#damaged();
          push(knownGlobal(module, name, this.#file));
          break;
        }
        case 0x51: // BINPERSID
          push(persistentStorage(this.#pop(), this.#file));
          break;
        case 0x52: // REDUCE
          push(this.#reduce());
          break;
        case 0x62: // BUILD: attributes of a dictionary (_metadata) or hooks of a tensor, which say nothing about weights
          this.#pop();
          if (!(this.#top() instanceof Map) && !(this.#top() instanceof PickledTensor)) this.#damaged();
          break;
        default:
          this.fail(
            `the pickle in it uses the opcode 0x${opcode.toString(16).padStart(2, "0")}, which tensors do not need; nothing was executed`,
          );
      }
    }
  }
}

/**
 * Reads one pickle.
 *
 * @param file for messages
 * @returns its value (dictionaries as Map, lists as arrays) and where the next byte is
 * @throws EdgeformerError `invalid_model` if it is damaged or holds anything but tensors and plain values
 */
export function readPickle(bytes: Uint8Array, start: number, file: string): { value: unknown; end: number } {
  const unpickler = new Unpickler(bytes, start, file);
  const value = unpickler.run();
  return { value, end: unpickler.position };
}
