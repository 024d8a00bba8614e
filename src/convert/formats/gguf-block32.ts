import { blockType, halfAt, signedAt, wordAt } from "./gguf-block.ts";

/** 32 codes of four bits behind one float16 step: w = step · (code − 8). The low halves of the bytes come first. */
export const q4_0 = blockType("Q4_0", 32, 18, (bytes, at, out, o) => {
  const step = halfAt(bytes, at);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i] as number;
    out[o + i] = step * ((pair & 15) - 8);
    out[o + 16 + i] = step * ((pair >> 4) - 8);
  }
});

/** As Q4_0 with a float16 minimum instead of the fixed offset: w = step · code + minimum. */
export const q4_1 = blockType("Q4_1", 32, 20, (bytes, at, out, o) => {
  const step = halfAt(bytes, at);
  const minimum = halfAt(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 4 + i] as number;
    out[o + i] = step * (pair & 15) + minimum;
    out[o + 16 + i] = step * (pair >> 4) + minimum;
  }
});

/** As Q4_0 with a fifth bit for each code in four bytes before the others: w = step · (code − 16). */
export const q5_0 = blockType("Q5_0", 32, 22, (bytes, at, out, o) => {
  const step = halfAt(bytes, at);
  const fifth = wordAt(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 6 + i] as number;
    out[o + i] = step * (((pair & 15) | (((fifth >>> i) & 1) << 4)) - 16);
    out[o + 16 + i] = step * (((pair >> 4) | (((fifth >>> (i + 16)) & 1) << 4)) - 16);
  }
});

/** As Q4_1 with a fifth bit. */
export const q5_1 = blockType("Q5_1", 32, 24, (bytes, at, out, o) => {
  const step = halfAt(bytes, at);
  const minimum = halfAt(bytes, at + 2);
  const fifth = wordAt(bytes, at + 4);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 8 + i] as number;
    out[o + i] = step * ((pair & 15) | (((fifth >>> i) & 1) << 4)) + minimum;
    out[o + 16 + i] = step * ((pair >> 4) | (((fifth >>> (i + 16)) & 1) << 4)) + minimum;
  }
});

/** 32 signed bytes behind a float16 step. */
export const q8_0 = blockType("Q8_0", 32, 34, (bytes, at, out, o) => {
  const step = halfAt(bytes, at);
  for (let i = 0; i < 32; i++) out[o + i] = step * signedAt(bytes, at + 2 + i);
});
