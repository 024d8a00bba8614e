import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ARENA_START } from "../../../assembly/abi.ts";
import { GROUP_COLUMNS, INTEGER_LIMIT } from "../../../assembly/four-bit.ts";
import { alignUp } from "../../format/align.ts";
import { packageRoot } from "../../node/index.ts";
import { type FourBitRows, groupsOf } from "./codes.ts";

/** Vectors that the module works on together (assembly/quantizer/panel.ts). */
const PANEL = 16;
const PAGE = 65536;
/** How often steps and codes are gone over again after rounding: on fable, 7 % less divergence than without. */
const SWEEPS = 3;

/** What assembly/quantizer exports; addresses are byte offsets. */
interface Exports {
  memory: WebAssembly.Memory;
  factor(matrix: number, n: number, stride: number): number;
  multiplyPanel(
    panel: number,
    length: number,
    coefficients: number,
    stride: number,
    rows: number,
    out: number,
    outStride: number,
  ): void;
  fitSteps(targets: number, importance: number, columns: number, steps: number, offsets: number): void;
  solvePanel(x: number, upper: number, triangle: number, inverses: number, columns: number): void;
  refinePanel(
    moments: number,
    columns: number,
    steps: number,
    offsets: number,
    errors: number,
    codes: number,
  ): void;
  roundPanel(
    weights: number,
    triangle: number,
    columns: number,
    places: number,
    steps: number,
    offsets: number,
    errors: number,
    codes: number,
  ): void;
}

/**
 * The second moments H = Σ xᵀ·x of a matrix' inputs, decomposed for rounding: H + damping = (I + U)·D·(I + U)ᵀ, its
 * columns in `order`. U is strictly upper triangular.
 */
export interface HessianFactor {
  /** The columns by falling second moment: those that matter most are rounded while others can still make up for it. */
  order: Int32Array;
  /** [columns, columns]: U column by column, and row by row. */
  triangle: Float32Array;
  upper: Float32Array;
  /** [columns]: 1 / D. */
  inverses: Float32Array;
  /** [columns, columns]: H + damping, in the columns' own order. */
  damped: Float32Array;
}

export interface FourBitOptions {
  /** Of the inputs' second moments: rounding makes up for its errors. [each weight by itself] */
  factor?: HessianFactor;
  /**
   * Σ (x − x′)ᵀ·x′ [columns, columns], row-major, where x′ are the inputs that the rounded model gives and x those of the
   * float model: the weights are moved first, so that their product with x′ comes near the one with x. Needs `factor`.
   */
  drift?: Float32Array;
  /** [columns], positive: what a squared error of a column weighs when steps are chosen. [1 for all] */
  importance?: Float32Array;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** The arithmetic of calibrated rounding, float32 in WebAssembly: some ten times as fast as JavaScript, and the same everywhere. */
export class Quantizer {
  readonly #wasm: Exports;
  #next = ARENA_START;

  private constructor(wasm: Exports) {
    this.#wasm = wasm;
  }

  static async create(): Promise<Quantizer> {
    compiled ??= readFile(join(packageRoot(), "build", "quantizer.wasm")).then((bytes) =>
      WebAssembly.compile(bytes),
    );
    const instance = await WebAssembly.instantiate(await compiled, {});
    return new Quantizer(instance.exports as unknown as Exports);
  }

  /** Runs `use` with fresh linear memory: everything that was taken before is given back. */
  #scope<T>(use: () => T): T {
    this.#next = ARENA_START;
    return use();
  }

