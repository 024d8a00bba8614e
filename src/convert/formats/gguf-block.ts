import { halves } from "./dtype.ts";

/**
 * An element type of ggml: how many elements share a block, and what they are as float32.
 *
 * The layouts are those of ggml's `ggml-common.h`, the arithmetic that of `dequantize_row_…` in `ggml-quants.c`:
 * a product of a scale and a code is exact in float32 for all of them but Q6_K, and everything is exact in the
 * float64 of JavaScript, so that each value is rounded once, when it is stored, as there.
 */
export interface GgufType {
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  /** Writes the elements of the whole blocks `bytes` to `out`, which has exactly that many. */
  dequantize(bytes: Uint8Array<ArrayBuffer>, out: Float32Array): void;
}

/**
 * A type from the arithmetic of one block.
 *
 * @param block writes the elements of the block at `at` of `bytes` to `out`, from `o` on
 */
export function blockType(
  name: string,
  blockSize: number,
  blockBytes: number,
  block: (bytes: Uint8Array, at: number, out: Float32Array, o: number) => void,
): GgufType {
  return {
    name,
    blockSize,
    blockBytes,
    dequantize(bytes, out) {
      for (let at = 0, o = 0; o < out.length; at += blockBytes, o += blockSize) block(bytes, at, out, o);
    },
  };
}

const half = halves();

/** The float16 at `at`, as float32. */
export function halfAt(bytes: Uint8Array, at: number): number {
  return half[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)] as number;
}

/** The int8 at `at`. */
export function signedAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) >> 24;
}

/** The uint32 at `at`, as an int32. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}
