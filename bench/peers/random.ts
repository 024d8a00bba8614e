// Weights without meaning: speed does not depend on them. Marsaglia's xorshift32 (2003) fills 100 million in a
// second or two.

export class RandomBytes {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  #next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (this.#state = x);
  }

  /** int8 from −127 to 127. */
  int8(count: number): Int8Array {
    const values = new Int8Array(count);
    for (let i = 0; i < count; i++) values[i] = Math.max(-127, this.#next() >> 24);
    return values;
  }

  /** Uniform with the given standard deviation. */
  float32(count: number, deviation: number): Float32Array {
    const values = new Float32Array(count);
    const factor = (deviation * Math.sqrt(3)) / 2 ** 31;
    for (let i = 0; i < count; i++) values[i] = this.#next() * factor;
    return values;
  }
}
