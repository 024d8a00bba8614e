/** White space as Python has it, in `\s` of its expressions and in `str.strip`: what stands in a class of a pattern. */
export const WHITE_SPACE = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

const ONE = new RegExp(`[${WHITE_SPACE}]`);

/** Characters to take off either end of a text; all of them are units of the Basic Multilingual Plane. */
export function stripped(
  text: string,
  ends: "both" | "left" | "right",
  isTaken: (character: string) => boolean = (character) => ONE.test(character),
): string {
  let [start, end] = [0, text.length];
  if (ends !== "right") while (start < end && isTaken(text[start]!)) start++;
  if (ends !== "left") while (end > start && isTaken(text[end - 1]!)) end--;
  return text.slice(start, end);
}
