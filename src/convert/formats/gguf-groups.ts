import { GROUP_COLUMNS } from "../../../assembly/four-bit.ts";
import { halfAt, wordAt } from "./gguf-block.ts";
import { scaleAndMinimum } from "./gguf-block256.ts";

/**
 * Rows of a matrix as codes of groups of 32 columns, without any loss: the weight of a code u is
 * `step · u + minimum`, rounded once to float32.
 */
export type GroupedRows = {
  readonly rows: number;
  /** A multiple of 32. */
  readonly columns: number;
  /** [rows, columns / 32]; of any sign. */
  readonly steps: Float32Array;
  /** [rows, columns / 32]; all 0 with eight bits. */
  readonly minima: Float32Array;
} & (
  | {
      readonly bits: 4;
      /** [rows, columns], 0 to 15. */
      readonly codes: Uint8Array;
    }
  | {
      readonly bits: 8;
      /** [rows, columns], −128 to 127. */
      readonly codes: Int8Array;
    }
);

type GroupReader = (bytes: Uint8Array<ArrayBuffer>, rows: number, columns: number) => GroupedRows;

/** The decoder of the type `name`; undefined for types that are not made of groups of 32 with at most eight bits. */
export function groupReader(name: string): GroupReader | undefined {
  return READERS[name]?.read;
}

/** Bits of the codes that `groupReader` gives for the type `name`; undefined where there is none. */
export function groupBits(name: string): 4 | 8 | undefined {
  return READERS[name]?.bits;
}

/** A reader that makes room for all groups and lets `fill` write them. */
function reader(
  bits: 4 | 8,
  fill: (bytes: Uint8Array<ArrayBuffer>, to: GroupedRows) => void,
): { bits: 4 | 8; read: GroupReader } {
  const read: GroupReader = (bytes, rows, columns) => {
    const groups = (rows * columns) / GROUP_COLUMNS;
    const shared = { rows, columns, steps: new Float32Array(groups), minima: new Float32Array(groups) };
    const grouped: GroupedRows =
      bits === 4
        ? { ...shared, bits, codes: new Uint8Array(rows * columns) }
        : { ...shared, bits, codes: new Int8Array(rows * columns) };
    fill(bytes, grouped);
    return grouped;
  };
  return { bits, read };
}

/** Writes 16 bytes at `at` as 32 codes: the low halves, then the high ones. */
function splitNibbles(bytes: Uint8Array, at: number, codes: Uint8Array | Int8Array, to: number): void {
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + i] as number;
    codes[to + i] = pair & 15;
    codes[to + 16 + i] = pair >> 4;
  }
}

const READERS: Readonly<Record<string, ReturnType<typeof reader>>> = {
  Q4_0: reader(4, (bytes, { codes, steps, minima }) => {
    for (let group = 0; group < steps.length; group++) {
      const step = halfAt(bytes, group * 18);
      steps[group] = step;
      minima[group] = -8 * step;
      splitNibbles(bytes, group * 18 + 2, codes, group * GROUP_COLUMNS);
    }
  }),
  Q4_1: reader(4, (bytes, { codes, steps, minima }) => {
    for (let group = 0; group < steps.length; group++) {
      steps[group] = halfAt(bytes, group * 20);
      minima[group] = halfAt(bytes, group * 20 + 2);
      splitNibbles(bytes, group * 20 + 4, codes, group * GROUP_COLUMNS);
    }
  }),
  Q4_K: reader(4, (bytes, { codes, steps, minima }) => {
    for (let group = 0; group < steps.length; group++) {
      const at = (group >> 3) * 144;
      const part = group & 7;
      const both = scaleAndMinimum(bytes, at + 4, part);
      steps[group] = halfAt(bytes, at) * (both & 255);
      minima[group] = -halfAt(bytes, at + 2) * (both >> 8);
      const from = at + 16 + (part >> 1) * 32;
      const shift = (part & 1) * 4;
      const to = group * GROUP_COLUMNS;
      for (let i = 0; i < GROUP_COLUMNS; i++) codes[to + i] = ((bytes[from + i] as number) >> shift) & 15;
    }
  }),
  Q5_0: reader(8, (bytes, { codes, steps }) => {
    for (let group = 0; group < steps.length; group++) {
      const at = group * 22;
      steps[group] = halfAt(bytes, at);
      const fifth = wordAt(bytes, at + 2);
      const to = group * GROUP_COLUMNS;
      splitNibbles(bytes, at + 6, codes, to);
      for (let i = 0; i < GROUP_COLUMNS; i++)
        codes[to + i] = ((codes[to + i] as number) | (((fifth >>> i) & 1) << 4)) - 16;
    }
  }),
  Q8_0: reader(8, (bytes, { codes, steps }) => {
    const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let group = 0; group < steps.length; group++) {
      const at = group * 34;
      steps[group] = halfAt(bytes, at);
      codes.set(signed.subarray(at + 2, at + 34), group * GROUP_COLUMNS);
    }
  }),
};
