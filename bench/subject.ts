// What is measured, in whatever runtime it runs: Node imports this file, workerd a bundle of it.
import { Engine } from "../src/engine/engine.ts";
import { planMemory } from "../src/engine/memory.ts";
import { loadManifest, loadModel } from "../src/loading/load.ts";
import type { ModelSource } from "../src/loading/load-options.ts";
import type { Model } from "../src/model.ts";
import { prompt, VOCABULARY } from "./shapes.ts";
import { median } from "./statistics.ts";

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
/** A measurement repeats what it measures until this much time has passed: workerd's clock ticks in milliseconds. */
const MINIMUM_MS = 100;

export interface Runtime {
  engine: WebAssembly.Module;
  readers: WebAssembly.Module;
  source: ModelSource;
  /** What a bandwidth measurement reads: as much as a decode step does. */
  readBytes: number;
  pause: () => Promise<void>;
}

/** Mean milliseconds of `work`, repeated until the clock can tell. */
function timed(work: () => void, minimum = MINIMUM_MS): number {
  const start = performance.now();
  let runs = 0;
  let elapsed = 0;
  do {
    work();
    runs++;
    elapsed = performance.now() - start;
  } while (elapsed < minimum);
  return elapsed / runs;
}

export class Subject {
  readonly #runtime: Runtime;
  readonly #engine: Engine;
  readonly #model: Model;
  readonly #filled = new Map<number, number>();
  readonly #readers: ((bytes: number) => number)[];
  #fastestReader: ((bytes: number) => number) | undefined;
  #salt = 0;

  private constructor(runtime: Runtime, engine: Engine, model: Model) {
    this.#runtime = runtime;
    this.#engine = engine;
    this.#model = model;
    const { memory, ...readers } = new WebAssembly.Instance(runtime.readers).exports;
    // Pages that nobody has written are all the same page of zeros.
    new Uint8Array((memory as WebAssembly.Memory).buffer).fill(1);
    this.#readers = Object.values(readers) as ((bytes: number) => number)[];
  }

  static async create(runtime: Runtime): Promise<Subject> {
    const { source } = runtime;
    const manifest = await loadManifest(source);
    const plan = planMemory(manifest, { maxSequences: CONTEXT_SLOTS + MAX_BATCH });
    const engine = new Engine(runtime.engine, manifest, plan);
    let offset = 0;
    for (const part of manifest.parts)
      for await (const chunk of await source.open(part.file)) {
        engine.writeWeights(offset, chunk);
        offset += chunk.length;
      }
    for (let slot = 0; slot < plan.maxSequences; slot++) {
      engine.seed(slot, slot, 0);
      for (let i = 0; i < plan.blocksPerSequence; i++)
        engine.setBlock(slot, i, slot * plan.blocksPerSequence + i);
    }
    // Random weights write text that repeats itself; what is measured is one token a step.
    const model = await loadModel({ module: runtime.engine, source, pause: runtime.pause, promptLookup: 0 });
    return new Subject(runtime, engine, model);
  }

  /** Runs `ids` from `position` on, the logits of the last into slot 0. */
  #prefill(ids: number[], slot: number, from = 0): void {
    const engine = this.#engine;
    const { maxRows } = engine.plan;
    for (let start = 0; start < ids.length; start += maxRows) {
      const rows = Math.min(maxRows, ids.length - start);
      for (let i = 0; i < rows; i++) engine.setRow(i, ids[start + i]!, from + start + i, slot);
      const last = start + rows === ids.length;
      if (last) engine.setWanted(0, rows - 1);
      engine.forward(rows, last ? 1 : 0);
    }
    engine.head(0, 1);
  }

  /** One step of `sequences` sequences from slot `first` on; the tokens go in and come out in `tokens`. */
  #step(first: number, tokens: number[], position: number): void {
    const engine = this.#engine;
    const { logitsSlots } = engine.plan;
    for (let i = 0; i < tokens.length; i++) {
      engine.setRow(i, tokens[i]!, position, first + i);
      engine.setWanted(i, i);
    }
    engine.forward(tokens.length, tokens.length);
    for (let start = 0; start < tokens.length; start += logitsSlots) {
      const count = Math.min(logitsSlots, tokens.length - start);
      engine.head(start, count);
      for (let i = 0; i < count; i++) tokens[start + i] = engine.sample(i, first + start + i, 0, 0, 1, 0);
    }
  }

  /** Makes sure that a slot holds a prompt of `context` tokens. */
  #fill(slot: number, context: number): void {
    if (this.#filled.get(slot) === context) return;
    this.#prefill(prompt(context, slot), slot);
    this.#filled.set(slot, context);
  }

  #decode(first: number, sequences: number, context: number, tokens: number): number {
    for (let i = 0; i < sequences; i++) this.#fill(first + i, context);
    const ids = Array.from({ length: sequences }, (_, i) => i * 31);
    const pass = timed(() => {
      for (let t = 0; t < tokens; t++) this.#step(first, ids, context + t);
    });
    return pass / tokens;
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

  /**
   * No single access pattern is the fastest on every machine: the first call looks for it, in turns. A maximum
   * over all of them each time would pick the moments when the machine is fast, and what it is held against is
   * not measured so.
   */
  #bandwidth(bytes: number): number {
    if (this.#fastestReader === undefined) {
      const times = this.#readers.map((): number[] => []);
      for (let turn = 0; turn < 9; turn++)
        this.#readers.forEach((read, i) => void times[i]!.push(timed(() => read(bytes), 12)));
      const middle = times.map(median);
      this.#fastestReader = this.#readers[middle.indexOf(Math.min(...middle))]!;
    }
    const read = this.#fastestReader;
    return (bytes * 1e3) / timed(() => read(bytes));
  }

  async #firstToken(tokens: number): Promise<number> {
    const ids = prompt(tokens, ++this.#salt);
    const start = performance.now();
    for await (const _ of this.#model.generate(ids, { maxTokens: 1, temperature: 0, ignoreEos: true }))
      return performance.now() - start;
    throw new Error("generate() gave no chunk");
  }

  async run(task: Task): Promise<number> {
    const { engine: module, source, readBytes } = this.#runtime;
    switch (task.kind) {
      case "bandwidth":
        return this.#bandwidth(readBytes);
      case "load": {
        const start = performance.now();
        (await loadModel({ module, source, maxSequences: 1 })).dispose();
        return performance.now() - start;
      }
      case "prefill": {
        this.#filled.delete(CONTEXT_SLOTS - 1);
        const ids = prompt(task.tokens, ++this.#salt);
        return timed(() => {
          this.#prefill(ids, CONTEXT_SLOTS - 1);
          this.#engine.sample(0, 0, 0, 0, 1, 0);
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
        this.#prefill([(this.#salt++ * 7919) % VOCABULARY], CONTEXT_SLOTS - 1);
        const { temperature, topK, topP } = task;
        return timed(() => void this.#engine.sample(0, 0, temperature, topK, topP, 0));
      }
      case "firstToken":
        return this.#firstToken(task.tokens);
      case "generate":
        return this.#generate(task.sequences, task.tokens);
    }
  }
}
