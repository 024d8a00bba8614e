// The matrix kernels of each kind of weights beside each other, in one process and in turn: billions of products a
// second by number of rows and columns, in cache and from memory, beside what the multiplication can do as such.
//
//   npm run kernels                                        writes bench/results/kernels.json
//   npm run kernels -- [columns,…] [weights,…] [rows,…]    prints what is asked for

import binaryen from "binaryen";
import {
  ARENA_START,
  BLOCK_COLUMNS,
  KIND_FOUR_BIT,
  KIND_INT8,
  KIND_INT8_STEPS,
  M_QUANTIZED_STRIDE,
  MAX_ROWS,
  WEIGHT_FIELDS,
} from "../assembly/abi.ts";
import { EXPANDED_ROWS } from "../assembly/four-bit.ts";
import {
  groupSumsStride,
  REGION_GROUP_SUMS,
  REGION_PANEL,
  REGION_QUANTIZED,
  REGION_ROW_SCALES,
  REGION_ROW_SUMS,
  REGION_STRASSEN,
  strassenBytes,
} from "../assembly/regions.ts";
import { packedBytes4 } from "../src/convert/write/pack4.ts";
import { alignUp } from "../src/format/align.ts";
import { compileKernels } from "../tests/numerics/compile-kernels.ts";
import type { KernelFigure } from "./kernel-results.ts";
import { machine, pinToOneProcessor } from "./measure.ts";
import { writeReport } from "./report/index.ts";
import { saveResult } from "./results.ts";

interface Kernels {
  memory: WebAssembly.Memory;
  setModel(descriptor: number): void;
  linearStrips(
    weight: number,
    begin: number,
    end: number,
    rows: number,
    out: number,
    stride: number,
    accumulate: number,
  ): void;
}

const ENTRY = `
  export { setModel } from "./assembly/descriptor";
  export { linearStrips } from "./assembly/kernels/matmul";
`;
/** Products of one measurement at least, so that the clock's resolution does not matter. */
const LEAST_PRODUCTS = 2e7;
const REPETITIONS = 15;

/** Products of a call of what multiplications() compiles: CHAINS instructions of eight in each turn. */
const CHAINS = 12;
const TURNS = 100_000;

/**
 * Billions of products a second of `i32x4.dot_i16x8_s` and the addition that it needs, with all operands in registers
 * and enough sums at once to hide how long each takes: what no kernel of this instruction can exceed.
 */
async function multiplications(): Promise<() => number> {
  const sums = Array.from({ length: CHAINS }, (_, i) => `$s${i}`);
  const parsed =
    binaryen.parseText(`(module (func (export "run") (param $turns i32) (param $x i32) (result i32)
    (local $a v128) (local $b v128) ${sums.map((sum) => `(local ${sum} v128)`).join(" ")}
    (local.set $a (i16x8.splat (local.get $x)))
    (local.set $b (i16x8.splat (local.get $turns)))
    (loop $again
      ${sums.map((sum) => `(local.set ${sum} (i32x4.add (local.get ${sum}) (i32x4.dot_i16x8_s (local.get $a) (local.get $b))))`).join("\n")}
      (local.set $a (v128.xor (local.get $a) (local.get $s0)))
      (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
    (i32x4.extract_lane 0 ${sums.reduce((all, sum) => `(v128.xor ${all} (local.get ${sum}))`, "(local.get $a)")})))`);
  parsed.setFeatures(binaryen.Features.SIMD128);
  const { instance } = await WebAssembly.instantiate(Uint8Array.from(parsed.emitBinary()));
  const run = instance.exports.run as (turns: number, x: number) => number;
  for (let i = 0; i < 20; i++) run(TURNS, i);
  return () => {
    const start = process.hrtime.bigint();
    run(TURNS, 3);
    return (TURNS * CHAINS * 8) / Number(process.hrtime.bigint() - start);
  };
}

