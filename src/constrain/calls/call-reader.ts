import { CALL_ARGUMENTS, CALL_CLOSE, CALL_NAME, CALL_OPEN } from "./call-constraint.ts";

/** What a text that `constrainCalls` holds says, piece by piece. */
export type CallPiece =
  /** Text that belongs to no call. */
  | { kind: "text"; text: string }
  /** The call with this number begins. */
  | { kind: "call"; call: number; name: string }
  /** More of its arguments, which are JSON. */
  | { kind: "arguments"; call: number; json: string };

/** The longest end of a text that is a beginning of a word, but not all of it. */
function partAtEnd(text: string, word: string): number {
  let length = Math.min(text.length, word.length - 1);
  while (length > 0 && !text.endsWith(word.slice(0, length))) length--;
  return length;
}

/** Reads calls as they are written. */
export class CallReader {
  #state: "text" | "before" | "arguments" | "behind" = "text";
  /** What was given and is not read yet. */
  #rest = "";
  /** Calls that have begun. */
  #calls = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** Calls that have begun so far. */
  get calls(): number {
    return this.#calls;
  }

  /**
   * Reads on.
   *
   * @param isLast whether nothing follows, so that what looks like the beginning of a call is text
   */
  push(text: string, isLast = false): CallPiece[] {
    this.#rest += text;
    const pieces: CallPiece[] = [];
    while (this.#read(pieces, isLast));
    return pieces;
  }

  /** Reads as far as the state stays the same; true where it changed. */
  #read(pieces: CallPiece[], isLast: boolean): boolean {
    switch (this.#state) {
      case "text": {
        const at = this.#rest.indexOf(CALL_OPEN);
        const end = at !== -1 ? at : this.#rest.length - (isLast ? 0 : partAtEnd(this.#rest, CALL_OPEN));
        // Behind a call there is white space only.
        if (end > 0 && this.#calls === 0) pieces.push({ kind: "text", text: this.#rest.slice(0, end) });
        this.#rest = this.#rest.slice(at === -1 ? end : end + CALL_OPEN.length);
        if (at !== -1) this.#state = "before";
        return at !== -1;
      }
      case "before": {
        const start = this.#rest.indexOf(CALL_NAME);
        const end = this.#rest.indexOf(CALL_ARGUMENTS, start + CALL_NAME.length);
        if (start === -1 || end === -1) return false;
        const name = this.#rest.slice(start + CALL_NAME.length, end);
        pieces.push({ kind: "call", call: this.#calls++, name });
        this.#rest = this.#rest.slice(end + CALL_ARGUMENTS.length);
        this.#state = "arguments";
        return true;
      }
      case "arguments": {
        // A client that parses as it reads cannot begin with white space.
        if (this.#depth === 0) this.#rest = this.#rest.trimStart();
        const closed = this.#endOfArguments();
        const json = this.#rest.slice(0, closed);
        if (json !== "") pieces.push({ kind: "arguments", call: this.#calls - 1, json });
        this.#rest = closed === undefined ? "" : this.#rest.slice(closed);
        if (closed !== undefined) this.#state = "behind";
        return closed !== undefined;
      }
      case "behind": {
        // Behind a call: the next of its list, or the end of the list and perhaps another opening.
        const next = this.#rest.indexOf(",");
        const close = this.#rest.indexOf(CALL_CLOSE);
        if (next === -1 && close === -1) return false;
        const another = close === -1 || (next !== -1 && next < close);
        this.#rest = this.#rest.slice(another ? next + 1 : close + CALL_CLOSE.length);
        this.#state = another ? "before" : "text";
        return true;
      }
    }
  }

  /** Where the rest has the end of the arguments, which are an object; undefined if it is all theirs. */
  #endOfArguments(): number | undefined {
    for (let at = 0; at < this.#rest.length; at++) {
      const unit = this.#rest[at]!;
      if (this.#escaped) this.#escaped = false;
      else if (this.#inString) {
        if (unit === "\\") this.#escaped = true;
        else if (unit === '"') this.#inString = false;
      } else if (unit === '"') this.#inString = true;
      else if (unit === "{" || unit === "[") this.#depth++;
      else if (unit === "}" || unit === "]") {
        this.#depth--;
        if (this.#depth === 0) return at + 1;
      }
    }
    return undefined;
  }
}
