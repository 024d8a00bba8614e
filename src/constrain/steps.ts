/** Entries after which a table is cheaper than a map. */
const MANY = 16;

/** What each byte leads to, once that is known: null for nothing. */
export class Steps<T extends object> {
  #few: Map<number, T | null> | undefined = new Map();
  #many: (T | null | undefined)[] | undefined;

  get(byte: number): T | null | undefined {
    return this.#many ? this.#many[byte] : this.#few!.get(byte);
  }

  set(byte: number, next: T | null): void {
    if (this.#many) this.#many[byte] = next;
    else if (this.#few!.set(byte, next).size > MANY) {
      const table = new Array<T | null | undefined>(256).fill(undefined);
      for (const [known, state] of this.#few!) table[known] = state;
      this.#many = table;
      this.#few = undefined;
    }
  }
}
