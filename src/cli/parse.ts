import { InvalidArgumentError } from "commander";

/** A number on the command line; ranges are the library's business. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError("It must be a number.");
  return value;
}

/** A TCP port. */
export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new InvalidArgumentError("It must be an integer from 0 to 65535.");
  return port;
}

/** An integer of any size; its range is the library's business. */
export function parseSeed(text: string): bigint {
  if (!/^\s*[+-]?\d+\s*$/.test(text)) throw new InvalidArgumentError("It must be an integer.");
  return BigInt(text.trim().replace(/^\+/, ""));
}

/** "1,2,3" */
export function parseTokens(text: string): number[] {
  if (!/^\s*\d+(\s*,\s*\d+)*\s*$/.test(text))
    throw new InvalidArgumentError("It must be token ids with commas between them, such as 464,2068.");
  return text.split(",").map(Number);
}

/** An option that may be given several times. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
