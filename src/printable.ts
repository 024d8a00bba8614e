/** What a terminal obeys instead of showing it: control characters but tab and line feed, and marks that turn text around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A character as JSON escapes it. */
export function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A text with nothing in it that a terminal obeys. Inside of a JSON string it still means the same. */
export function printable(text: string): string {
  return text.replace(OBEYED, escaped);
}
