// Texts over which tokenizers have stumbled, ordinary and hostile, made rather than kept.

import { classOf, LETTER, NUMBER, WHITE } from "../../text/tokenizer-characters.ts";

/** What texts are made of, in groups with a separator that none of the group has. */
const FRAGMENTS = [
  "Hello| world|the | The|can't|I'LL|we've|'S|'\u017f|don\u2019t|camelCase|X_Y|@user|#tag|\\n|\"quoted\"",
  "1|23|456|7890|\u0663\u0664\u0665|\u00bd|\u00b2|\u2167|\u{1d7d8}\u{1d7d9}|3.14|1e-9",
  " |  |   |\n|\n\n|\r\n|\t|\t\t|\u00a0|\u0085|\ufeff|\u200b|\u2003|\u3000|\u2028|\u180e|\0|\x1c|\x7f",
  "\u65e5\u672c\u8a9e|\u30c6\u30ad\u30b9\u30c8|\u4e2d\u6587|\ud55c\uad6d\uc5b4|\u0627\u0644\u0639|\u05e2\u05d1\u05e8",
  "\u0939\u093f\u0928\u094d\u0926\u0940|\u0e44\u0e17\u0e22|\u03b5\u03bb\u03ac\u03c2|\u0420\u0443\u0441|\u10e5\u10d0",
  "\u00e9|e\u0301|\ufb01|\u00df|\u0130|\u212b|\uff71|\u01c4|\u0149|\u03c3\u03c2|\u03a3",
  "\u{1f642}|\u{1f469}\u200d\u{1f467}|\u{1f1eb}\u{1f1f7}|\u{1f44d}\u{1f3fd}|\u{10ffff}|\ue000|\ufffd",
  'for (let i=0;i<10;i++) {|}|x[i] += 1; // ok|def f(x):\n    return x**2\n|<div class="a">|</div>|&amp;',
  "https://example.org/a?b=c#d|---|====|....|!!!|\u2014|\u2026|\u20ac|\u2581|\u2581\u2581|<0x41>|<s>|\u0120|_",
].flatMap((group) => group.split("|"));

/** Planes and blocks that random characters come from: how many code points, and the first. */
const BLOCKS = [
  [0x80, 0],
  [0x250, 0],
  [0x800, 0],
  [0xd800, 0],
  [0x2800, 0],
  [0x5000, 0x4e00],
  [0x400, 0x1f300],
] as const;

/** Marsaglia's xorshift with 32 bits of state, as numbers from 0 to below 1. */
function random(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Whether the host has the same class for a character: Unicode grows, and references ask the host. */
function isSettled(character: string): boolean {
  const kind = classOf(character.codePointAt(0)!);
  return /\p{L}/u.test(character) === (kind === LETTER) && /\p{N}/u.test(character) === (kind === NUMBER);
}

/**
 * `count` texts, the same for the same seed.
 *
 * @param words spellings that are put in now and then
 */
export function proofTexts(count: number, seed: number, words: readonly string[]): string[] {
  const draw = random(seed);
  const below = (limit: number) => Math.floor(draw() * limit);
  const one = <T>(items: readonly T[]) => items[below(items.length)]!;
  const character = (): string => {
    const [size, first] = one(BLOCKS);
    const drawn = String.fromCodePoint(first + below(size));
    return isSettled(drawn) ? drawn : character();
  };
  const spelled = words.length > 0 ? words : FRAGMENTS;
  const modes = [
    () => one(FRAGMENTS),
    () => (draw() < 0.7 ? one(FRAGMENTS) : character()),
    () => character(),
    () => String.fromCharCode(below(128)),
    () => one([..." \n\t\r'sre1a\u00a0\u2028"]),
    () => (draw() < 0.5 ? one(FRAGMENTS) : one(spelled) + (draw() < 0.3 ? " " : "")),
    () => one([..."abcdest \u00e9"]),
  ];
  return Array.from({ length: count }, (_, i) => {
    const mode = modes[i % modes.length]!;
    const length = 1 + below(i % 10 === 0 ? 200 : i % 3 === 0 ? 30 : 10);
    return Array.from({ length }, mode).join("");
  });
}

/** White space of JavaScript's regular expressions that is none elsewhere, or the other way round. */
export function hasDisputedSpace(text: string): boolean {
  for (const character of text)
    if (/\s/u.test(character) !== (classOf(character.codePointAt(0)!) === WHITE)) return true;
  return false;
}
