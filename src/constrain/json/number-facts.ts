// Sets of numbers, on the grid of decimals with 24 digits behind the point: a number is an integer times 10^-24.
// JSON's numbers become doubles when they are read, so what a schema compares are doubles. Where two texts that are
// different decimals would be one double, the sets here leave out what is too close to call.

/** A decimal times 10^24. */
export type Scaled = bigint;

/** Digits that a number has at most before its point, and behind it: a small model would write them for ever. */
export const DIGITS = 24;
export const ONE: Scaled = 10n ** 24n;
/** Numbers of the grid lie between minus this and this. */
const LIMIT = 10n ** BigInt(DIGITS) * ONE;
/** Beyond it not every integer is a double. */
const EXACT = 2n ** 53n * ONE;
/** Steps that the search for one number of a set takes at most. */
const MAX_STEPS = 2000;

/** Conditions on a number, all at once. */
export interface NumberFacts {
  /** Infinite if there is no bound. */
  least: Scaled | number;
  most: Scaled | number;
  /** It is a multiple of this. 1 stands for the grid itself. */
  step: Scaled;
  /** It is a multiple of none of these. */
  notSteps: readonly Scaled[];
  /** It is one of these, as JavaScript writes them, sorted; then nothing else is said. */
  values: readonly string[] | undefined;
  /** It is between none of these, which are numbers that are left out with what is too close to them. */
  gaps: readonly (readonly [Scaled, Scaled])[];
}

export const ANY_NUMBER: NumberFacts = {
  least: -Infinity,
  most: Infinity,
  step: 1n,
  notSteps: [],
  values: undefined,
  gaps: [],
};

/** A double's decimal on the grid, rounded towards zero, and whether that changed it. */
function onGrid(value: number): { at: Scaled; rounded: boolean } {
  const [mantissa, exponent] = value.toExponential().split("e") as [string, string];
  const [whole, fraction = ""] = mantissa.split(".") as [string, string?];
  const power = Number(exponent) - fraction.length + DIGITS;
  const digits = BigInt(whole + fraction);
  if (power >= 0) return { at: digits * 10n ** BigInt(power), rounded: false };
  const divisor = 10n ** BigInt(-power);
  return { at: digits / divisor, rounded: digits % divisor !== 0n };
}

export function scaled(value: number): Scaled {
  return onGrid(value).at;
}

/** Whether a double's decimal is on the grid. */
export function isOnGrid(value: number): boolean {
  return !onGrid(value).rounded;
}

const bits = new DataView(new ArrayBuffer(8));

/** The next double up. */
function after(value: number): number {
  if (value === 0) return Number.MIN_VALUE;
  bits.setFloat64(0, value);
  bits.setBigInt64(0, bits.getBigInt64(0) + (value > 0 ? 1n : -1n));
  return bits.getFloat64(0);
}

/** The exact value of a double on the grid, rounded down. */
function exact(value: number): Scaled {
  if (!Number.isFinite(value)) return value > 0 ? ONE ** 13n : -(ONE ** 13n);
  bits.setFloat64(0, value);
  const word = bits.getBigUint64(0);
  const exponent = Number((word >> 52n) & 0x7ffn);
  const fraction = word & 0xfffffffffffffn;
  const mantissa = (exponent === 0 ? fraction : fraction | (1n << 52n)) * (value < 0 ? -1n : 1n);
  const power = Math.max(exponent, 1) - 1075;
  return power >= 0 ? (mantissa * ONE) << BigInt(power) : (mantissa * ONE) >> BigInt(-power);
}

/** The least number of the grid whose double is above a double, and the greatest whose double is below it. */
export function above(value: number): Scaled {
  return (exact(value) + exact(after(value))) / 2n + 1n;
}

export function below(value: number): Scaled {
  return (exact(value) + exact(-after(-value))) / 2n - 1n;
}

/**
 * The least number of the grid that is not below a double's decimal, and the greatest that is not above it. A bound beyond
 * 2^53 may have been another integer in the source, so that its own double is too close to call.
 */
export function atLeast(value: number): Scaled {
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return above(value);
  const { at, rounded } = onGrid(value);
  return rounded && value > 0 ? at + 1n : at;
}

export function atMost(value: number): Scaled {
  return -atLeast(-value);
}

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

/** One of some numbers. */
export function amongNumbers(values: readonly number[]): Partial<NumberFacts> {
  return { values: values.map((value) => JSON.stringify(value)).sort() };
}

