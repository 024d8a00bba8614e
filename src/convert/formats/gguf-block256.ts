import { blockType, halfAt, signedAt } from "./gguf-block.ts";

/*
 * The K types: blocks of 256 elements whose groups of 16 or 32 have small integer scales, which one or two float16
 * factors of the block make real.
 */

/** The six-bit scale and minimum of group `group` of 8, packed into twelve bytes at `at`: scale, and minimum << 8. */
export function scaleAndMinimum(bytes: Uint8Array, at: number, group: number): number {
  const byte = (i: number) => bytes[at + i] as number;
  if (group < 4) return (byte(group) & 63) | ((byte(group + 4) & 63) << 8);
  const low = byte(group + 4);
  const scale = (low & 15) | ((byte(group - 4) >> 6) << 4);
  const minimum = (low >> 4) | ((byte(group) >> 6) << 4);
  return scale | (minimum << 8);
}

/** 16 groups of 16 codes of two bits; a byte a group: scale in the low four bits, minimum in the high ones. */
export const q2_k = blockType("Q2_K", 256, 84, (bytes, at, out, o) => {
  const scale = halfAt(bytes, at + 80);
  const minimumScale = halfAt(bytes, at + 82);
  for (let group = 0; group < 16; group++) {
    const both = bytes[at + group] as number;
    const step = scale * (both & 15);
    const minimum = minimumScale * (both >> 4);
    // Each 32 bytes hold 128 elements: four layers of 32, two bits higher each.
    const codes = at + 16 + (group >> 3) * 32 + (group & 1) * 16;
    const shift = ((group >> 1) & 3) * 2;
    for (let i = 0; i < 16; i++)
      out[o + group * 16 + i] = step * (((bytes[codes + i] as number) >> shift) & 3) - minimum;
  }
});

/** As Q2_K with a third bit in 32 bytes before the codes (set: 0 is added, not −4), and signed six-bit scales. */
export const q3_k = blockType("Q3_K", 256, 110, (bytes, at, out, o) => {
  const scale = halfAt(bytes, at + 108);
  for (let group = 0; group < 16; group++) {
    // Low four bits in eight bytes, two groups a byte; high two bits in the four bytes after, four groups a byte.
    const low = ((bytes[at + 96 + (group & 7)] as number) >> ((group >> 3) * 4)) & 15;
    const high = ((bytes[at + 104 + (group & 3)] as number) >> ((group >> 2) * 2)) & 3;
    const step = scale * ((low | (high << 4)) - 32);
    const codes = at + 32 + (group >> 3) * 32 + (group & 1) * 16;
    const shift = ((group >> 1) & 3) * 2;
    const third = at + (group & 1) * 16;
    const bit = group >> 1;
    for (let i = 0; i < 16; i++) {
      const code = ((bytes[codes + i] as number) >> shift) & 3;
      const set = ((bytes[third + i] as number) >> bit) & 1;
      out[o + group * 16 + i] = step * (code - (set === 1 ? 0 : 4));
    }
  }
});

/** 8 groups of 32 codes of four bits; a six-bit scale and minimum each. */
export const q4_k = blockType("Q4_K", 256, 144, (bytes, at, out, o) => {
  const scale = halfAt(bytes, at);
  const minimumScale = halfAt(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const both = scaleAndMinimum(bytes, at + 4, group);
    const step = scale * (both & 255);
    const minimum = minimumScale * (both >> 8);
    // Two groups share 32 bytes: the low halves, then the high ones.
    const codes = at + 16 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let i = 0; i < 32; i++)
      out[o + group * 32 + i] = step * (((bytes[codes + i] as number) >> shift) & 15) - minimum;
  }
});

/** As Q4_K with a fifth bit for each code in 32 bytes before the others, a bit a group. */
export const q5_k = blockType("Q5_K", 256, 176, (bytes, at, out, o) => {
  const scale = halfAt(bytes, at);
  const minimumScale = halfAt(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const both = scaleAndMinimum(bytes, at + 4, group);
    const step = scale * (both & 255);
    const minimum = minimumScale * (both >> 8);
    const fifth = at + 16;
    const codes = at + 48 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let i = 0; i < 32; i++) {
      const low = ((bytes[codes + i] as number) >> shift) & 15;
      const high = ((bytes[fifth + i] as number) >> group) & 1;
      out[o + group * 32 + i] = step * (low | (high << 4)) - minimum;
    }
  }
});

/** 16 groups of 16 codes of six bits, 4 in one place and 2 in another; a signed byte a group as its scale. */
export const q6_k = blockType("Q6_K", 256, 210, (bytes, at, out, o) => {
  const scale = halfAt(bytes, at + 208);
  for (let group = 0; group < 16; group++) {
    const step = scale * signedAt(bytes, at + 192 + group);
    // Each 128 elements: 64 bytes of low bits (two layers of 64), 32 bytes of high bits (four layers of 32).
    const part = group & 7;
    const lows = at + (group >> 3) * 64 + (part & 3) * 16;
    const lowShift = (part >> 2) * 4;
    const highs = at + 128 + (group >> 3) * 32 + (part & 1) * 16;
    const highShift = (part >> 1) * 2;
    for (let i = 0; i < 16; i++) {
      const low = ((bytes[lows + i] as number) >> lowShift) & 15;
      const high = ((bytes[highs + i] as number) >> highShift) & 3;
      out[o + group * 16 + i] = step * ((low | (high << 4)) - 32);
    }
  }
});
