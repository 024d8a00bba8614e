import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BLOCK_COLUMNS, M_QUANTIZED_STRIDE } from "../../assembly/abi.ts";
import { EXPANDED_ROWS } from "../../assembly/four-bit.ts";
import {
  groupSumsStride,
  REGION_GROUP_SUMS,
  REGION_PANEL,
  REGION_QUANTIZED,
  REGION_ROW_SCALES,
  REGION_STRASSEN,
  strassenBytes,
} from "../../assembly/regions.ts";
import { amplitudeOf, largestRowSum } from "../../src/convert/quantize/codes.ts";
import { alignUp } from "../../src/format/align.ts";
import {
  type FourBitCodes,
  integerWeights,
  randomFourBit,
  randomStepped,
  type SteppedCodes,
} from "../reference/codes.ts";
import { integerMatmul } from "../reference/kernels.ts";
import { gaussian, integers } from "../reference/random.ts";
import { KernelBench } from "./kernel-module.ts";

let bench: KernelBench;

beforeAll(async () => {
  bench = await KernelBench.create(48 << 20);
});
beforeEach(() => bench.reset());

const MARK = 0x5eed;
const UNTOUCHED = Math.fround(0.1);

/** Makes int16 rows [rows, K] the engine's activations; tells whether nothing was written behind its scratch. */
function putActivations(x: Int16Array, rowScales: Float32Array, K: number): () => boolean {
  const rows = rowScales.length;
  const kPad = alignUp(K, 16);
  const values = bench.take(rows * kPad * 2);
  for (let r = 0; r < rows; r++) bench.int16(values + r * kPad * 2, K).set(x.subarray(r * K, (r + 1) * K));
  const regions = [
    [REGION_STRASSEN, strassenBytes(kPad)],
    [REGION_GROUP_SUMS, (EXPANDED_ROWS - 1) * groupSumsStride(kPad)],
    [REGION_PANEL, BLOCK_COLUMNS * 32],
  ] as const;
  const marks: number[] = [];
  const fields: Record<number, number> = {
    [REGION_QUANTIZED]: values,
    [M_QUANTIZED_STRIDE]: kPad * 2,
    [REGION_ROW_SCALES]: bench.put(rowScales),
  };
  for (const [region, bytes] of regions) {
    fields[region] = bench.take(bytes + 64);
    marks.push(fields[region] + bytes);
  }
  for (const mark of marks) bench.int32(mark, 16).fill(MARK);
  bench.describe(fields);
  return () => marks.every((mark) => bench.int32(mark, 16).every((value) => value === MARK));
}

type Random = typeof randomFourBit | typeof randomStepped;

interface Problem {
  coded: FourBitCodes | SteppedCodes;
  N: number;
  K: number;
  x: Int16Array;
  rowScales: Float32Array;
  scales: Float32Array;
  bias: Float32Array;
}

function randomProblem(rows: number, N: number, K: number, random: Random): Problem {
  const coded = random(N, K, N + K);
  const amplitude = amplitudeOf(largestRowSum(coded, K));
  return {
    coded,
    N,
    K,
    x: Int16Array.from(integers(rows * K, -amplitude, amplitude, rows)),
    rowScales: gaussian(rows, 13).map((v) => Math.abs(v) * 0.001),
    scales: gaussian(N, 11).map((v) => Math.abs(v) * 0.01),
    bias: gaussian(N, 12),
  };
}

/** Exact sums, then three rounded float32 operations. */
function expected({ coded, N, K, x, rowScales, scales, bias }: Problem): Float32Array[] {
  const sums = integerMatmul(x, integerWeights(coded, K), K);
  return Array.from(rowScales, (rowScale, r) =>
    Float32Array.from({ length: N }, (_, n) => {
      const factor = Math.fround(rowScale * scales[n]!);
      return Math.fround(Math.fround(Math.fround(sums[r * N + n]!) * factor) + bias[n]!);
    }),
  );
}

