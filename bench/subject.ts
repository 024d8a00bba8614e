// What is measured, in whatever runtime it runs: Node imports this file, workerd a bundle of it.
import type { LoadOptions, ModelSource } from "../src/loading/load-options.ts";
import type { Model } from "../src/model.ts";
import { Reader } from "./reader.ts";
import { Runner, timed } from "./runner.ts";
import { prompt, VOCABULARY } from "./shapes.ts";

export type Task =
  /** Reading memory with the access pattern that was the fastest in the warm-up; bytes per second. */
  | { kind: "bandwidth" }
  /** Reading a model directory into a new engine; milliseconds. */
  | { kind: "load" }
  /** A prompt's forward pass with the logits of its last token; milliseconds. */
  | { kind: "prefill"; tokens: number }
  /** One sequence with `context` tokens behind it, `tokens` greedy steps; milliseconds per step. */
  | { kind: "decode"; context: number; tokens: number }
  /** Several sequences from a context of 64 on; milliseconds per step of all. */
  | { kind: "batch"; sequences: number; tokens: number }
  /** A draw from the logits of the last step; milliseconds. */
  | { kind: "sample"; temperature: number; topK: number; topP: number }
  /** From generate()'s call to its first chunk; milliseconds. */
  | { kind: "firstToken"; tokens: number }
  /** `sequences` concurrent generate() calls of 128 prompt tokens; milliseconds per decoded token of each. */
  | { kind: "generate"; sequences: number; tokens: number };

/** Sequence slots: three for contexts, the rest for batches. */
const CONTEXT_SLOTS = 4;
export const MAX_BATCH = 16;
const BATCH_CONTEXT = 64;
export interface Runtime {
  engine: WebAssembly.Module;
  readers: WebAssembly.Module;
  source: ModelSource;
  /** Loads the model as this runtime's users do. */
  open: (options: Partial<LoadOptions>) => Promise<Model>;
  /** What a bandwidth measurement reads: as much as a decode step does. */
  readBytes: number;
}

export class Subject {
  readonly #runtime: Runtime;
  readonly #runner: Runner;
  readonly #model: Model;
  readonly #filled = new Map<number, number>();
  readonly #reader: Reader;
  #salt = 0;

  private constructor(runtime: Runtime, runner: Runner, model: Model) {
    this.#runtime = runtime;
    this.#runner = runner;
    this.#model = model;
    this.#reader = new Reader(runtime.readers);
  }

  static async create(runtime: Runtime): Promise<Subject> {
    const { source } = runtime;
    const runner = await Runner.create(runtime.engine, source, { maxSequences: CONTEXT_SLOTS + MAX_BATCH });
    // Random weights write text that repeats itself; what is measured is one token a step.
    const model = await runtime.open({ promptLookup: 0 });
    return new Subject(runtime, runner, model);
  }

  /** Makes sure that a slot holds a prompt of `context` tokens. */
  #fill(slot: number, context: number): void {
    if (this.#filled.get(slot) === context) return;
    this.#runner.prefill(prompt(context, slot), slot);
    this.#filled.set(slot, context);
  }

  #decode(first: number, sequences: number, context: number, tokens: number): number {
    for (let i = 0; i < sequences; i++) this.#fill(first + i, context);
    return this.#runner.decode(first, sequences, context, tokens);
  }

  async #generate(sequences: number, tokens: number): Promise<number> {
    let first = Number.POSITIVE_INFINITY;
    let chunks = 0;
    const one = async () => {
      const options = { maxTokens: tokens, temperature: 0, ignoreEos: true };
      for await (const _ of this.#model.generate(prompt(128, ++this.#salt), options)) {
        // The clock starts when every prompt has been read.
        if (++chunks === sequences) first = performance.now();
      }
    };
    await Promise.all(Array.from({ length: sequences }, one));
    return (performance.now() - first) / (tokens - 1);
  }

  async #firstToken(tokens: number): Promise<number> {
    const ids = prompt(tokens, ++this.#salt);
    const start = performance.now();
    for await (const _ of this.#model.generate(ids, { maxTokens: 1, temperature: 0, ignoreEos: true }))
      return performance.now() - start;
    throw new Error("generate() gave no chunk");
  }

  async run(task: Task): Promise<number> {
    const { open, readBytes } = this.#runtime;
    switch (task.kind) {
      case "bandwidth":
        return this.#reader.bandwidth(readBytes);
      case "load": {
        const start = performance.now();
        (await open({ maxSequences: 1 })).dispose();
        return performance.now() - start;
      }
      case "prefill": {
        this.#filled.delete(CONTEXT_SLOTS - 1);
        const ids = prompt(task.tokens, ++this.#salt);
        return timed(() => {
          this.#runner.prefill(ids, CONTEXT_SLOTS - 1);
          this.#runner.engine.sample(0, 0, 0, 0, 1, 0);
        });
      }
      case "decode": {
        // A slot for each context, so that rounds need not read the prompt again.
        const slot = task.context <= 64 ? 0 : task.context <= 512 ? 1 : 2;
        return this.#decode(slot, 1, task.context, task.tokens);
      }
      case "batch":
        return this.#decode(CONTEXT_SLOTS, task.sequences, BATCH_CONTEXT, task.tokens);
      case "sample": {
        this.#runner.prefill([(this.#salt++ * 7919) % VOCABULARY], CONTEXT_SLOTS - 1);
        const { temperature, topK, topP } = task;
        return timed(() => void this.#runner.engine.sample(0, 0, temperature, topK, topP, 0));
      }
      case "firstToken":
        return this.#firstToken(task.tokens);
      case "generate":
        return this.#generate(task.sequences, task.tokens);
    }
  }
}
