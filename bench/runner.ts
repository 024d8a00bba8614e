// Drives an engine without the scheduler: rows in, tokens out, and nothing between that could cost time.
import { Engine } from "../src/engine/engine.ts";
import { type MemoryOptions, planMemory } from "../src/engine/memory.ts";
import type { Manifest } from "../src/format/manifest.ts";
import { loadManifest } from "../src/loading/load.ts";
import type { ModelSource } from "../src/loading/load-options.ts";

/** A measurement repeats what it measures until this much time has passed: workerd's clock ticks in milliseconds. */
const MINIMUM_MS = 100;

/** Mean milliseconds of `work`, repeated until the clock can tell. */
export function timed(work: () => void, minimum = MINIMUM_MS): number {
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

/** Copies the parts of a model directory into an engine, unverified. */
export async function fillWeights(engine: Engine, manifest: Manifest, source: ModelSource): Promise<void> {
  let offset = 0;
  for (const part of manifest.parts)
    for await (const chunk of await source.open(part.file)) {
      engine.writeWeights(offset, chunk);
      offset += chunk.length;
    }
}

export class Runner {
  readonly engine: Engine;
  readonly manifest: Manifest;

  /** @param engine with its weights; every slot gets blocks for all of its positions */
  constructor(engine: Engine, manifest: Manifest) {
    this.engine = engine;
    this.manifest = manifest;
    const { maxSequences, blocksPerSequence } = engine.plan;
    for (let slot = 0; slot < maxSequences; slot++) {
      engine.seed(slot, slot, 0);
      for (let i = 0; i < blocksPerSequence; i++) engine.setBlock(slot, i, slot * blocksPerSequence + i);
    }
  }

  /** Reads a model directory. */
  static async create(
    module: WebAssembly.Module,
    source: ModelSource,
    options: MemoryOptions,
  ): Promise<Runner> {
    const manifest = await loadManifest(source);
    const engine = new Engine(module, manifest, planMemory(manifest, options));
    await fillWeights(engine, manifest, source);
    return new Runner(engine, manifest);
  }

  /** Runs `ids` from position `from` on, the last of them up to its logits. */
  read(ids: readonly number[], slot: number, from = 0): void {
    const { engine } = this;
    const { maxRows } = engine.plan;
    for (let start = 0; start < ids.length; start += maxRows) {
      const rows = Math.min(maxRows, ids.length - start);
      for (let i = 0; i < rows; i++) engine.setRow(i, ids[start + i]!, from + start + i, slot);
      const last = start + rows === ids.length;
      if (last) engine.setWanted(0, rows - 1);
      engine.forward(rows, last ? 1 : 0);
    }
  }

  /** The same, and the logits of the last into logits slot 0. */
  prefill(ids: readonly number[], slot: number, from = 0): void {
    this.read(ids, slot, from);
    this.engine.head(0, 1);
  }

  /** One greedy step of `tokens.length` sequences from slot `first` on; the tokens go in and come out in `tokens`. */
  step(first: number, tokens: number[], position: number): void {
    const { engine } = this;
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

  /** Milliseconds of a step of `sequences` sequences from slot `first` on, over `steps` of them behind `context`. */
  decode(first: number, sequences: number, context: number, steps: number): number {
    const ids = Array.from({ length: sequences }, (_, i) => i * 31);
    return (
      timed(() => {
        for (let i = 0; i < steps; i++) this.step(first, ids, context + i);
      }) / steps
    );
  }
}
