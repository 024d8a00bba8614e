// JSON as clients send it, before it is parsed: a megabyte of brackets becomes thirty of objects.

/** Lists, objects and members of objects that a text may have: what fields need, and no more than 4 MB once parsed. */
export const MAX_PARTS = 32_768;
/** Entries that the value of a field may have in it, however deep, where it is no prompt. */
export const MAX_NESTED_ENTRIES = 16_384;

/** Index of the quotation mark that ends the string which begins at `start`; behind the text if there is none. */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let escapes = 0;
    while (json[end - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return end;
  }
  return json.length;
}

/** Lists, objects and members of objects in a text that is JSON; counting stops above MAX_PARTS. */
export function countParts(json: string): number {
  let count = 0;
  for (let at = 0; at < json.length && count <= MAX_PARTS; at++) {
    const character = json[at];
    if (character === '"') at = endOfString(json, at);
    else if (character === "[" || character === "{" || character === ":") count++;
  }
  return count;
}

/** How the last member with this name of the outermost object was written, if it is no text; undefined if there is none. */
export function sourceOf(name: string, json: string): string | undefined {
  let depth = 0;
  let key = "";
  let source: string | undefined;
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === '"') {
      const end = endOfString(json, at);
      if (depth === 1) key = json.slice(at, end + 1);
      at = end;
    } else if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth--;
    else if (character === ":" && depth === 1 && JSON.parse(key) === name)
      source = /^\s*([^\s,}]*)/.exec(json.slice(at + 1, at + 64))?.[1];
  }
  return source;
}
