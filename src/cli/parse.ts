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

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** A number of bytes: "100MB", "95.5 MiB", "100000000". */
export function parseBytes(text: string): number {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = BYTE_UNITS[unit?.toLowerCase() ?? "?"];
  if (factor === undefined) throw new InvalidArgumentError("It must be a size such as 100MB or 95.5MiB.");
  return Math.floor(Number(number) * factor);
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