/** None of some numbers. */
export function exceptNumbers(values: readonly number[]): Partial<NumberFacts> {
  return { gaps: values.map((value) => [below(value), above(value)]) };
}

function ordered<T>(a: T, b: T): [T, T] {
  return a < b ? [a, b] : [b, a];
}

export function bothNumbers(a: NumberFacts, b: NumberFacts): NumberFacts {
  if (a.values) {
    const listed = b.values && new Set(b.values);
    return {
      ...a,
      values: a.values.filter((text) => (listed ? listed.has(text) : holdsDouble(b, Number(text)))),
    };
  }
  if (b.values) return bothNumbers(b, a);
  return {
    least: ordered(a.least, b.least)[1],
    most: ordered(a.most, b.most)[0],
    step: (a.step * b.step) / gcd(a.step, b.step),
    notSteps: [...new Set([...a.notSteps, ...b.notSteps])],
    values: undefined,
    gaps: [...a.gaps, ...b.gaps],
  };
}

/**
 * A number between two others that is in a set without listed values; undefined if there is none.
 *
 * @param giveUp called where the search takes too long
 */
export function numberBetween(
  facts: NumberFacts,
  from: Scaled,
  to: Scaled,
  giveUp?: () => never,
): Scaled | undefined {
  let low = facts.least > from ? BigInt(facts.least) : from;
  let high = facts.most < to ? BigInt(facts.most) : to;
  if (facts.step > 1n && facts.step !== ONE) {
    // Whether a double is a multiple can be told as long as it is exact.
    if (low < -EXACT) low = -EXACT;
    if (high > EXACT) high = EXACT;
  }
  for (const notStep of facts.notSteps) {
    // Further out, all that is no multiple is too close to one.
    const limit = notStep << 48n;
    if (low < -limit) low = -limit;
    if (high > limit) high = limit;
  }
  const { step } = facts;
  let at = low + (((-low % step) + step) % step);
  for (let steps = 0; at <= high; steps++) {
    if (steps > MAX_STEPS) return giveUp?.();
    const next = beyond(facts, at);
    if (next === undefined) return at;
    at = next + (((-next % step) + step) % step);
  }
  return undefined;
}

/** How many numbers are in the set, up to a number of them. */
export function countNumbers(facts: NumberFacts, most: number): number {
  if (facts.values) return facts.values.length;
  let found = 0;
  let from = -LIMIT;
  while (found < most) {
    const next = numberBetween(facts, from, LIMIT);
    if (next === undefined) break;
    found++;
    // Numbers are different only if their doubles are.
    const end = above(Number(next) / Number(ONE));
    from = end > next ? end : next + 1n;
  }
  return found;
}

/** Where to look next if a number is excluded; undefined if it is not. */
function beyond({ gaps, notSteps }: NumberFacts, at: Scaled): Scaled | undefined {
  const gap = gaps.find(([low, high]) => at > low && at < high);
  if (gap) return gap[1];
  const close = (at < 0n ? -at : at) >> 50n;
  for (const step of notSteps) {
    const rest = ((at % step) + step) % step;
    if (rest <= close) return at + close - rest + 1n;
    if (step - rest <= close) return at + step - rest + close + 1n;
  }
  return undefined;
}

/** Whether a number is in the set. */
export function holdsNumber(facts: NumberFacts, at: Scaled): boolean {
  return numberBetween(facts, at, at) !== undefined;
}

/** Whether a double is in a set without listed values; one that is off the grid only if both its neighbours are. */
export function holdsDouble(facts: NumberFacts, value: number): boolean {
  if (isAnyNumber(facts)) return true;
  const { at, rounded } = onGrid(value);
  return holdsNumber(facts, at) && (!rounded || holdsNumber(facts, value > 0 ? at + 1n : at - 1n));
}

/** Whether a sorted text begins like this. */
export function beginsListed(sorted: readonly string[], text: string): boolean {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < text) low = middle + 1;
    else high = middle;
  }
  return sorted[low]?.startsWith(text) ?? false;
}

export function isAnyNumber({ least, most, step, notSteps, values, gaps }: NumberFacts): boolean {
  return (
    least === -Infinity && most === Infinity && step === 1n && !values && notSteps.length + gaps.length === 0
  );
}

/** Whether no number is in the set. */
export function isNumberless(facts: NumberFacts, giveUp: () => never): boolean {
  if (facts.values) return facts.values.length === 0;
  if (facts.notSteps.some((notStep) => facts.step % notStep === 0n)) return true;
  return !isAnyNumber(facts) && numberBetween(facts, -LIMIT, LIMIT, giveUp) === undefined;
}
