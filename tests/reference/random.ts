import { Pcg32 } from "./pcg32.ts";

/** `count` samples of the standard normal distribution (Box and Muller 1958), the same for the same seed. */
export function gaussian(count: number, seed: number): Float32Array {
  const generator = new Pcg32(BigInt(seed), 1n);
  const uniform = () => (generator.next() + 0.5) / 2 ** 32;
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** Integers from `low` to `high`, both possible, the same for the same seed. */
export function integers(count: number, low: number, high: number, seed: number): number[] {
  const generator = new Pcg32(BigInt(seed), 2n);
  return Array.from({ length: count }, () => low + (generator.next() % (high - low + 1)));
}

/** A source of numbers in [0, 1), the same for the same seed. */
export function uniform(seed: number): () => number {
  const generator = new Pcg32(BigInt(seed), 3n);
  return () => generator.next() / 2 ** 32;
}
