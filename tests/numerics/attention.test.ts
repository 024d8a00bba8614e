import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  BLOCK_POSITIONS,
  L_SCORE_SCALE,
  L_WINDOW,
  M_HEAD_SIZE,
  M_HEADS,
  M_KEY_VALUE_HEADS,
  M_KV_LAYER_BYTES,
  M_KV_PLANE,
  M_LAYERS_START,
  M_OUTPUT_STRIDE,
  M_TABLE_STRIDE,
  ROW_BYTES,
  ROW_POSITION,
  ROW_SEQUENCE,
} from "../../assembly/abi.ts";
import {
  kvBlockBytes,
  kvPlaneBytes,
  REGION_HEAD_SUMS,
  REGION_KV,
  REGION_NORMED,
  REGION_OUTPUT,
  REGION_PROBABILITIES,
  REGION_ROWS,
  REGION_SCORES,
  REGION_TABLES,
  REGION_VALUE_SCALES,
} from "../../assembly/regions.ts";
import { alignUp } from "../../src/format/align.ts";
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
  /** Heads of keys and values. [as many] */
  keyValueHeads?: number;
  headSize: number;
  window?: number;
  /** What the cache holds before anything is written. */
  garbage?: number;
}

/** One layer's cache for two sequences, whose blocks lie interleaved and out of order. */
class AttentionBench {
  /** Numbers of a position: queries, keys and values. */
  readonly width: number;
  readonly scale: number;
  readonly #heads: number;
  readonly #keyValueHeads: number;
  readonly #headSize: number;
  readonly #rows: number;
  readonly #output: number;
  readonly #normed: number;

  constructor({ heads, keyValueHeads = heads, headSize, window = 0, garbage = 0 }: Layout) {
    this.#heads = heads;
    this.#keyValueHeads = keyValueHeads;
    this.#headSize = headSize;
    this.width = (heads + 2 * keyValueHeads) * headSize;
    this.scale = Math.fround(1 / Math.sqrt(headSize));
    const headPad = alignUp(headSize, 16);
    const blocks = MAX_POSITIONS / BLOCK_POSITIONS;
    const kvBytes = 2 * blocks * kvBlockBytes(keyValueHeads, headPad);
    const kv = bench.take(kvBytes);
    new Uint8Array(bench.kernels.memory.buffer, kv, kvBytes).fill(garbage);
    const tables = bench.take(2 * blocks * 4);
    for (let i = 0; i < blocks; i++) {
      bench.int32(tables, 2 * blocks)[i] = 2 * (blocks - 1 - i);
      bench.int32(tables, 2 * blocks)[blocks + i] = 2 * i + 1;
    }
    this.#rows = bench.take(ROW_BYTES);
    this.#output = bench.take(alignUp(this.width, 16) * 4);
    this.#normed = bench.take((heads * headSize + headPad + 16) * 4);
    bench.describe(
      {
        [M_HEADS]: heads,
        [M_KEY_VALUE_HEADS]: keyValueHeads,
        [M_HEAD_SIZE]: headSize,
        [M_KV_LAYER_BYTES]: kvBytes,
        [M_KV_PLANE]: 2 * blocks * kvPlaneBytes(keyValueHeads, headPad),
        [M_TABLE_STRIDE]: blocks * 4,
        [M_OUTPUT_STRIDE]: alignUp(this.width, 16) * 4,
        [REGION_KV]: kv,
        [REGION_TABLES]: tables,
        [REGION_ROWS]: this.#rows,
        [REGION_NORMED]: this.#normed,
        [REGION_OUTPUT]: this.#output,
        [REGION_SCORES]: bench.take(heads * (MAX_POSITIONS + headPad) * 4),
        [REGION_VALUE_SCALES]: bench.take(keyValueHeads * MAX_POSITIONS * 4),
        [REGION_PROBABILITIES]: bench.take(heads * (MAX_POSITIONS + headPad) * 2),
        [REGION_HEAD_SUMS]: bench.take(heads * (8 + headPad * 4) + 16),
        [M_LAYERS_START + L_WINDOW]: window,
      },
      { [M_LAYERS_START + L_SCORE_SCALE]: this.scale },
    );
  }

