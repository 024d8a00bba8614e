/** Where the command line writes, so that tests can listen. */
export interface CliIo {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
}

export interface CliStream {
  write(text: string): unknown;
  /** Set on a terminal. */
  readonly isTTY?: boolean;
}
