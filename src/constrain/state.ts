/** Where a text stands, as far as what may follow depends on it. Never changes. */
export interface State {
  /** Whether the text may end here. */
  readonly mayEnd: boolean;
  /** Behind one more byte of UTF-8; undefined if it may not come. From every state some way leads to an end. */
  step(byte: number): State | undefined;
  /** Inside a string, what says what may follow until the string ends, wherever the string stands. */
  readonly inside?: Inside | undefined;
  /** Further texts that the rest of the string may be: printable ASCII that needs no escape. */
  readonly listed?: readonly string[] | undefined;
  /**
   * Behind the quotation mark that ends the string.
   *
   * @param inside where the string stands then, apart from those that are listed
   * @param written what was written of it since this state, a character for each byte
   * @param whole whether a further key may be compared with this one before anybody steps on from here
   */
  close?(inside: Inside | undefined, written: string, whole: boolean): State | undefined;
  /** The same without bounds on the string's length: the same tokens may follow where the bounds are far. */
  readonly unbounded?: State | undefined;
}

/** A place inside a string, apart from where the string stands. */
export interface Inside {
  /** Behind one more byte of the string; undefined if it may not come. */
  step(byte: number): Inside | undefined;
  /** Whether a quotation mark may end the string here. */
  readonly mayClose: boolean;
  /** Whether no character has begun. */
  readonly atBoundary: boolean;
  /** If any characters may follow, how many of them; undefined if not all characters may. */
  readonly free: number | undefined;
  /** Behind so many characters, where any may follow. */
  behind(characters: number): Inside | undefined;
  /** Whether tokens of so many characters come nowhere near a bound on the length. */
  isFar(characters: number): boolean;
}
