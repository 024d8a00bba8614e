import { timed } from "./runner.ts";
import { median } from "./statistics.ts";

/** Reads memory with the functions of bandwidth.ts. */
export class Reader {
  readonly #readers: ((bytes: number) => number)[];
  #fastest: ((bytes: number) => number) | undefined;

  /** @param module compiled from readerBinary() */
  constructor(module: WebAssembly.Module) {
    const { memory, ...readers } = new WebAssembly.Instance(module).exports;
    // Pages that nobody has written are all the same page of zeros.
    new Uint8Array((memory as WebAssembly.Memory).buffer).fill(1);
    this.#readers = Object.values(readers) as ((bytes: number) => number)[];
  }

  /**
   * Bytes per second. No single access pattern is the fastest on every machine: the first call looks for it, in turns. A
   * maximum over all of them each time would pick the moments when the machine is fast, and what it is held against is not
   * measured so.
   */
  bandwidth(bytes: number): number {
    if (this.#fastest === undefined) {
      const times = this.#readers.map((): number[] => []);
      for (let turn = 0; turn < 9; turn++)
        this.#readers.forEach((read, i) => void times[i]!.push(timed(() => read(bytes), 12)));
      const middle = times.map(median);
      this.#fastest = this.#readers[middle.indexOf(Math.min(...middle))]!;
    }
    const read = this.#fastest;
    return (bytes * 1e3) / timed(() => read(bytes));
  }
}
