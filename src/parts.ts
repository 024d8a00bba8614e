/** Work that can be done part by part: whoever does it can let others go on in between. */
export type InParts<T> = Generator<undefined, T, undefined>;

/** Does it without a pause. */
export function allAtOnce<T>(work: InParts<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