/** A matrix of each kind in a memory of its own; multiplies `rows` rows with it. */
function matrices(module: WebAssembly.Module, N: number, K: number) {
  const { exports } = new WebAssembly.Instance(module, { env: { abort: () => {} } });
  const kernels = exports as unknown as Kernels;
  let next = ARENA_START;
  const take = (bytes: number): number => {
    const at = next;
    next = alignUp(at + bytes, 64);
    const missing = next - kernels.memory.buffer.byteLength;
    if (missing > 0) kernels.memory.grow(Math.ceil(missing / 65536));
    return at;
  };
  const regions: [field: number, address: number][] = [
    [REGION_QUANTIZED, take(MAX_ROWS * K * 2)],
    [REGION_ROW_SCALES, take(MAX_ROWS * 4)],
    [REGION_ROW_SUMS, take(MAX_ROWS * 4)],
    [REGION_STRASSEN, take(strassenBytes(K))],
    [REGION_GROUP_SUMS, take((EXPANDED_ROWS - 1) * groupSumsStride(K))],
    [REGION_PANEL, take(BLOCK_COLUMNS * 32)],
    [M_QUANTIZED_STRIDE, K * 2],
  ];
  const [int8, fourBit, steps] = [take(N * K), take(packedBytes4(N, K)), take((N * K) / 32)];
  const [scales, out, descriptor] = [take(N * 4), take(MAX_ROWS * N * 4), take(1024)];
  const record = (...fields: number[]) => {
    const at = take(WEIGHT_FIELDS * 4);
    new Uint32Array(kernels.memory.buffer, at, fields.length).set(fields);
    return at;
  };
  const records = {
    int8: record(KIND_INT8, N, K, int8, scales, 0, 6000),
    "int8-steps": record(KIND_INT8_STEPS, N, K, int8, scales, 0, 6000, steps),
    "four-bit": record(KIND_FOUR_BIT, N, K, fourBit, scales, 0, 6000),
  };
  const bytes = new Uint8Array(kernels.memory.buffer);
  for (let i = int8; i < steps + (N * K) / 32; i++) bytes[i] = (i * 2654435761) >>> 13;
  const activations = new Int16Array(kernels.memory.buffer, regions[0]![1], MAX_ROWS * K);
  for (let i = 0; i < activations.length; i++) activations[i] = ((i * 7919) % 4000) - 2000;
  for (const [field, value] of regions)
    new Uint32Array(kernels.memory.buffer, descriptor, 256)[field] = value;
  kernels.setModel(descriptor);
  return Object.entries(records).map(([kind, weight]) => ({
    kind,
    multiply: (rows: number) => kernels.linearStrips(weight, 0, N / 16, rows, out, N * 4, 0),
  }));
}

const asked = process.argv.slice(2).map((argument) => argument.split(",").map(Number));
const [columns, sizes, rowCounts] = [
  asked[0] ?? [576, 1536],
  asked[1] ?? [1e6, 84e6],
  asked[2] ?? [1, 2, 3, 4, 8, 16, 32, 64],
];
pinToOneProcessor();
const multiplied = await multiplications();
const module = new WebAssembly.Module(await compileKernels(ENTRY));
const figures: KernelFigure[] = [];
const peaks: number[] = [];
console.log("weights\tcolumns\trows\tkind: 10^9 products a second, and as a share of int8's");
for (const size of sizes)
  for (const K of columns) {
    const N = Math.floor(size / K / 32) * 32;
    const kinds = matrices(module, N, K);
    for (const rows of rowCounts) {
      const times = kinds.map((): number[] => []);
      const turns = Math.max(1, Math.floor(LEAST_PRODUCTS / (N * K * rows)));
      for (let repetition = -3; repetition < REPETITIONS; repetition++) {
        kinds.forEach(({ multiply }, i) => {
          const start = process.hrtime.bigint();
          for (let turn = 0; turn < turns; turn++) multiply(rows);
          if (repetition >= 0) times[i]!.push(Number(process.hrtime.bigint() - start) / turns);
        });
        peaks.push(multiplied());
      }
      // The fastest: what another process takes away is not the kernel's.
      const rates = times.map((all) => (rows * N * K) / Math.min(...all));
      const shown = kinds.map(({ kind }, i) => {
        figures.push({ weights: N * K, columns: K, rows, kind, rate: rates[i]! });
        return `${kind} ${rates[i]!.toFixed(1)} (${(rates[i]! / rates[0]!).toFixed(2)})`;
      });
      console.log([N * K, K, rows, ...shown].join("\t"));
    }
  }
const peak = Math.max(...peaks);
console.log(`the multiplication as such: ${peak.toFixed(1)}`);
if (asked.length === 0) {
  saveResult("kernels", { machine: machine([]), peak, figures });
  writeReport();
}
