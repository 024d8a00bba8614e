/** Where a command writes: see terminal.ts. */
export interface CliIo {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  /** For what a model writes. */
  readonly text: CliStream;
  /** For a progress bar, which moves the cursor. */
  readonly progress: CliStream;
}

export interface CliStream {
  write(text: string): unknown;
  /** Set on a terminal. */
  readonly isTTY?: boolean;
}
