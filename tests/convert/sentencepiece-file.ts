import type { GgufVocabulary } from "../../src/convert/tokenizers/gguf-tokenizer.ts";

/** A field of a protocol buffer. */
export function field(number: number, value: number | string | Uint8Array | { float: number }): Uint8Array {
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]);
  if (typeof value === "number") return Uint8Array.from([...varint(number * 8), ...varint(value)]);
  if (typeof value === "string" || value instanceof Uint8Array) {
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    return Uint8Array.from([...varint(number * 8 + 2), ...varint(bytes.length), ...bytes]);
  }
  return Uint8Array.from([...varint(number * 8 + 5), ...new Uint8Array(Float32Array.of(value.float).buffer)]);
}

/** A tokenizer.model of a vocabulary with scores. */
export function sentencePieceFile(
  { tokens, scores, tokenTypes }: GgufVocabulary,
  trainer: Uint8Array[] = [],
  normalizer: Uint8Array[] = [],
): Uint8Array {
  const pieces = tokens.map((token, id) =>
    field(1, Buffer.concat([field(1, token), field(2, { float: scores![id]! }), field(3, tokenTypes![id]!)])),
  );
  const trainerSpec = Buffer.concat([field(3, 2), field(40, 0), field(41, 1), field(42, 2), ...trainer]);
  const normalizerSpec = Buffer.concat([field(1, "identity"), field(3, 1), field(4, 0), ...normalizer]);
  return Buffer.concat([...pieces, field(2, trainerSpec), field(3, normalizerSpec)]);
}
