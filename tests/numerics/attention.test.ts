import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  BLOCK_POSITIONS,
  L_ATTENTION_SCALE,
  L_WINDOW,
  M_HEAD_DIM,
  M_HEAD_DIM_PAD,
  M_HEAD_SUMS,
  M_HEADS,
  M_HIDDEN,
  M_HIDDEN_STRIDE,
  M_KV,
  M_KV_LAYER_BYTES,
  M_KV_PLANE,
  M_LAYERS_START,
  M_NORMED,
  M_PROBS,
  M_ROWS,
  M_SCORES,
  M_TABLE_STRIDE,
  M_TABLES,
  M_VALUE_SCALES,
  M_WIDTH,
  M_WIDTH_PAD,
  ROW_BYTES,
  ROW_POSITION,
  ROW_SEQUENCE,
} from "../../assembly/abi.ts";
import { alignUp } from "../../src/format/manifest.ts";
import { integerAttention, quantizeInt8 } from "../reference/kernels.ts";
import { gaussian } from "../reference/random.ts";
import { KernelBench } from "./kernel-module.ts";

const MAX_POSITIONS = 1040;

let bench: KernelBench;

beforeAll(async () => {
  bench = await KernelBench.create(24 << 20);
});
beforeEach(() => bench.reset());

interface Layout {
  heads: number;
  headDim: number;
  window?: number;
  /** What the cache holds before anything is written. */
  garbage?: number;
}

/** One layer's cache for two sequences, whose blocks lie interleaved and out of order. */
class AttentionBench {
  readonly width: number;
  readonly scale: number;
  readonly #heads: number;
  readonly #headDim: number;
  readonly #rows: number;
  readonly #hidden: number;
  readonly #normed: number;

  constructor({ heads, headDim, window = 0, garbage = 0 }: Layout) {
    this.#heads = heads;
    this.#headDim = headDim;
    this.width = heads * headDim;
    this.scale = Math.fround(1 / Math.sqrt(headDim));
    const headDimPad = alignUp(headDim, 16);
    const widthPad = alignUp(this.width, 16);
    const blocks = MAX_POSITIONS / BLOCK_POSITIONS;
    const planeBytes = (heads * headDimPad * BLOCK_POSITIONS) / 2;
    const kvBytes = 2 * blocks * (4 * planeBytes + 2 * heads * BLOCK_POSITIONS * 4);
    const kv = bench.take(kvBytes);
    new Uint8Array(bench.kernels.memory.buffer, kv, kvBytes).fill(garbage);
    const tables = bench.take(2 * blocks * 4);
    for (let i = 0; i < blocks; i++) {
      bench.int32(tables, 2 * blocks)[i] = 2 * (blocks - 1 - i);
      bench.int32(tables, 2 * blocks)[blocks + i] = 2 * i + 1;
    }
    this.#rows = bench.take(ROW_BYTES);
    this.#hidden = bench.take(alignUp(3 * this.width, 16) * 4);
    this.#normed = bench.take((widthPad + 16) * 4);
    bench.describe(
      {
        [M_WIDTH]: this.width,
        [M_WIDTH_PAD]: widthPad,
        [M_HEADS]: heads,
        [M_HEAD_DIM]: headDim,
        [M_HEAD_DIM_PAD]: headDimPad,
        [M_KV]: kv,
        [M_KV_LAYER_BYTES]: kvBytes,
        [M_KV_PLANE]: 2 * blocks * planeBytes,
        [M_TABLES]: tables,
        [M_TABLE_STRIDE]: blocks * 4,
        [M_ROWS]: this.#rows,
        [M_NORMED]: this.#normed,
        [M_HIDDEN]: this.#hidden,
        [M_HIDDEN_STRIDE]: alignUp(3 * this.width, 16) * 4,
        [M_SCORES]: bench.take(heads * (MAX_POSITIONS + headDimPad) * 4),
        [M_VALUE_SCALES]: bench.take(heads * MAX_POSITIONS * 4),
        [M_PROBS]: bench.take(heads * (MAX_POSITIONS + headDimPad) * 2),
        [M_HEAD_SUMS]: bench.take(heads * (8 + headDimPad * 8) + 16),
        [M_LAYERS_START + L_WINDOW]: window,
      },
      { [M_LAYERS_START + L_ATTENTION_SCALE]: this.scale },
    );
  }

