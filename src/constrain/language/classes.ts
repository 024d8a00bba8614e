// Sets of code points as ranges in order. Surrogates are in none of them: no UTF-8 text and no JSON text that is
// generated here holds one alone.

export type Range = readonly [first: number, last: number];
export type CharacterClass = readonly Range[];

export const LAST_POINT = 0x10ffff;
const SURROGATES: Range = [0xd800, 0xdfff];

/** Ranges of whole numbers in order, with neighbours joined. */
export function joined(ranges: readonly Range[]): Range[] {
  const out: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = out.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else out.push([first, last]);
  }
  return out;
}

/** All other code points. */
export function complement(ranges: readonly Range[]): CharacterClass {
  const out: Range[] = [];
  let next = 0;
  for (const [first, last] of joined([...ranges, SURROGATES])) {
    if (first > next) out.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST_POINT) out.push([next, LAST_POINT]);
  return out;
}

/** The code points of some ranges, in any order. */
export function union(ranges: readonly Range[]): CharacterClass {
  return complement(complement(ranges));
}

/** All code points. */
export const EVERYTHING = complement([]);
export const DIGITS: CharacterClass = [[0x30, 0x39]];
export const WORD: CharacterClass = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
/** `\s` of ECMA-262: WhiteSpace and LineTerminator. */
export const SPACES: CharacterClass = [
  [9, 13],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
export const LINE_ENDS: CharacterClass = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
];
