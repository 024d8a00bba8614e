import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GROUP_COLUMNS, INTEGER_LIMIT } from "../../assembly/four-bit.ts";
import type { GroupedRows } from "../../src/convert/formats/gguf-groups.ts";
import { quantizeEightBitGroups } from "../../src/convert/quantize/eight-bit.ts";
import { toIntegerGroups } from "../../src/convert/quantize/from-grouped.ts";
import { quantizeRows } from "../../src/convert/quantize/int8.ts";

/** One row, a group for each [step, minimum, codes]. */
function rowOf(bits: 4 | 8, groups: readonly [number, number, ArrayLike<number>][]): GroupedRows {
  const codes = groups.flatMap(([, , group]) => Array.from(group));
  const shared = {
    rows: 1,
    columns: codes.length,
    steps: Float32Array.from(groups, ([step]) => step),
    minima: Float32Array.from(groups, ([, minimum]) => minimum),
  };
  return bits === 4
    ? { ...shared, bits, codes: Uint8Array.from(codes) }
    : { ...shared, bits, codes: Int8Array.from(codes) };
}

function weights({ codes, steps, minima }: GroupedRows): number[] {
  return Array.from(
    codes,
    (code, i) => steps[Math.floor(i / GROUP_COLUMNS)]! * code + minima[Math.floor(i / GROUP_COLUMNS)]!,
  );
}

function integers(result: ReturnType<typeof toIntegerGroups>): number[] {
  return Array.from(result.codes, (code, i) => {
    const group = Math.floor(i / GROUP_COLUMNS);
    return result.steps[group]! * code + (result.bits === 4 ? result.offsets[group]! : 0);
  });
}

function squaredError(grouped: GroupedRows): number {
  const result = toIntegerGroups(grouped);
  const values = integers(result);
  return weights(grouped).reduce((sum, weight, i) => sum + (weight - result.scales[0]! * values[i]!) ** 2, 0);
}

const ramp = Uint8Array.from({ length: GROUP_COLUMNS }, (_, i) => i % 16);
const codes4 = fc.uint8Array({ minLength: GROUP_COLUMNS, maxLength: GROUP_COLUMNS, max: 15 });
const codes8 = fc.int8Array({ minLength: GROUP_COLUMNS, maxLength: GROUP_COLUMNS });
const magnitude = fc
  .integer({ min: -30, max: 3 })
  .chain((power) =>
    fc.double({ min: -1, max: 1, noNaN: true }).map((value) => Math.fround(value * 2 ** power)),
  );

