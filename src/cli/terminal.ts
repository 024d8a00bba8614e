import type { CliIo, CliStream, CliStreams } from "./io.ts";

/** What a terminal obeys instead of showing it: control characters but tab and line feed, and marks that turn text around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Longest message of one line. A name in a checkpoint can have megabytes. */
const MAX_LINE = 2000;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A text with nothing in it that a terminal obeys. Inside of a JSON string it still means the same. */
export function printable(text: string): string {
  return text.replace(OBEYED, escaped);
}

/** The same on one line, and not without end: a name, a message. */
export function oneLine(text: string): string {
  const short = text.length <= MAX_LINE ? text : `${text.slice(0, MAX_LINE)}…`;
  return printable(short).replace(/[\n\u2028\u2029]/g, escaped);
}

function printing(stream: CliStream): CliStream {
  return {
    write: (text) => stream.write(printable(text)),
    ...(stream.isTTY === undefined ? {} : { isTTY: stream.isTTY }),
  };
}

/**
 * The streams of a command. Whatever comes from a file of somebody else's, names and errors among it, passes through here:
 * a checkpoint must not move the cursor, rename the window or type into it.
 */
export function commandIo({ stdin, stdout, stderr }: CliStreams): CliIo {
  const safe = printing(stdout);
  return {
    ...(stdin && { stdin }),
    stdout: safe,
    stderr: printing(stderr),
    // In a file or a pipe, a text is exactly what the model wrote.
    text: stdout.isTTY ? safe : stdout,
    screen: stdout,
    progress: stderr,
  };
}
