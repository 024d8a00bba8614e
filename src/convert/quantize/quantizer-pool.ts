import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { alignUp } from "../../format/align.ts";
import { packageRoot } from "../../node/index.ts";
import type { FourBitRows } from "./codes.ts";
import type { FourBitOptions, HessianFactor } from "./quantizer.ts";

/** More threads have nothing to do while the matrices of a small model are read. */
const MAX_THREADS = 8;
/** Rows and tokens are shared out by panels (assembly/quantizer/panel.ts). */
const PANEL = 16;

type Method = "product" | "moments" | "factor" | "quantizeFourBit";

export interface QuantizerCall {
  method: Method;
  args: unknown[];
}

export type QuantizerAnswer = { value: unknown } | { error: unknown };

interface Task {
  call: QuantizerCall;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** A copy that does not bring the rest of its buffer along when it is sent to another thread. */
function part(values: Float32Array, from: number, to: number): Float32Array {
  return values.slice(from, to);
}

/**
 * Quantizers in threads of their own, with the methods of one. Work is shared out by tokens or by rows, which know
 * nothing of each other: the results are the same bits with any number of threads.
 */
export class QuantizerPool {
  readonly threads: number;
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Task>();
  readonly #tasks: Task[] = [];
  #failure: unknown;

  /** @param threads [one for each core, at most 8] */
  constructor(threads = Math.min(availableParallelism(), MAX_THREADS)) {
    this.threads = threads;
    // Built like the wasm beside it: Node 20 runs no TypeScript.
    const script = join(packageRoot(), "dist", "src", "convert", "quantize", "quantizer-worker.js");
    for (let i = 0; i < threads; i++) {
      const worker = new Worker(script);
      worker.on("message", (answer: QuantizerAnswer) => {
        const task = this.#busy.get(worker)!;
        this.#busy.delete(worker);
        this.#idle.push(worker);
        if ("error" in answer) task.reject(answer.error);
        else task.resolve(answer.value);
        this.#next();
      });
      worker.on("error", (error) => this.#fail(error));
      this.#idle.push(worker);
    }
  }

  /** Ends the threads; what is under way is never answered. */
  async close(): Promise<void> {
    this.#tasks.length = 0;
    await Promise.all([...this.#idle, ...this.#busy.keys()].map((worker) => worker.terminate()));
  }

  /** A thread that cannot go on takes all with it. */
  #fail(error: unknown): void {
    this.#failure = error;
    for (const task of [...this.#busy.values(), ...this.#tasks]) task.reject(error);
    this.#tasks.length = 0;
  }

  #call<T>(method: Method, ...args: unknown[]): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#tasks.push({ call: { method, args }, resolve: resolve as Task["resolve"], reject });
      this.#next();
    });
  }

  #next(): void {
    while (this.#idle.length > 0 && this.#tasks.length > 0) {
      const [worker, task] = [this.#idle.pop()!, this.#tasks.shift()!];
      this.#busy.set(worker, task);
      worker.postMessage(task.call);
    }
  }

  /** Calls `run` for as many pieces of `count` as there are threads. */
  async #shared<T>(count: number, run: (first: number, end: number) => Promise<T>): Promise<T[]> {
    const size = Math.max(PANEL, alignUp(Math.ceil(count / this.threads), PANEL));
    const pieces: Promise<T>[] = [];
    for (let first = 0; first < count; first += size) pieces.push(run(first, Math.min(first + size, count)));
    return Promise.all(pieces);
  }

  /** `Quantizer.product`. */
  async product(x: Float32Array, w: Float32Array, columns: number): Promise<Float32Array> {
    const whole = w.slice();
    const pieces = await this.#shared(x.length / columns, (first, end) =>
      this.#call<Float32Array>("product", part(x, first * columns, end * columns), whole, columns),
    );
    return concatenated(pieces, Float32Array);
  }

  /** `Quantizer.moments`; `b` is `a` itself for the moments of one. */
  moments(a: Float32Array, b: Float32Array, columns: number): Promise<Float32Array> {
    return this.#call("moments", a, b, columns);
  }

  /** `Quantizer.factor`. */
  factor(moments: Float32Array, columns: number, damping: number): Promise<HessianFactor> {
    return this.#call("factor", moments, columns, damping);
  }

  /** `Quantizer.quantizeFourBit`. */
  async quantizeFourBit(
    weights: Float32Array,
    rows: number,
    columns: number,
    options: FourBitOptions = {},
  ): Promise<FourBitRows> {
    const pieces = await this.#shared(rows, (first, end) =>
      this.#call<FourBitRows>(
        "quantizeFourBit",
        part(weights, first * columns, end * columns),
        end - first,
        columns,
        options,
      ),
    );
    return {
      codes: concatenated(
        pieces.map(({ codes }) => codes),
        Uint8Array,
      ),
      steps: concatenated(
        pieces.map(({ steps }) => steps),
        Uint8Array,
      ),
      offsets: concatenated(
        pieces.map(({ offsets }) => offsets),
        Int16Array,
      ),
      scales: concatenated(
        pieces.map(({ scales }) => scales),
        Float32Array,
      ),
    };
  }
}

function concatenated<T extends Float32Array | Uint8Array | Int16Array>(
  pieces: readonly T[],
  type: new (length: number) => T,
): T {
  const whole = new type(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