  /** Stores one position's keys and values; `qkv` is float32 [3 · width]. */
  store(sequence: number, position: number, qkv: Float32Array): void {
    bench.int32(this.#rows, 4)[ROW_SEQUENCE] = sequence;
    bench.int32(this.#rows, 4)[ROW_POSITION] = position;
    bench.float32(this.#hidden, qkv.length).set(qkv);
    bench.kernels.storeKeyValue(0, 0);
  }

  /** Attention of the row last stored, float32 [width]. */
  attend(): Float32Array {
    bench.kernels.attend(0, 0);
    return bench.float32(this.#normed, this.width).slice();
  }

  /** The twin's answer for the last of `positions`, over those from `start` on. */
  expected(positions: Float32Array[], start = 0): Float32Array {
    const last = positions.at(-1)!;
    const out = new Float32Array(this.width);
    for (let h = 0; h < this.#heads; h++) {
      const part = (qkv: Float32Array, which: number) =>
        qkv.subarray(which * this.width + h * this.#headDim, which * this.width + (h + 1) * this.#headDim);
      const seen = positions.slice(start);
      const cache = {
        keys: seen.map((qkv) => quantizeInt8(part(qkv, 1))),
        values: seen.map((qkv) => quantizeInt8(part(qkv, 2))),
      };
      out.set(integerAttention(part(last, 0), cache, this.scale), h * this.#headDim);
    }
    return out;
  }
}

/** One step of the probabilities may fall the other way where exp differs in its last bits. */
function expectClose(actual: Float32Array, exact: Float32Array): void {
  const largest = exact.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  actual.forEach((value, i) => {
    expect(Math.abs(value - exact[i]!)).toBeLessThanOrEqual(2e-4 * largest);
  });
}

describe("attention over the int8 cache", () => {
  test.each([
    { heads: 1, headDim: 16, positions: 1 },
    { heads: 5, headDim: 16, positions: 15 },
    { heads: 3, headDim: 64, positions: 16 },
    { heads: 2, headDim: 64, positions: 17 },
    { heads: 2, headDim: 20, positions: 33 },
    { heads: 3, headDim: 7, positions: 100 },
    { heads: 1, headDim: 128, positions: 512 },
  ])(
    "is the naive twin's: $heads heads of $headDim, $positions positions",
    ({ heads, headDim, positions }) => {
      const attention = new AttentionBench({ heads, headDim });
      const rows = Array.from({ length: positions }, (_, p) => gaussian(3 * heads * headDim, p + 1));
      // Some keys stand out, so that the softmax is sharp in some rows and flat in others.
      rows.forEach((row, p) => {
        if (p % 7 === 3) for (let i = 0; i < row.length; i += 5) row[i]! *= 20;
      });
      rows.forEach((row, p) => {
        attention.store(0, p, row);
        if (p % 50 === 0 || p === positions - 1)
          expectClose(attention.attend(), attention.expected(rows.slice(0, p + 1)));
      });
    },
  );

  test("1024 equal probabilities neither overflow nor vanish", () => {
    const attention = new AttentionBench({ heads: 1, headDim: 16 });
    const row = new Float32Array(48).fill(1);
    for (let p = 0; p < 1024; p++) attention.store(0, p, row);
    attention.attend().forEach((value) => {
      expect(Math.abs(value - 1)).toBeLessThan(1e-5);
    });
  });

  test("a head of zeros gives zeros", () => {
    const attention = new AttentionBench({ heads: 2, headDim: 16 });
    for (let p = 0; p < 20; p++) attention.store(0, p, new Float32Array(96));
    expect(attention.attend()).toEqual(new Float32Array(32));
  });

  test("what unwritten positions and the other sequence's blocks hold does not matter", () => {
    const outputs = [0, 0x3f, 0x7e].map((garbage) => {
      bench.reset();
      const attention = new AttentionBench({ heads: 2, headDim: 24, garbage });
      const results: Float32Array[] = [];
      for (let p = 0; p < 37; p++) {
        attention.store(1, p, gaussian(144, 1000 + p + garbage));
        attention.store(0, p, gaussian(144, p));
        results.push(attention.attend());
      }
      return results;
    });
    expect(outputs[1]).toEqual(outputs[0]);
    expect(outputs[2]).toEqual(outputs[0]);
  });

  test.each([1, 15, 16, 17, 30])("a window of %i positions sees just those", (window) => {
    const attention = new AttentionBench({ heads: 2, headDim: 16, window });
    const rows = Array.from({ length: 70 }, (_, p) => gaussian(96, p + 5));
    rows.forEach((row, p) => {
      attention.store(0, p, row);
      expectClose(attention.attend(), attention.expected(rows.slice(0, p + 1), Math.max(0, p + 1 - window)));
    });
  });
});
