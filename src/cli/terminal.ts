import { escaped, printable } from "../printable.ts";
import type { CliIo, CliStream, CliStreams } from "./io.ts";

/** Longest message of one line. A name in a checkpoint can have megabytes. */
const MAX_LINE = 2000;

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