/** The engine's outputs of the strips begin … end−1; what it does not write stays UNTOUCHED. */
function engine(problem: Problem, begin: number, end: number): Float32Array[] {
  const { coded, N, K, x, rowScales, scales, bias } = problem;
  const isMarked = putActivations(x, rowScales, K);
  const weight = bench.codedMatrix(coded, N, K, scales, bias);
  const nPad = alignUp(N, 16);
  const rows = rowScales.length;
  const out = bench.take(rows * nPad * 4);
  bench.float32(out, rows * nPad).fill(UNTOUCHED);
  bench.kernels.linearStrips(weight, begin, end, rows, out, nPad * 4, 0);
  expect(isMarked()).toBe(true);
  return Array.from({ length: rows }, (_, r) => bench.float32(out + r * nPad * 4, N).slice());
}

describe.each<[string, Random]>([
  ["in four bits", randomFourBit],
  ["of int8 codes with steps", randomStepped],
])("a matrix %s", (_, random) => {
  const shapes = [1, 2, 3, 7, 8, 13, 32, 45, 64].flatMap((rows) =>
    [
      [1, 1],
      [16, 32],
      [33, 31],
      [240, 80],
      [33, 515],
      [100, 768],
      [48, 3072],
      [1100, 785],
      [8300, 18],
    ].map(([N, K]) => ({ rows, N: N!, K: K! })),
  );
  test.each(shapes)("gives the bits of the naive twin: $rows rows, [$N, $K]", ({ rows, N, K }) => {
    const problem = randomProblem(rows, N, K, random);
    expect(engine(problem, 0, alignUp(N, 16) / 16)).toEqual(expected(problem));
  });

  test.each([
    [1100, 785, 3, 30],
    [1100, 785, 4, 5],
    [8300, 18, 500, 515],
    [48, 32, 1, 2],
    [80, 64, 4, 5],
  ])("of some strips alone computes those, and touches no others: [%i, %i], %i to %i", (N, K, begin, end) => {
    for (const rows of [1, 3, 9]) {
      bench.reset();
      const problem = randomProblem(rows, N, K, random);
      const wanted = expected(problem).map((row) =>
        row.map((value, n) => (n >> 4 >= begin && n >> 4 < end ? value : UNTOUCHED)),
      );
      expect(engine(problem, begin, end)).toEqual(wanted);
    }
  });

  test.each([
    [1, 1],
    [35, 21],
    [100, 768],
    [1100, 1605],
    [8300, 18],
  ])("tells its largest row, padding left out: [%i, %i]", (N, K) => {
    const coded = random(N, K, 6);
    bench.describe({ [REGION_PANEL]: bench.take(BLOCK_COLUMNS * 32) });
    const weight = bench.codedMatrix(coded, N, K, new Float32Array(N));
    expect(bench.kernels.largestRowSum(weight)).toBe(largestRowSum(coded, K));
  });

  test.each([0, 17, 99])(
    "that has a weight beyond the format's bounds in row %i is told from others",
    (row) => {
      const coded = random(100, 800, 7);
      coded.steps[row * 25 + 24] = 255;
      coded.codes[row * 800 + 799] = 15;
      if (coded.offsets) coded.offsets[row * 25 + 24] = 2000;
      else coded.codes[row * 800 + 799] = 127;
      bench.describe({ [REGION_PANEL]: bench.take(BLOCK_COLUMNS * 32) });
      const weight = bench.codedMatrix(coded, 100, 800, new Float32Array(100));
      expect(bench.kernels.largestRowSum(weight)).toBe(-1);
    },
  );

  test.each([
    [35, 21],
    [70, 1605],
    [1100, 1605],
    [8230, 40],
    [8225, 80],
  ])("is read row by row where the converter put it: [%i, %i]", (N, K) => {
    const coded = random(N, K, 5);
    const weights = integerWeights(coded, K);
    bench.describe({ [REGION_PANEL]: bench.take(BLOCK_COLUMNS * 32) });
    const weight = bench.codedMatrix(coded, N, K, new Float32Array(N).fill(0.5));
    const kPad = alignUp(K, 16);
    const row = bench.take(kPad * 4);
    for (let n = 0; n < N; n++) {
      bench.float32(row, kPad).fill(1);
      bench.kernels.addRow(weight, n, 1, row);
      if (bench.float32(row, K).some((value, k) => 2 * (value - 1) !== weights[n * K + k]))
        throw new Error(`row ${n} differs`);
    }
  });
});
