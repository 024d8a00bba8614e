import type { Tokenizer } from "../../src/text/tokenizer.ts";

const WORDS = [
  '{"',
  '":',
  '","',
  '"}',
  '"a"',
  '"a":',
  "ab",
  "aa",
  "[1,",
  "],[",
  "1,",
  "10",
  "true",
  "null",
  "\\u",
  "é",
  'é"',
  '""',
  "}}",
  ": ",
  ",\n",
  "  ",
];

const spellings = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...WORDS.map((word) => new TextEncoder().encode(word)),
];
const END = spellings.length;

/** A tokenizer with a token for each byte and a few that cross the borders of JSON's own: masks are made in no time. */
export const tiny: Tokenizer = {
  vocabSize: END + 1,
  specialTokens: new Map([["<end>", END]]),
  namedTokens: new Map([["eos_token", "<end>"]]),
  longestToken: 5,
  bytes: (id) => spellings[id] ?? new Uint8Array(0),
  /** Takes the longest token each time. */
  encode(text) {
    const bytes = new TextEncoder().encode(text);
    const ids: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      let best = bytes[at]!;
      for (let id = 256; id < END; id++) {
        const spelling = spellings[id]!;
        if (spelling.length > spellings[best]!.length && spelling.every((byte, i) => bytes[at + i] === byte))
          best = id;
      }
      ids.push(best);
      at += spellings[best]!.length;
    }
    return ids;
  },
  // biome-ignore lint/correctness/useYield: its texts are short.
  *encodeInParts(text) {
    return this.encode(text);
  },
  decode(ids) {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      Uint8Array.from([...ids].flatMap((id) => [...this.bytes(id)])),
    );
  },
  decoder: () => ({ push: (id) => tiny.bytes(id) }),
};
