// PCG32, XSH-RR 64/32 (O'Neill 2014, https://www.pcg-random.org), in BigInt: the twin of the engine's generator.

const MASK64 = (1n << 64n) - 1n;
const MULTIPLIER = 6364136223846793005n;

export class Pcg32 {
  state: bigint;
  readonly increment: bigint;

  /** `pcg32_srandom(seed, stream)` of the reference implementation. */
  constructor(seed: bigint, stream: bigint) {
    this.increment = ((stream << 1n) | 1n) & MASK64;
    this.state = 0n;
    this.next();
    this.state = (this.state + (seed & MASK64)) & MASK64;
    this.next();
  }

  /** 32 uniform bits: the state xor-shifted high, then rotated right by its five top bits. */
  next(): number {
    const old = this.state;
    this.state = (old * MULTIPLIER + this.increment) & MASK64;
    const xorShifted = Number((((old >> 18n) ^ old) >> 27n) & 0xffffffffn);
    const rotation = Number(old >> 59n);
    return ((xorShifted >>> rotation) | (xorShifted << (-rotation & 31))) >>> 0;
  }
}
