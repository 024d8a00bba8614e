import { remember } from "./memory.ts";

/** Entries after which a table is cheaper than a map. */
const MANY = 16;
const [MAP_BYTES, ENTRY_BYTES, TABLE_BYTES] = [200, 32, 256 * 8];

/** What each byte leads to, once that is known: null for nothing. */
export class Steps<T extends object> {
  #few: Map<number, T | null> | undefined;
  #many: (T | null | undefined)[] | undefined;

  get(byte: number): T | null | undefined {
    return this.#many ? this.#many[byte] : this.#few?.get(byte);
  }

  clear(): void {
    this.#few = undefined;
    this.#many = undefined;
  }

  set(byte: number, next: T | null): void {
    if (this.#many) {
      this.#many[byte] = next;
      return;
    }
    remember(this, this.#few ? ENTRY_BYTES : MAP_BYTES);
    this.#few ??= new Map();
    if (this.#few.set(byte, next).size <= MANY) return;
    const table = new Array<T | null | undefined>(256).fill(undefined);
    for (const [known, state] of this.#few) table[known] = state;
    this.#many = table;
    this.#few = undefined;
    remember(this, TABLE_BYTES);
  }
}
