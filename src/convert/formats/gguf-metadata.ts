import { EdgeformerError } from "../../errors.ts";

/** An array of a GGUF file: texts, or numbers as they are stored. Booleans are bytes of 0 and 1. */
export type GgufArray =
  | readonly string[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** A value of a GGUF file. A 64-bit integer is a bigint only where a number would round it. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** The key/value pairs at the start of a GGUF file, with a check of the type where a value is read. */
export class GgufMetadata {
  /** What to call the file in errors. */
  readonly file: string;
  readonly #values: ReadonlyMap<string, GgufValue>;

  constructor(file: string, values: ReadonlyMap<string, GgufValue>) {
    this.file = file;
    this.#values = values;
  }

  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  get(key: string): GgufValue | undefined {
    return this.#values.get(key);
  }

  /** @throws EdgeformerError `invalid_model` if the value is no text */
  string(key: string): string | undefined {
    return this.#typed(key, "a text", (value) => typeof value === "string");
  }

  /** @throws EdgeformerError `invalid_model` if the value is no boolean */
  boolean(key: string): boolean | undefined {
    return this.#typed(key, "true or false", (value) => typeof value === "boolean");
  }

  /** @throws EdgeformerError `invalid_model` if the value is no finite number */
  number(key: string): number | undefined {
    return this.#typed(key, "a number", (value) => Number.isFinite(value));
  }

  /** A count or an id. @throws EdgeformerError `invalid_model` if the value is no integer from 0 on */
  integer(key: string): number | undefined {
    return this.#typed(
      key,
      "an integer that is not negative",
      (value) => Number.isSafeInteger(value) && (value as number) >= 0,
    );
  }

  /** @throws EdgeformerError `invalid_model` if the value is no array of texts */
  strings(key: string): readonly string[] | undefined {
    return this.#typed(key, "an array of texts", Array.isArray);
  }

  /** @throws EdgeformerError `invalid_model` if the value is no array of numbers of at most 32 bits, or float64 */
  numbers(key: string): ArrayLike<number> | undefined {
    return this.#typed(
      key,
      "an array of numbers",
      (value) =>
        ArrayBuffer.isView(value) && !(value instanceof BigInt64Array || value instanceof BigUint64Array),
    );
  }

  /** The value that `read` finds. @throws EdgeformerError `invalid_model` if the key is missing */
  required<T>(key: string, read: (key: string) => T | undefined): T {
    const value = read.call(this, key);
    if (value === undefined)
      throw new EdgeformerError("invalid_model", `${this.file}: the key ${key} is missing`);
    return value;
  }

  #typed<T>(key: string, wanted: string, fits: (value: unknown) => boolean): T | undefined {
    const value = this.#values.get(key);
    if (value !== undefined && !fits(value))
      throw new EdgeformerError(
        "invalid_model",
        `${this.file}: ${key} is ${describeValue(value)}, not ${wanted}`,
      );
    return value as T | undefined;
  }
}

/** A value in a few words, for errors. */
function describeValue(value: GgufValue): string {
  if (typeof value === "object") return `an array of ${value.length}`;
  return typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : String(value);
}
