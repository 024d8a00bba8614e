/** Where a text stands, as far as what may follow depends on it. Never changes. */
export interface State {
  /** Whether the text may end here. */
  readonly mayEnd: boolean;
  /** Behind one more byte of UTF-8; undefined if it may not come. From every state some way leads to an end. */
  step(byte: number): State | undefined;
  /** Inside a string, what says what may follow until the string ends, wherever the string stands. */
  readonly inside?: Inside;
  /**
   * Behind the quotation mark that ends the string.
   *
   * @param inside where the string stands then
   * @param written what was written of it since this state, a character for each byte
   * @param whole whether a further key may be compared with this one before anybody steps on from here
   */
  close?(inside: Inside, written: string, whole: boolean): State | undefined;
  /** A state that allows the same tokens of up to `reach` bytes, and is one for many. */
  relaxed?(reach: number): State;
}

/** A place inside a string, apart from where the string stands. */
export interface Inside {
  /** Behind one more byte of the string; undefined if it may not come. */
  step(byte: number): Inside | undefined;
  /** Whether a quotation mark may end the string here. */
  readonly mayClose: boolean;
}
