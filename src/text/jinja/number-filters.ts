// Filters that make numbers.

import { filter } from "./filter.ts";
import { strip, whole } from "./text-methods.ts";
import { Float, integer, numeric, typeName, Undefined } from "./values.ts";

/** Python's `int(text)`, in decimal digits, with underscores between them; undefined for what is none. */
function wholeText(subject: string, base: number): number | undefined {
  const [, sign, digits = ""] =
    /^([+-]?)(?:0[xX](?=.))?([\da-zA-Z]+(?:_[\da-zA-Z]+)*)$/.exec(strip(subject, null, "both")) ?? [];
  const allowed = "0123456789abcdefghijklmnopqrstuvwxyz".slice(0, base);
  const plain = digits.replaceAll("_", "").toLowerCase();
  if (plain === "" || [...plain].some((digit) => !allowed.includes(digit))) return undefined;
  return integer(Number.parseInt(plain, base) * (sign === "-" ? -1 : 1));
}

function floatText(subject: string): number | undefined {
  const trimmed = strip(subject, null, "both");
  if (/^[+-]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d+)?$/i.test(trimmed))
    return Number(trimmed.replaceAll("_", ""));
  const name = /^([+-]?)(inf(?:inity)?|nan)$/i.exec(trimmed);
  if (name === null) return undefined;
  return name[2]!.toLowerCase() === "nan" ? Number.NaN : name[1] === "-" ? -Infinity : Infinity;
}

export const toFloat = filter({ default: new Float(0) }, (value, [byDefault]) => {
  if (value instanceof Undefined) value.fail();
  const number = typeof value === "string" ? floatText(value) : numeric(value);
  return number === undefined ? byDefault! : new Float(number);
});

export const toWhole = filter({ default: 0, base: 10 }, (value, [byDefault, base]) => {
  if (value instanceof Undefined) value.fail();
  if (typeof value === "string") {
    const number = wholeText(value, whole(base!)) ?? Math.trunc(floatText(value) ?? Number.NaN);
    return Number.isFinite(number) ? integer(number) : byDefault!;
  }
  const number = numeric(value);
  return number === undefined || !Number.isFinite(number) ? byDefault! : integer(Math.trunc(number));
});

export const round = filter({ precision: 0, method: "common" }, (value, [precision, method], budget) => {
  const [number, digits] = [numeric(value), whole(precision!)];
  if (number === undefined) throw new Error(`type ${typeName(value)} cannot be rounded`);
  const scale = 10 ** digits;
  if (method === "ceil") return new Float(Math.ceil(number * scale) / scale);
  if (method === "floor") return new Float(Math.floor(number * scale) / scale);
  if (method !== "common") throw new Error("method must be common, ceil or floor");
  budget.step();
  if (!Number.isFinite(number)) return value;
  const result = digits >= 0 ? rounded(number, digits) : rounded(number / 10 ** -digits, 0) * 10 ** -digits;
  return value instanceof Float ? new Float(result) : result;
});

/** To so many digits, halves to the even one. */
function rounded(number: number, digits: number): number {
  const text = Number(number.toFixed(Math.min(digits, 100)));
  if (digits > 0) return text;
  const floor = Math.floor(number);
  return number - floor === 0.5 ? floor + (Math.abs(floor) % 2) : Math.round(number);
}