describe("a file's groups as integers", () => {
  test.each([4, 8] as const)("stay within their ranges whatever the %d-bit groups are", (bits) => {
    const codes: fc.Arbitrary<ArrayLike<number>> = bits === 4 ? codes4 : codes8;
    const group = fc.tuple(magnitude, bits === 4 ? magnitude : fc.constant(0), codes);
    fc.assert(
      fc.property(fc.array(group, { minLength: 1, maxLength: 4 }), (groups) => {
        const grouped = rowOf(bits, groups);
        const result = toIntegerGroups(grouped);
        const exact = weights(grouped);
        const largest = Math.max(...exact.map(Math.abs));
        const values = integers(result);
        const most = (numbers: Iterable<number>) => Math.max(...Array.from(numbers, Math.abs));
        expect(most(values)).toBeLessThanOrEqual(INTEGER_LIMIT);
        if (result.bits === 4) {
          // Also for codes that the group does not have.
          expect(most(result.offsets)).toBeLessThanOrEqual(INTEGER_LIMIT);
          expect(most(result.offsets.map((z, i) => z + 15 * result.steps[i]!))).toBeLessThanOrEqual(
            INTEGER_LIMIT,
          );
        }
        expect(most(result.codes)).toBeLessThanOrEqual(bits === 4 ? 15 : 127);
        expect(most(result.steps)).toBeLessThanOrEqual(255);
        // Coarsest: a group's range is 255 steps of 16 codes, or 255 steps of 16; half a step, and rounding the
        // offset. A row whose scale would be a subnormal number is taken for zero.
        expect(most(exact.map((weight, i) => weight - result.scales[0]! * values[i]!))).toBeLessThanOrEqual(
          largest * (bits === 4 ? 130 / 1800 : 8.1 / 1584) + INTEGER_LIMIT * 2 ** -126,
        );
      }),
      { numRuns: 1000, seed: 19 },
    );
  });

  test("are exact where the file's are integers already", () => {
    const grouped = rowOf(4, [
      [0.25 * 200, 0.25 * -953, ramp],
      [0.25 * 31, 0.25 * 700, ramp],
      [0.25 * -90, 0.25 * 100, ramp],
      [0.25 * 0, 0.25 * -2047, ramp],
    ]);
    const result = toIntegerGroups(grouped);
    expect(result.scales[0]).toBe(0.25);
    expect(integers(result).map((value) => value * 0.25)).toEqual(weights(grouped));
    const signed = Int8Array.from(ramp, (code) => code * 16 - 127);
    const eight = rowOf(8, [
      [0.5 * 16, 0, signed],
      [0.5 * 3, 0, signed],
      [0.5 * -7, 0, signed],
    ]);
    expect(squaredError(eight)).toBe(0);
  });

  test("keep a row of zeros", () => {
    const { scales } = toIntegerGroups(rowOf(4, [[0, 0, ramp]]));
    expect(scales[0]).toBe(0);
    expect(toIntegerGroups(rowOf(8, [[1, 0, new Int8Array(GROUP_COLUMNS)]])).scales[0]).toBe(0);
  });

  test("lose little where steps have any ratio: 0.2 % of the weights", () => {
    const grouped = rowOf(
      4,
      Array.from({ length: 64 }, (_, i) => [1 + Math.sin(i) / 3, -8 + Math.cos(i), ramp]),
    );
    const power = weights(grouped).reduce((sum, weight) => sum + weight ** 2, 0);
    expect(Math.sqrt(squaredError(grouped) / power)).toBeLessThan(0.002);
  });

  test("take other codes where a weight far above the others leaves small steps", () => {
    const small: [number, number, Uint8Array] = [1.5, -12, ramp];
    const large: [number, number, Uint8Array] = [2047 / 15, 0, ramp];
    // With the file's own codes and step 1 or 2, code 15 alone would be off by up to 3.75 (compensated) units.
    const grouped = rowOf(4, [large, small, small, small]);
    const result = toIntegerGroups(grouped);
    const values = integers(result);
    for (const [i, weight] of weights(grouped).entries())
      expect(Math.abs(weight - result.scales[0]! * values[i]!)).toBeLessThan(1.2);
  });

  test("spread codes where a group has only two that are far apart", () => {
    const two = Uint8Array.from({ length: GROUP_COLUMNS }, (_, i) => i % 2);
    const grouped = rowOf(4, [[3000, -1500, two]]);
    const result = toIntegerGroups(grouped);
    expect(new Set(result.codes)).toEqual(new Set([0, 15]));
    const values = integers(result);
    for (const [i, weight] of weights(grouped).entries())
      expect(Math.abs(weight - result.scales[0]! * values[i]!) / 1500).toBeLessThan(0.08);
  });

  test("keep five-bit codes in eight bits: the step is rounded, no code", () => {
    const codes = Int8Array.from({ length: GROUP_COLUMNS }, (_, i) => i - 16);
    const grouped = rowOf(8, [
      [1, 0, codes],
      [0.7, 0, codes],
      [-0.31, 0, codes],
    ]);
    const result = toIntegerGroups(grouped);
    expect([...result.codes]).toEqual([...codes, ...codes, ...codes.map((code) => -code)]);
    const power = weights(grouped).reduce((sum, weight) => sum + weight ** 2, 0);
    expect(Math.sqrt(squaredError(grouped) / power)).toBeLessThan(0.003);
  });
});

describe("floats in eight bits with a step for each group", () => {
  /** Rows of normal-like weights whose groups differ in size by a factor of 8. */
  function rows(count: number, columns: number): Float32Array {
    return Float32Array.from({ length: count * columns }, (_, i) => {
      const uniform = (k: number) => (Math.imul(i * 4 + k + 1, 2654435761) >>> 0) / 2 ** 32 - 0.5;
      return (uniform(0) + uniform(1) + uniform(2) + uniform(3)) * 2 ** (Math.floor(i / GROUP_COLUMNS) % 4);
    });
  }

  test.each([[64], [80], [16]])("rows of %d columns, a short last group included", (columns) => {
    const weights = rows(5, columns);
    const { codes, steps, scales } = quantizeEightBitGroups(weights, 5, columns);
    const groups = Math.ceil(columns / GROUP_COLUMNS);
    expect(steps.length).toBe(5 * groups);
    for (const [i, weight] of weights.entries()) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      const step = steps[row * groups + Math.floor(column / GROUP_COLUMNS)]!;
      expect(Math.abs(codes[i]!)).toBeLessThanOrEqual(127);
      expect(Math.abs(codes[i]! * step)).toBeLessThanOrEqual(INTEGER_LIMIT);
      expect(Math.abs(weight - scales[row]! * step * codes[i]!)).toBeLessThanOrEqual(
        scales[row]! * step * 0.501,
      );
    }
  });

  test("lose half of what one scale for a row loses, or less", () => {
    const [count, columns] = [8, 512];
    const weights = rows(count, columns);
    const fine = quantizeEightBitGroups(weights, count, columns);
    const coarse = quantizeRows(weights, count, columns);
    const error = (value: (i: number, row: number) => number) =>
      weights.reduce((sum, weight, i) => sum + (weight - value(i, Math.floor(i / columns))) ** 2, 0);
    const fineError = error(
      (i, row) => fine.scales[row]! * fine.steps[Math.floor(i / GROUP_COLUMNS)]! * fine.codes[i]!,
    );
    const coarseError = error((i, row) => coarse.scales[row]! * coarse.values[i]!);
    expect(fineError).toBeLessThan(coarseError / 2);
  });
});
