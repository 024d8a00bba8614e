import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { quantizeRows } from "../../src/convert/quantize/int8.ts";
import { packedBytes, packMatrix, SLICE_ROWS, unpackMatrix } from "../../src/convert/write/pack.ts";

const matrix = fc
  .record({ rows: fc.integer({ min: 1, max: 50 }), columns: fc.integer({ min: 1, max: 50 }) })
  .chain(({ rows, columns }) =>
    fc.record({
      rows: fc.constant(rows),
      columns: fc.constant(columns),
      values: fc
        .array(fc.integer({ min: -127, max: 127 }), { minLength: rows * columns, maxLength: rows * columns })
        .map((values) => Int8Array.from(values)),
    }),
  );

describe("packMatrix", () => {
  test("puts rows and columns where assembly/abi.ts draws them", () => {
    const columns = 4;
    const values = Int8Array.from({ length: 16 * columns }, (_, i) => i + 1);
    const packed = packMatrix(values, 16, columns);
    const at = (row: number, column: number) => row * columns + column + 1;
    // First plane: rows 0–7, columns 0 and 1; the even bytes with their sign bit flipped. Then columns 2 and 3.
    const drawn = [0, 1, 2, 3].flatMap((r) => [at(r, 0) ^ 0x80, at(r + 4, 0), at(r, 1) ^ 0x80, at(r + 4, 1)]);
    expect([...packed.subarray(0, 16)]).toEqual(drawn);
    expect(packed[16]).toBe(at(0, 2) ^ 0x80);
    // Second plane: rows 8–15. Columns are padded to 16: 8 pairs a half.
    expect(packed[8 * 16]).toBe(at(8, 0) ^ 0x80);
    expect(packed[8 * 16 + 1]).toBe(at(12, 0));
    expect(packed[8 * 16 + 16 + 15]).toBe(at(15, 3));
  });

  test("an even and an odd byte make 256 · odd + even + 128", () => {
    const packed = packMatrix(Int8Array.of(-5, 0, 0, 0, 7), 5, 1);
    expect(new DataView(packed.buffer).getInt16(0, true)).toBe(256 * 7 + (-5 + 128));
  });

  test("unpacks to the same values, whatever the shape", () => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, values }) => {
        expect(unpackMatrix(packMatrix(values, rows, columns), rows, columns)).toEqual(values);
      }),
    );
  });

  test("pads with zeros to multiples of 16", () => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, values }) => {
        const packed = packMatrix(values, rows, columns);
        const padRows = Math.ceil(rows / 16) * 16;
        const padColumns = Math.ceil(columns / 16) * 16;
        expect(packed.length).toBe(padRows * padColumns);
        expect(packedBytes(rows, columns)).toBe(packed.length);
        const all = unpackMatrix(packed, padRows, padColumns);
        for (let r = 0; r < padRows; r++)
          for (let c = 0; c < padColumns; c++)
            expect(all[r * padColumns + c]).toBe(r < rows && c < columns ? values[r * columns + c] : 0);
      }),
      { numRuns: 20 },
    );
  });

  test.each([
    [20_000, 21],
    [16_400, 800],
  ])("slices of SLICE_ROWS rows, packed one by one, make the same bytes: [%i, %i]", (rows, columns) => {
    const values = Int8Array.from({ length: rows * columns }, (_, i) => ((i * 37) % 255) - 127);
    const slices: Uint8Array[] = [];
    for (let first = 0; first < rows; first += SLICE_ROWS) {
      const count = Math.min(SLICE_ROWS, rows - first);
      slices.push(packMatrix(values.subarray(first * columns, (first + count) * columns), count, columns));
    }
    expect(slices.length).toBe(3);
    expect(Buffer.compare(Buffer.concat(slices), packMatrix(values, rows, columns))).toBe(0);
  });

  test("keeps the blocks of columns of a group of strips together, plane by plane", () => {
    const [rows, columns] = [8200, 800];
    const values = new Int8Array(rows * columns);
    // Rows 17 and 25 are in the second strip, row 8193 in the first of the second group, which has one strip only.
    values[17 * columns + 769] = 5;
    values[25 * columns + 769] = 6;
    values[8193 * columns + 769] = 7;
    const packed = packMatrix(values, rows, columns);
    // Past 512 halves of the first block, and one of the second, 32 columns wide; row 1, column 1 of it.
    expect(packed[512 * 8 * 768 + 8 * 32 + 6]).toBe(5 ^ 0x80);
    // The same in the second plane.
    expect(packed[512 * 8 * 800 + 512 * 8 * 768 + 8 * 32 + 6]).toBe(6 ^ 0x80);
    expect(packed[512 * 16 * 800 + 8 * 768 + 6]).toBe(7 ^ 0x80);
  });
});

describe("quantizeRows", () => {
  const finite = fc.float({ min: -1000, max: 1000, noNaN: true });

  test("is within half a step of every weight and reaches ±127 in every row", () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 40 }), (row) => {
        const weights = Float32Array.from([...row, ...row.map((value) => value / 3)]);
        const { values, scales } = quantizeRows(weights, 2, row.length);
        for (const r of [0, 1]) {
          const own = values.subarray(r * row.length, (r + 1) * row.length);
          const scale = scales[r]!;
          own.forEach((value, i) => {
            const weight = weights[r * row.length + i]!;
            expect(Math.abs(value * scale - weight)).toBeLessThanOrEqual(
              scale / 2 + Math.abs(weight) * 1e-6 + 2e-43,
            );
          });
          if (scale > 1e-38) expect(Math.max(...own.map(Math.abs))).toBe(127);
        }
      }),
    );
  });

  test("rounds to nearest, ties to even, both ways", () => {
    const { values, scales } = quantizeRows(Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -127), 1, 8);
    expect(scales[0]).toBe(1);
    expect([...values].map((value) => value + 0)).toEqual([127, 0, 2, 2, 0, -2, 2, -127]);
  });

  test("gives a row of zeros, and one too small for float32 scales, the scale 0", () => {
    const { values, scales } = quantizeRows(Float32Array.of(0, -0, 1e-45, 0, 1, 2), 3, 2);
    expect([...scales]).toEqual([0, 0, Math.fround(2 / 127)]);
    expect([...values.subarray(0, 4)].every((value) => value === 0)).toBe(true);
  });
});