  /** Stores one position; `qkv` is float32 [width]. */
  store(sequence: number, position: number, qkv: Float32Array): void {
    bench.int32(this.#rows, 4)[ROW_SEQUENCE] = sequence;
    bench.int32(this.#rows, 4)[ROW_POSITION] = position;
    bench.float32(this.#output, qkv.length).set(qkv);
    bench.kernels.storeKeyValue(0, 0);
  }

  /** Attention of the row last stored, float32 [heads · headSize]. */
  attend(): Float32Array {
    bench.kernels.attend(0, 0);
    return bench.float32(this.#normed, this.#heads * this.#headSize).slice();
  }

  /** The twin's answer for the last of `positions`, over those from `start` on. */
  expected(positions: Float32Array[], start = 0): Float32Array {
    const last = positions.at(-1)!;
    const out = new Float32Array(this.#heads * this.#headSize);
    const head = (qkv: Float32Array, index: number) =>
      qkv.subarray(index * this.#headSize, (index + 1) * this.#headSize);
    const shared = this.#heads / this.#keyValueHeads;
    for (let h = 0; h < this.#heads; h++) {
      const key = this.#heads + Math.floor(h / shared);
      const seen = positions.slice(start);
      const cache = {
        keys: seen.map((qkv) => quantizeInt8(head(qkv, key))),
        values: seen.map((qkv) => quantizeInt8(head(qkv, key + this.#keyValueHeads))),
      };
      out.set(integerAttention(head(last, h), cache, this.scale), h * this.#headSize);
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
    { heads: 1, headSize: 16, positions: 1 },
    { heads: 5, headSize: 16, positions: 15 },
    { heads: 3, headSize: 64, positions: 16 },
    { heads: 2, headSize: 64, positions: 17 },
    { heads: 2, headSize: 20, positions: 33 },
    { heads: 3, headSize: 7, positions: 100 },
    { heads: 1, headSize: 128, positions: 512 },
    { heads: 9, keyValueHeads: 3, headSize: 64, positions: 70 },
    { heads: 4, keyValueHeads: 1, headSize: 20, positions: 40 },
    { heads: 6, keyValueHeads: 2, headSize: 80, positions: 33 },
  ])(
    "is the naive twin's: $heads heads of $headSize, $keyValueHeads of keys, $positions positions",
    ({ heads, keyValueHeads, headSize, positions }: Layout & { positions: number }) => {
      const attention = new AttentionBench({ heads, keyValueHeads, headSize });
      const rows = Array.from({ length: positions }, (_, p) => gaussian(attention.width, p + 1));
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
    const attention = new AttentionBench({ heads: 1, headSize: 16 });
    const row = new Float32Array(48).fill(1);
    for (let p = 0; p < 1024; p++) attention.store(0, p, row);
    attention.attend().forEach((value) => {
      expect(Math.abs(value - 1)).toBeLessThan(1e-5);
    });
  });

  test("a head of zeros gives zeros", () => {
    const attention = new AttentionBench({ heads: 2, headSize: 16 });
    for (let p = 0; p < 20; p++) attention.store(0, p, new Float32Array(96));
    expect(attention.attend()).toEqual(new Float32Array(32));
  });

  test("what unwritten positions and the other sequence's blocks hold does not matter", () => {
    const outputs = [0, 0x3f, 0x7e].map((garbage) => {
      bench.reset();
      const attention = new AttentionBench({ heads: 2, headSize: 24, garbage });
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
    const attention = new AttentionBench({ heads: 2, headSize: 16, window });
    const rows = Array.from({ length: 70 }, (_, p) => gaussian(96, p + 5));
    rows.forEach((row, p) => {
      attention.store(0, p, row);
      expectClose(attention.attend(), attention.expected(rows.slice(0, p + 1), Math.max(0, p + 1 - window)));
    });
  });
});
