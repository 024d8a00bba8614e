// Numbers as they are written, digit by digit: whether what is there can still become a number of a set.

import {
  beginsListed,
  DIGITS,
  holdsNumber,
  isAnyNumber,
  type NumberFacts,
  numberBetween,
  ONE,
} from "./number-facts.ts";

/** Exponents go from minus this to this: then no number is too large for a double, and none too small. */
const MAX_EXPONENT = 270;
/** Numbers below it are written with an exponent, and from this on, where JavaScript writes them. */
const [SMALL, LARGE] = [-7, 21];
const SYNTAX = /^(-?)(0|[1-9]\d*)?(?:(\.)(\d*))?(?:([eE])([+-]?)(\d*))?$/;

interface Parts {
  negative: boolean;
  /** Undefined before the first digit. */
  whole: string | undefined;
  /** Undefined before a point. */
  fraction: string | undefined;
  /** Undefined before an e. */
  exponent: { sign: string; digits: string } | undefined;
}

function partsOf(text: string): Parts | undefined {
  const match = SYNTAX.exec(text);
  if (!match) return undefined;
  const [, sign, whole, point, fraction, e, exponentSign, exponentDigits] = match;
  if (point !== undefined && whole === undefined) return undefined;
  if (e !== undefined && (whole === undefined || (point !== undefined && fraction === ""))) return undefined;
  if ((whole?.length ?? 0) > DIGITS || (fraction?.length ?? 0) > DIGITS) return undefined;
  if ((exponentDigits?.length ?? 0) > 3 || Number(exponentDigits || 0) > MAX_EXPONENT) return undefined;
  return {
    negative: sign === "-",
    whole,
    fraction: point === undefined ? undefined : fraction,
    exponent: e === undefined ? undefined : { sign: exponentSign!, digits: exponentDigits! },
  };
}

function isWhole({ whole, fraction, exponent }: Parts): boolean {
  return whole !== undefined && fraction !== "" && exponent?.digits !== "";
}

/** Whether a text is a number of the set. */
export function isNumber(facts: NumberFacts, text: string): boolean {
  const parts = partsOf(text);
  if (!parts || !isWhole(parts)) return false;
  if (facts.values) return facts.values.includes(text) || facts.values.includes(withoutZeros(text));
  if (isAnyNumber(facts)) return true;
  if (parts.exponent) return hasExponent(facts, parts, true);
  return holdsNumber(facts, magnitude(parts) * (parts.negative ? -1n : 1n));
}

/** Without what stands behind the last digit that says something behind the point. */
function withoutZeros(text: string): string {
  return text.replace(/\.0*$|(\.\d*[1-9])0+$/, "$1");
}

function magnitude({ whole, fraction = "" }: Parts): bigint {
  return BigInt(whole + fraction.padEnd(DIGITS, "0"));
}

/** Whether a text can become a number of the set. */
export function canBecomeNumber(facts: NumberFacts, text: string): boolean {
  const parts = partsOf(text);
  if (!parts) return false;
  if (isAnyNumber(facts)) return true;
  if (facts.values) return beginsListed(facts.values, text) || facts.values.includes(withoutZeros(text));
  const { negative, whole, fraction, exponent } = parts;
  if (hasExponent(facts, parts, false)) return true;
  if (exponent) return false;
  const between = (from: bigint, to: bigint) =>
    (negative ? numberBetween(facts, -to, -from) : numberBetween(facts, from, to)) !== undefined;
  if (whole === undefined) return between(0n, 10n ** BigInt(DIGITS) * ONE - 1n);
  const from = magnitude(parts);
  if (fraction !== undefined) return between(from, from + 10n ** BigInt(DIGITS - fraction.length) - 1n);
  let [low, high] = [from, from + ONE - 1n];
  if (between(low, high)) return true;
  if (whole === "0") return false;
  for (let digits = whole.length; digits < DIGITS; digits++) {
    [low, high] = [low * 10n, high * 10n + 9n];
    if (between(low, high)) return true;
  }
  return false;
}

/**
 * Whether a number of the set is written like this with an exponent. Sets with bounds have such texts only where all
 * numbers of that size belong to them, as JavaScript writes them: 1.5e-7, 1e+21.
 */
function hasExponent(
  facts: NumberFacts,
  { negative, whole, fraction, exponent }: Parts,
  complete: boolean,
): boolean {
  if (facts.gaps.length + facts.notSteps.length > 0) return false;
  if (whole !== undefined && !/^[1-9]$/.test(whole)) return false;
  const [least, most] = negative ? [-facts.most, -facts.least] : [facts.least, facts.most];
  const small = facts.step === 1n && least <= 1n && most >= ONE / 100_000n;
  // A multiple of 10^21, whatever its first digits are, if these end in front of the point.
  const large =
    (facts.step === 1n || facts.step === ONE) &&
    most === Infinity &&
    least <= 10n ** BigInt(LARGE) * ONE &&
    (facts.step === 1n || (fraction ?? "").length <= LARGE);
  if (!exponent) return !complete && (small || large);
  const { sign, digits } = exponent;
  const reaches = (size: number) =>
    (complete || canReach(digits, size)) && (!complete || Number(digits) >= size);
  return (
    (small && sign !== "+" && (sign === "-" ? reaches(-SMALL) : digits === "")) ||
    (large && sign !== "-" && reaches(LARGE))
  );
}

/** Whether an exponent that begins like this can be at least so large. */
function canReach(digits: string, least: number): boolean {
  for (let more = 0; digits.length + more <= 3; more++) {
    const from = Number(digits) * 10 ** more;
    const to = digits === "" ? 10 ** more - 1 : from + 10 ** more - 1;
    if (from <= MAX_EXPONENT && to >= least) return true;
  }
  return false;
}

/** A text for which the same may follow, one for many, where no set looks at digits but for whether they are 0. */
export function shortened(sets: readonly NumberFacts[], text: string): string {
  const isNegative = text.startsWith("-");
  const isBlind = ({ least, most, step, notSteps, values, gaps }: NumberFacts): boolean => {
    const [low, high] = isNegative ? [-most, -least] : [least, most];
    const isWide = high === Infinity && (low <= 1n || low === ONE);
    return isWide && (step === 1n || step === ONE) && !values && notSteps.length + gaps.length === 0;
  };
  if (!sets.every(isBlind)) return text;
  const digits = sets.every(({ step }) => step === 1n) ? /^[^eE]+/ : /^-?\d+/;
  return text.replace(digits, (some) => some.replace(/[2-9]/g, "1"));
}
