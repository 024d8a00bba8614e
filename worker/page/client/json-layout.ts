/** Lays JSON out while it comes: each entry on an indented line of its own, whatever white space was written. */
export class JsonLayout {
  #depth = 0;
  /** The last character outside of a string that is no white space; of a string, its first. */
  #last = " ";
  #inString = false;
  /** Whether it stands behind a string's backslash. */
  #escapes = false;

  /** A character as it is to be shown: with the space before it, or as nothing. */
  next(character: string): string {
    if (this.#inString) {
      this.#inString = this.#escapes || character !== '"';
      this.#escapes = !this.#escapes && character === "\\";
      return character;
    }
    if (/\s/.test(character)) return "";
    const before = this.#last;
    this.#last = character;
    this.#inString = character === '"';
    const closes = "]}".includes(character);
    if (closes) this.#depth--;
    // What is empty stays on one line.
    const breaks = before === "," || "[{".includes(before) !== closes;
    const space = breaks ? `\n${"  ".repeat(this.#depth)}` : before === ":" ? " " : "";
    if ("[{".includes(character)) this.#depth++;
    return space + character;
  }
}
