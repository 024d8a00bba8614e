// PCG32, XSH-RR 64/32 (O'Neill 2014, pcg-random.org): 16 bytes of state per sequence, the same numbers on every
// machine.

import { RNG_BYTES } from "../abi";
import { pointer } from "../descriptor";
import { REGION_RNG } from "../regions";

const MULTIPLIER: u64 = 6364136223846793005;

@inline
function stateOf(sequence: i32): usize {
  return pointer(REGION_RNG) + (<usize>sequence) * RNG_BYTES;
}

/** The next 32 random bits of a sequence. */
export function random(sequence: i32): u32 {
  const at = stateOf(sequence);
  const state = load<u64>(at);
  store<u64>(at, state * MULTIPLIER + load<u64>(at, 8));
  const xorshifted = <u32>(((state >> 18) ^ state) >> 27);
  return rotr<u32>(xorshifted, <u32>(state >> 59));
}

/** pcg32_srandom: `low` and `high` make the 64-bit seed, `stream` selects one of 2^31 independent streams. */
export function seed(sequence: i32, low: u32, high: u32, stream: u32): void {
  const at = stateOf(sequence);
  store<u64>(at, 0);
  store<u64>(at, ((<u64>stream) << 1) | 1, 8);
  random(sequence);
  store<u64>(at, load<u64>(at) + (((<u64>high) << 32) | low));
  random(sequence);
}
