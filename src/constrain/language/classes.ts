// Sets of code points as sorted ranges: [first, last, first, last, …]. Surrogates are in none of them: no UTF-8 text
// and no JSON text that is generated here holds one alone.

export type CharacterClass = readonly number[];

export const LAST_POINT = 0x10ffff;
/** All code points. */
export const EVERYTHING: CharacterClass = [0, 0xd7ff, 0xe000, LAST_POINT];
export const DIGITS: CharacterClass = [0x30, 0x39];
export const WORD: CharacterClass = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
/** `\s` of ECMA-262: WhiteSpace and LineTerminator. */
export const SPACES: CharacterClass = [
  9, 13, 0x20, 0x20, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f,
  0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff,
];
export const LINE_ENDS: CharacterClass = [10, 10, 13, 13, 0x2028, 0x2029];

/** Sorted, with neighbours joined and without surrogates, from ranges in any order. */
export function classOfRanges(ranges: readonly (readonly [first: number, last: number])[]): CharacterClass {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const joined: number[] = [];
  for (const [first, last] of sorted) {
    const end = joined.length - 1;
    if (end > 0 && first <= joined[end]! + 1) joined[end] = Math.max(joined[end]!, last);
    else joined.push(first, last);
  }
  return intersection(joined, EVERYTHING);
}

function pairs(set: CharacterClass): [number, number][] {
  const out: [number, number][] = [];
  for (let i = 0; i < set.length; i += 2) out.push([set[i]!, set[i + 1]!]);
  return out;
}

export function union(...sets: CharacterClass[]): CharacterClass {
  return classOfRanges(sets.flatMap(pairs));
}

export function intersection(a: CharacterClass, b: CharacterClass): CharacterClass {
  const out: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const first = Math.max(a[i]!, b[j]!);
    const last = Math.min(a[i + 1]!, b[j + 1]!);
    if (first <= last) out.push(first, last);
    if (a[i + 1]! < b[j + 1]!) i += 2;
    else j += 2;
  }
  return out;
}

export function complement(set: CharacterClass): CharacterClass {
  const out: number[] = [];
  let next = 0;
  for (let i = 0; i < set.length; i += 2) {
    if (set[i]! > next) out.push(next, set[i]! - 1);
    next = set[i + 1]! + 1;
  }
  if (next <= LAST_POINT) out.push(next, LAST_POINT);
  return intersection(out, EVERYTHING);
}

export function contains(set: CharacterClass, point: number): boolean {
  let [low, high] = [0, set.length >> 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (set[2 * middle + 1]! < point) low = middle + 1;
    else high = middle;
  }
  return 2 * low < set.length && set[2 * low]! <= point;
}