  #take(bytes: number): number {
    const at = this.#next;
    this.#next = alignUp(at + bytes, 64);
    const missing = this.#next - this.#wasm.memory.buffer.byteLength;
    if (missing > 0) this.#wasm.memory.grow(Math.ceil(missing / PAGE));
    return at;
  }

  #put(values: Float32Array | Int32Array): number {
    const at = this.#take(values.byteLength);
    new Uint8Array(this.#wasm.memory.buffer).set(
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      at,
    );
    return at;
  }

  #floats(at: number, length: number): Float32Array {
    return new Float32Array(this.#wasm.memory.buffer, at, length);
  }

  /** x · wᵀ: [tokens, rows], of x [tokens, columns] and w [rows, columns]. */
  product(x: Float32Array, w: Float32Array, columns: number): Float32Array {
    return this.#scope(() => {
      const [tokens, rows] = [x.length / columns, w.length / columns];
      const evenRows = alignUp(rows, 2);
      const coefficients = this.#take(evenRows * columns * 4);
      this.#floats(coefficients, rows * columns).set(w);
      const panel = this.#take(columns * PANEL * 4);
      const sums = this.#take(evenRows * PANEL * 4);
      const out = new Float32Array(tokens * rows);
      for (let first = 0; first < tokens; first += PANEL) {
        const count = Math.min(PANEL, tokens - first);
        const from = this.#floats(panel, columns * PANEL);
        for (let i = 0; i < count; i++)
          for (let k = 0; k < columns; k++) from[k * PANEL + i] = x[(first + i) * columns + k] as number;
        const to = this.#floats(sums, evenRows * PANEL).fill(0);
        this.#wasm.multiplyPanel(panel, columns, coefficients, columns * 4, evenRows, sums, PANEL * 4);
        for (let i = 0; i < count; i++)
          for (let n = 0; n < rows; n++) out[(first + i) * rows + n] = to[n * PANEL + i] as number;
      }
      return out;
    });
  }

  /** Σ over tokens of aᵀ·b: [columns, columns], of a and b [tokens, columns]. Where they are the same, half is mirrored. */
  moments(a: Float32Array, b: Float32Array, columns: number): Float32Array {
    return this.#scope(() => {
      const tokens = a.length / columns;
      const [evenColumns, width] = [alignUp(columns, 2), alignUp(columns, PANEL)];
      const coefficients = this.#take(evenColumns * tokens * 4);
      const panel = this.#take(tokens * PANEL * 4);
      const sums = this.#take(evenColumns * width * 4);
      const transposed = this.#floats(coefficients, evenColumns * tokens).fill(0);
      for (let t = 0; t < tokens; t++)
        for (let k = 0; k < columns; k++) transposed[k * tokens + t] = a[t * columns + k] as number;
      this.#floats(sums, evenColumns * width).fill(0);
      for (let first = 0; first < columns; first += PANEL) {
        const count = Math.min(PANEL, columns - first);
        const from = this.#floats(panel, tokens * PANEL).fill(0);
        for (let t = 0; t < tokens; t++)
          for (let i = 0; i < count; i++) from[t * PANEL + i] = b[t * columns + first + i] as number;
        const rows = a === b ? Math.min(evenColumns, first + PANEL) : evenColumns;
        this.#wasm.multiplyPanel(panel, tokens, coefficients, tokens * 4, rows, sums + first * 4, width * 4);
      }
      const all = this.#floats(sums, evenColumns * width);
      const out = new Float32Array(columns * columns);
      for (let k = 0; k < columns; k++) out.set(all.subarray(k * width, k * width + columns), k * columns);
      if (a === b)
        for (let k = 0; k < columns; k++)
          for (let i = 0; i < k; i++) out[k * columns + i] = out[i * columns + k] as number;
      return out;
    });
  }

  /**
   * Decomposes second moments [columns, columns].
   *
   * @param damping what is added to the diagonal, as a share of its mean: calibration saw a few thousand tokens only
   */
  factor(moments: Float32Array, columns: number, damping: number): HessianFactor {
    return this.#scope(() => {
      let trace = 0;
      for (let k = 0; k < columns; k++) trace += moments[k * columns + k] as number;
      // Inputs that are all zeros: every rounding is as good as any other.
      const added = trace > 0 ? (trace / columns) * damping : 1;
      const order = Int32Array.from({ length: columns }, (_, k) => k).sort(
        (a, b) => (moments[b * columns + b] as number) - (moments[a * columns + a] as number) || a - b,
      );
      const stride = alignUp(columns, 2);
      const matrix = this.#take(columns * stride * 8);
      const lower = new Float64Array(this.#wasm.memory.buffer, matrix, columns * stride);
      // Cholesky's L from the other corner: (I + U)·D·(I + U)ᵀ of the columns is L·Lᵀ of the columns turned round.
      for (let i = 0; i < columns; i++) {
        const row = (order[columns - 1 - i] as number) * columns;
        for (let j = 0; j <= i; j++)
          lower[i * stride + j] = moments[row + (order[columns - 1 - j] as number)] as number;
        (lower[i * stride + i] as number) += added;
      }
      if (!this.#wasm.factor(matrix, columns, stride * 8))
        throw new Error("the second moments of a matrix' inputs are not positive definite");
      const triangle = new Float32Array(columns * columns);
      const upper = new Float32Array(columns * columns);
      const inverses = new Float32Array(columns);
      for (let j = 0; j < columns; j++) {
        const diagonal = lower[j * stride + j] as number;
        const column = columns - 1 - j;
        inverses[column] = 1 / diagonal ** 2;
        for (let i = j + 1; i < columns; i++) {
          const value = (lower[i * stride + j] as number) / diagonal;
          const row = columns - 1 - i;
          upper[row * columns + column] = value;
          triangle[column * columns + row] = value;
        }
      }
      const damped = moments.slice();
      for (let k = 0; k < columns; k++) (damped[k * columns + k] as number) += added;
      return { order, triangle, upper, inverses, damped };
    });
  }

  /**
   * Rounds a matrix to four bits.
   *
   * @param weights row-major [rows, columns], finite
   */
  quantizeFourBit(
    weights: Float32Array,
    rows: number,
    columns: number,
    { factor, drift, importance }: FourBitOptions = {},
  ): FourBitRows {
    return this.#scope(() => {
      const groups = groupsOf(columns);
      const natural = Int32Array.from({ length: columns }, (_, k) => k);
      const order = factor?.order ?? natural;
      const panelBytes = columns * PANEL * 4;
      const [targets, ordered, errors, missed, codes, chosen] = [1, 2, 3, 4, 5, 6].map(() =>
        this.#take(panelBytes),
      ) as [number, number, number, number, number, number];
      const steps = this.#take(groups * PANEL * 4);
      const offsets = this.#take(groups * PANEL * 4);
      const places = this.#put(order.map((k) => Math.floor(k / GROUP_COLUMNS)));
      const weighed = this.#put(importance ?? new Float32Array(columns).fill(1));
      const triangle = factor ? this.#put(factor.triangle) : 0;
      const damped = factor ? this.#put(factor.damped) : 0;
      const move =
        factor && drift ? this.#mover(columns, { ...factor, triangle }, drift, ordered) : undefined;
      const result: FourBitRows = {
        codes: new Uint8Array(rows * columns),
        steps: new Uint8Array(rows * groups),
        offsets: new Int16Array(rows * groups),
        scales: new Float32Array(rows),
      };
      // No memory is taken from here on, so that the views stay.
      const inOrder = this.#floats(ordered, columns * PANEL);
      const inRows = this.#floats(targets, columns * PANEL);
      const stepOf = this.#floats(steps, groups * PANEL);
      const offsetOf = this.#floats(offsets, groups * PANEL);
      const errorOf = this.#floats(errors, columns * PANEL);
      const missedOf = this.#floats(missed, columns * PANEL);
      const codeOf = new Int32Array(this.#wasm.memory.buffer, codes, columns * PANEL);
      const chosenOf = new Int32Array(this.#wasm.memory.buffer, chosen, columns * PANEL);
      for (let first = 0; first < rows; first += PANEL) {
        const count = Math.min(PANEL, rows - first);
        inOrder.fill(0);
        for (let i = 0; i < count; i++)
          for (let k = 0; k < columns; k++)
            inOrder[k * PANEL + i] = weights[(first + i) * columns + (order[k] as number)] as number;
        move?.();
        for (let i = 0; i < PANEL; i++) {
          let largest = 0;
          for (let k = 0; k < columns; k++)
            largest = Math.max(largest, Math.abs(inOrder[k * PANEL + i] as number));
          const scale = Math.fround(largest / INTEGER_LIMIT);
          if (i < count) result.scales[first + i] = scale;
          for (let k = 0; k < columns; k++) {
            const target = scale > 0 ? (inOrder[k * PANEL + i] as number) / scale : 0;
            inOrder[k * PANEL + i] = target;
            inRows[(order[k] as number) * PANEL + i] = target;
          }
        }
        this.#wasm.fitSteps(targets, weighed, columns, steps, offsets);
        this.#wasm.roundPanel(ordered, triangle, columns, places, steps, offsets, errors, codes);
        // Back to the columns' own order.
        for (let k = 0; k < columns; k++) {
          const to = (order[k] as number) * PANEL;
          for (let i = 0; i < PANEL; i++) {
            chosenOf[to + i] = codeOf[k * PANEL + i] as number;
            missedOf[to + i] = errorOf[k * PANEL + i] as number;
          }
        }
        if (factor)
          for (let sweep = 0; sweep < SWEEPS; sweep++)
            this.#wasm.refinePanel(damped, columns, steps, offsets, missed, chosen);
        for (let i = 0; i < count; i++) {
          for (let k = 0; k < columns; k++)
            result.codes[(first + i) * columns + k] = chosenOf[k * PANEL + i] as number;
          for (let g = 0; g < groups; g++) {
            result.steps[(first + i) * groups + g] = stepOf[g * PANEL + i] as number;
            result.offsets[(first + i) * groups + g] = offsetOf[g * PANEL + i] as number;
          }
        }
      }
      return result;
    });
  }

  /** Moves 16 rows of weights w by w · drift · H⁻¹: what least squares give for inputs that have drifted. */
  #mover(
    columns: number,
    factor: Omit<HessianFactor, "triangle"> & { triangle: number },
    drift: Float32Array,
    input: number,
  ): () => void {
    const { order } = factor;
    const even = alignUp(columns, 2);
    const ordered = new Float32Array(even * columns);
    for (let j = 0; j < columns; j++)
      for (let k = 0; k < columns; k++)
        ordered[j * columns + k] = drift[(order[k] as number) * columns + (order[j] as number)] as number;
    const coefficients = this.#put(ordered);
    const upper = this.#put(factor.upper);
    const inverses = this.#put(factor.inverses);
    const moved = this.#take(even * PANEL * 4);
    return () => {
      this.#floats(moved, even * PANEL).fill(0);
      this.#wasm.multiplyPanel(input, columns, coefficients, columns * 4, even, moved, PANEL * 4);
      this.#wasm.solvePanel(moved, upper, factor.triangle, inverses, columns);
      const [weights, steps] = [this.#floats(input, columns * PANEL), this.#floats(moved, columns * PANEL)];
      for (let i = 0; i < weights.length; i++) (weights[i] as number) += steps[i] as number;
    };
  }
}
