import { EdgeformerError } from "../errors.ts";
import { excerpt } from "../excerpt.ts";
import { ACTIVATIONS, type ActivationName } from "./recipe.ts";

/** Other names under which transformers' `ACT2FN` knows the engine's activation functions. */
const ACTIVATION_ALIASES: Readonly<Record<string, ActivationName>> = {
  gelu_fast: "gelu_new",
  gelu_accurate: "gelu_new",
  gelu_python: "gelu",
  swish: "silu",
};

/** Far beyond anything published. Larger values would overflow the arithmetic of sizes. */
export const LIMITS = {
  layers: 1024,
  width: 1 << 16,
  heads: 1 << 10,
  vocabulary: 1 << 20,
  positions: 1 << 20,
};

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The fields of a configuration in Hugging Face's layout. It remembers every value that was asked for, defaults
 * filled in: read again, `resolved` gives the same recipe. That is what model.json keeps.
 */
export class ConfigFields {
  readonly #raw: Record<string, unknown>;
  readonly #label: string;
  readonly #resolved: Record<string, unknown> = {};

  /**
   * @param value the parsed file
   * @param label what messages begin with, before a field's name
   * @throws EdgeformerError `invalid_model` if it is not an object
   */
  constructor(value: unknown, label = "config.json: ") {
    this.#label = label;
    if (!isObject(value)) this.fail("must be an object");
    this.#raw = value;
  }

  /** What was asked for, under the first name of each. */
  get resolved(): Record<string, unknown> {
    return this.#resolved;
  }

  /** @throws EdgeformerError `invalid_model` */
  fail(message: string): never {
    throw new EdgeformerError("invalid_model", `${this.#label}${message}`);
  }

  /** @throws EdgeformerError `unsupported_model` */
  unsupported(message: string): never {
    throw new EdgeformerError("unsupported_model", `${this.#label}${message}`);
  }

  /** The value under any of its names; undefined where it is missing or null. */
  peek(...names: string[]): unknown {
    for (const name of names)
      if (this.#raw[name] !== undefined && this.#raw[name] !== null) return this.#raw[name];
    return undefined;
  }

  /** Whether a field is there and null, where that is not the same as missing. */
  isNull(name: string): boolean {
    return this.#raw[name] === null;
  }

  /** Notes a value that was worked out, to be read back under `name`. */
  keep<T>(name: string, value: T): T {
    this.#resolved[name] = value;
    return value;
  }

  /** A positive integer up to `maximum`. */
  size(names: readonly string[], maximum: number, fallback?: number): number {
    const name = names[0] as string;
    const value = this.peek(...names) ?? fallback;
    if (value === undefined) this.fail(`${name} is missing`);
    if (!Number.isSafeInteger(value) || (value as number) < 1)
      this.fail(`${name} must be a positive integer, not ${excerpt(value)}`);
    if ((value as number) > maximum)
      this.unsupported(`${name} is ${value}; the most that is supported is ${maximum}`);
    return this.keep(name, value as number);
  }

  /** A finite number above `minimum` and below `maximum`. */
  real(name: string, minimum: number, maximum: number, fallback?: number): number {
    const value = this.peek(name) ?? fallback;
    if (value === undefined) this.fail(`${name} is missing`);
    if (typeof value !== "number" || !(value > minimum && value < maximum))
      this.fail(`${name} must be above ${minimum} and below ${maximum}, not ${excerpt(value)}`);
    return this.keep(name, value);
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.peek(name) ?? fallback;
    if (typeof value !== "boolean") this.fail(`${name} must be true or false, not ${excerpt(value)}`);
    return this.keep(name, value);
  }

  /** The activation function under any of its names. */
  activation(names: readonly string[], fallback: ActivationName): ActivationName {
    const name = names[0] as string;
    const value = this.peek(...names) ?? fallback;
    const alias = typeof value === "string" && Object.hasOwn(ACTIVATION_ALIASES, value);
    const resolved = alias ? ACTIVATION_ALIASES[value as string] : value;
    if (!ACTIVATIONS.includes(resolved as ActivationName))
      this.unsupported(`${name} ${excerpt(value)} is not supported; supported are ${ACTIVATIONS.join(", ")}`);
    return this.keep(name, resolved as ActivationName);
  }

  /** Token ids of a field that holds one or a list; those that the vocabulary does not have are left out. */
  tokens(name: string, vocabSize: number, fallback: number | null): number[] {
    const raw = this.#raw[name] === undefined ? fallback : this.#raw[name];
    const ids = (Array.isArray(raw) ? raw : [raw]).filter(
      (id): id is number => Number.isInteger(id) && id >= 0 && id < vocabSize,
    );
    return this.keep(name, [...new Set(ids)]);
  }

  /** Refuses fields that ask for what the engine does not do; `allowed` holds the values that ask for nothing. */
  refuse(name: string, what: string, ...allowed: unknown[]): void {
    const value = this.peek(name);
    if (value !== undefined && !allowed.includes(value))
      this.unsupported(`${name} ${excerpt(value)}: ${what} is not supported`);
  }
}
