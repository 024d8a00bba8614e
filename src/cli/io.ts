/** Where the command line reads and writes, so that tests can speak and listen. */
export interface CliStreams {
  /** Only `chat` reads. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: CliStream;
  readonly stderr: CliStream;
}

/** Where a command does: see terminal.ts. */
export interface CliIo extends CliStreams {
  /** For what a model writes. */
  readonly text: CliStream;
  /** Standard output for a line editor, which moves the cursor. */
  readonly screen: CliStream;
  /** For a progress bar, which moves the cursor. */
  readonly progress: CliStream;
}

export interface CliStream {
  write(text: string): unknown;
  /** Set on a terminal. */
  readonly isTTY?: boolean;
}
